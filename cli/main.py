"""The `lectern` command: names, options and help. What each command does stands in the module of its name."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import ask as asking
from cli import control as controlling
from cli import doctor as doctoring
from cli import evaluate as evaluating
from cli import ingest as ingesting
from cli import questions as questioning
from cli import releases as releasing
from cli import status as statuses
from cli import up as starting
from cli.address import HOME, find_api
from cli.client import Api
from cli.errors import BAD_INPUT, INTERRUPTED, CommandError
from cli.output import complain, say
from embedded.up import UpOptions
from shared.errors import ConfigurationError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # help and usage errors as plain lines: they are read in logs and pipes too
    pretty_exceptions_enable=False,
    help="Ask a documentation site questions, and keep its index up to date.",
    epilog="Exit codes: 0 done, 1 failed, 2 bad input, 3 nothing answers there, 4 nothing found, 5 under the bar.",
)

HomeOption = Annotated[
    Path, typer.Option("--home", envvar="LECTERN_HOME", help="Where `lectern up` keeps its data and secrets.")
]
ApiOption = Annotated[
    str | None,
    typer.Option("--api", envvar="LECTERN_API", help="Address of the API; else the instance that runs in --home."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"lectern {version('lectern')}")
        raise typer.Exit


@app.callback()
def _lectern(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def up(
    *,
    docs: Annotated[Path | None, typer.Option(help="Folder with the site's Markdown; else CONTENT_ROOT.")] = None,
    site_url: Annotated[str | None, typer.Option(help="Address of the published site, for links in citations.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; else API_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of API and chat page; 0 picks one; else API_PORT.")] = None,
    flower_port: Annotated[int | None, typer.Option(help="Port of Flower; 0 picks one; else FLOWER_PORT.")] = None,
    home: HomeOption = HOME,
    no_ingest: Annotated[bool, typer.Option("--no-ingest", help="Start without indexing.")] = False,
) -> None:
    """Start everything on this machine and index the docs. Runs until Ctrl-C."""
    options = UpOptions(docs=docs, site_url=site_url, home=home, host=host, port=port, flower_port=flower_port)
    _run(lambda: starting.up(options, ingest=not no_ingest))


@app.command()
def ingest(
    *,
    path: Annotated[str, typer.Argument(help="Folder or page to index; else all of the content root.")] = ".",
    watch: Annotated[bool, typer.Option("--watch", help="Index again after each change, until Ctrl-C.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Read unchanged pages too.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what an ingest would do, take and cost.")] = False,
    as_json: JsonOption = False,
    api: ApiOption = None,
    home: HomeOption = HOME,
) -> None:
    """Index what has changed in the docs."""
    request = ingesting.Request(path, force=force, as_json=as_json, plan=plan)
    _with_api(api, home, lambda client: ingesting.ingest(client, request, watch=watch))


@app.command()
def status(
    *,
    job: Annotated[str | None, typer.Argument(help="A job's id; else all jobs are listed.")] = None,
    as_json: JsonOption = False,
    api: ApiOption = None,
    home: HomeOption = HOME,
) -> None:
    """Show what is live, and the ingest jobs or one of them."""
    _with_api(api, home, lambda client: statuses.status(client, job, as_json=as_json))


jobs_app = typer.Typer(rich_markup_mode=None, invoke_without_command=True)
app.add_typer(jobs_app, name="jobs")
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="A job's id.")]


@jobs_app.callback()
def jobs(
    context: typer.Context, *, as_json: JsonOption = False, api: ApiOption = None, home: HomeOption = HOME
) -> None:
    """List the ingest jobs, or cancel, pause, resume or retry one."""
    if context.invoked_subcommand is None:
        _with_api(api, home, lambda client: controlling.jobs(client, as_json=as_json))


def _act_on_a_job(action: controlling.Action, help_: str) -> None:
    @jobs_app.command(action, help=help_)
    def act(*, job: JobArgument, as_json: JsonOption = False, api: ApiOption = None, home: HomeOption = HOME) -> None:
        _with_api(api, home, lambda client: controlling.act(client, job, action, as_json=as_json))


_act_on_a_job("cancel", "End a job and take back what it has written.")
_act_on_a_job("pause", "Stop a job and keep what it has done.")
_act_on_a_job("resume", "Let a paused job go on.")
_act_on_a_job("retry", "Do again, in a new job, what a failed or cancelled one was to do.")

releases_app = typer.Typer(rich_markup_mode=None, invoke_without_command=True)
app.add_typer(releases_app, name="releases")
NumberArgument = Annotated[int, typer.Argument(min=1, help="A release's number.")]


@releases_app.callback()
def releases(
    context: typer.Context, *, as_json: JsonOption = False, api: ApiOption = None, home: HomeOption = HOME
) -> None:
    """List the releases that are kept, or show one, or make one live."""
    if context.invoked_subcommand is None:
        _with_api(api, home, lambda client: releasing.list_releases(client, as_json=as_json))


@releases_app.command("show")
def show_release(
    *, number: NumberArgument, as_json: JsonOption = False, api: ApiOption = None, home: HomeOption = HOME
) -> None:
    """Show a release with the pages that it added, changed, moved and removed."""
    _with_api(api, home, lambda client: releasing.show_release(client, number, as_json=as_json))


@releases_app.command("activate")
def activate_release(
    *, number: NumberArgument, as_json: JsonOption = False, api: ApiOption = None, home: HomeOption = HOME
) -> None:
    """Make a release live, at once: back to an older one, forward again, or past the gate."""
    _with_api(api, home, lambda client: releasing.activate_release(client, number, as_json=as_json))


@app.command()
def ask(
    *,
    question: Annotated[str, typer.Argument(help="The question, in quotes.")],
    passages: Annotated[int, typer.Option("-k", min=1, max=20, help="Passages to answer from.")] = 5,
    as_json: JsonOption = False,
    api: ApiOption = None,
    home: HomeOption = HOME,
) -> None:
    """Ask a question, as a visitor would. Exit code 4 if the docs do not say."""
    _with_api(api, home, lambda client: asking.ask(client, question, passages, as_json=as_json))


@app.command()
def search(
    *,
    words: Annotated[str, typer.Argument(help="What to look for, in quotes.")],
    passages: Annotated[int, typer.Option("-k", min=1, max=20, help="Passages to show.")] = 5,
    as_json: JsonOption = False,
    api: ApiOption = None,
    home: HomeOption = HOME,
) -> None:
    """Show the passages that a question would be answered from. Exit code 4 if there are none."""
    _with_api(api, home, lambda client: asking.search(client, words, passages, as_json=as_json))


@app.command("eval")
def eval_(
    *,
    file: Annotated[Path, typer.Argument(help="A golden.yaml, or a folder of questions in BEIR's layout.")],
    k: Annotated[int, typer.Option("-k", min=1, max=20, help="Passages to look at for each question.")] = 10,
    no_answers: Annotated[bool, typer.Option("--no-answers", help="Only search; faster, and asks no model.")] = False,
    release: Annotated[int | None, typer.Option(min=1, help="A kept release; else the live one.")] = None,
    against: Annotated[int | None, typer.Option(min=1, help="Another release to compare with.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting to try; may be repeated.")
    ] = None,
    against_settings: Annotated[
        list[str] | None,
        typer.Option("--against-set", metavar="NAME=VALUE", help="The same for what is compared with."),
    ] = None,
    fail_under: Annotated[
        str, typer.Option(metavar="BARS", help="Such as ndcg@10=.8,refusal_recall=.9; exit code 5 if one is missed.")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="File for everything that came of each question, as JSON.")] = None,
    write_pages: Annotated[
        Path | None, typer.Option(help="Only make Markdown pages of a folder's corpus.jsonl, in this new folder.")
    ] = None,
    as_json: JsonOption = False,
    api: ApiOption = None,
    home: HomeOption = HOME,
) -> None:
    """Measure the answers by questions whose answers are known."""
    if write_pages:
        pages = write_pages
        _run(lambda: asyncio.to_thread(evaluating.make_pages, file, pages))
    options = evaluating.Options(
        file=file, k=k, answers=not no_answers, release=release, against=against, settings=settings or (),
        against_settings=against_settings or (), fail_under=fail_under, out=out, as_json=as_json,
    )  # fmt: skip
    _with_api(api, home, lambda client: evaluating.evaluate(client, options))


@app.command()
def questions(
    *,
    since: Annotated[str | None, typer.Option(help="7d, 24h, 30m or a date; else all that are kept.")] = None,
    refused: Annotated[bool, typer.Option("--refused", help="Only those that the docs did not answer.")] = False,
    last: Annotated[int, typer.Option("-n", "--last", min=1, max=1000, help="Questions to show.")] = 20,
    jsonl: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write all of them there, one a line; - is standard output.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: JsonOption = False,
    api: ApiOption = None,
    home: HomeOption = HOME,
) -> None:
    """Show what visitors have asked, or write it to a file."""
    wanted = questioning.Wanted(since, refused, last, jsonl, overwrite=force, as_json=as_json)
    _with_api(api, home, lambda client: questioning.questions(client, wanted))


@app.command()
def export(
    *,
    file: Annotated[str, typer.Argument(help="File to write; - is standard output.")],
    release: Annotated[int | None, typer.Option(help="Number of the release; else all that are kept.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    home: HomeOption = HOME,
) -> None:
    """Write releases with their passages and vectors to a file, as a backup or to move them."""
    from cli import archive as archiving  # noqa: PLC0415 -- half a second of clients that no other command needs

    _run(lambda: archiving.export(home, archiving.Choice(file, release), overwrite=force))


@app.command("import")
def import_(
    *,
    file: Annotated[str, typer.Argument(help="File that `lectern export` wrote; - is standard input.")],
    release: Annotated[
        int | None, typer.Option(help="Number of the file's release; else the one that was live.")
    ] = None,
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait for the jobs before it.")] = 600,
    home: HomeOption = HOME,
) -> None:
    """Make a release of such a file the live one."""
    from cli import archive as archiving  # noqa: PLC0415 -- as above

    _run(lambda: archiving.import_(home, archiving.Choice(file, release), wait_seconds=wait))


@app.command()
def doctor(*, as_json: JsonOption = False, api: ApiOption = None, home: HomeOption = HOME) -> None:
    """Check every part, and say how to mend what is broken. Exit code 1 if anything is."""
    _run(lambda: doctoring.doctor(api, home, as_json=as_json))


def _with_api(api: str | None, home: Path, command: Callable[[Api], Awaitable[int]]) -> None:
    async def connected() -> int:
        async with Api(find_api(api, home)) as client:
            return await command(client)

    _run(connected)


def _run(command: Callable[[], Coroutine[Any, Any, int]]) -> None:
    """Run a command to its exit code. What is expected to fail ends in lines for a person."""
    try:
        code = asyncio.run(command())
    except CommandError as error:
        complain(error.message)
        code = error.exit_code
    except ConfigurationError as error:
        complain(error.message)
        code = BAD_INPUT
    except KeyboardInterrupt:
        code = INTERRUPTED
    raise typer.Exit(code)


def run() -> None:
    """The entry point."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # docs may hold characters that an old terminal has not
    app(prog_name="lectern")


if __name__ == "__main__":
    run()
