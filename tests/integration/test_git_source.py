"""A git repository as the source: the real git program against a real git server, and what each may try."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.errors import ConfigurationError, JobFailed
from shared.settings import Settings, load_settings
from tests.git_server import GitServer, Origin, git_server, new_origin
from tests.site_server import certificate_for, speaking_tls
from worker.ingestion.sources import git_command
from worker.ingestion.sources.addresses import AddressRefused, Place
from worker.ingestion.sources.copies import only_one
from worker.ingestion.sources.git import Repository, _fetch, checkout_git, fetch_git
from worker.ingestion.sources.git_command import GitFailed, environment_of, open_git
from worker.ingestion.sources.source import checkout, fetch

TOKEN = "glpat-a-secret-that-nobody-may-see"
MakeSettings = Callable[..., Settings]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with git_server(tmp_path / "origins") as server:
        yield server


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return new_origin(tmp_path / "origins" / "book")


@pytest.fixture
def settings_for(server: GitServer, tmp_path: Path) -> MakeSettings:
    def make(**overrides: Any) -> Settings:
        given = {
            "source_git_url": server.url("book"), "source_allow_private": True, "sources_dir": tmp_path / "sources",
            "source_timeout": 60, **overrides,
        }  # fmt: skip
        return load_settings(None, **given)

    return make


def files_of(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


# What it is for


async def test_a_repository_is_fetched_as_plain_files(origin: Origin, settings_for: MakeSettings) -> None:
    commit = origin.git("rev-parse", "HEAD")
    fetched = await fetch(settings_for())
    assert (fetched.revision, fetched.changed, fetched.faults) == (commit, None, ())
    assert files_of(fetched.root) == {
        "docs/index.md": "# Home\n\nWelcome.\n", "docs/guide.md": "# Guide\n\nRead.\n",
    }  # fmt: skip
    assert commit[:12] in fetched.note


async def test_only_the_named_folder_is_the_content(origin: Origin, settings_for: MakeSettings) -> None:
    fetched = await fetch(settings_for(source_git_folder="docs"))
    assert set(files_of(fetched.root)) == {"index.md", "guide.md"}


async def test_a_second_fetch_names_the_files_that_differ(origin: Origin, settings_for: MakeSettings) -> None:
    settings = settings_for(source_git_folder="docs")
    first = await fetch(settings)
    origin.commit(
        {"docs/guide.md": "# Guide\n\nRead on.\n", "docs/new.md": "# New\n", "docs/index.md": None, "src/other.md": "x"}
    )
    second = await fetch(settings, since=first.revision)
    assert second.changed == frozenset({"guide.md", "new.md", "index.md"})
    assert set(files_of(second.root)) == {"guide.md", "new.md"}
    assert set(files_of(first.root)) == {"guide.md", "index.md"}, "what a job may still read is left alone"


async def test_an_unchanged_repository_is_not_written_again(
    origin: Origin, server: GitServer, settings_for: MakeSettings
) -> None:
    first = await fetch(settings_for())
    written = first.root.stat().st_ino
    second = await fetch(settings_for(), since=first.revision)
    assert (second.revision, second.changed) == (first.revision, frozenset())
    assert second.root.stat().st_ino == written


async def test_a_revision_that_is_not_known_any_more_compares_with_nothing(
    origin: Origin, settings_for: MakeSettings
) -> None:
    for unknown in ("0" * 40, "not a revision", "--output=x", ""):
        assert (await fetch(settings_for(), since=unknown)).changed is None


@pytest.mark.parametrize("ref", ["release", "v1.0", "refs/heads/release", "commit"])
async def test_a_branch_a_tag_and_a_commit_are_found(origin: Origin, settings_for: MakeSettings, ref: str) -> None:
    origin.git("checkout", "--quiet", "-b", "release")
    wanted = origin.commit({"docs/release.md": "# Release\n"})
    origin.git("tag", "-a", "v1.0", "-m", "one")
    origin.git("checkout", "--quiet", "main")
    origin.commit({"docs/main.md": "# Main\n"})
    fetched = await fetch(settings_for(source_git_ref=wanted if ref == "commit" else ref))
    assert fetched.revision == wanted
    assert "docs/release.md" in files_of(fetched.root)


async def test_a_history_that_was_rewritten_is_followed(origin: Origin, settings_for: MakeSettings) -> None:
    first = await fetch(settings_for())
    origin.git("commit", "--quiet", "--amend", "--allow-empty", "-m", "rewritten")
    second = await fetch(settings_for(), since=first.revision)
    assert second.revision != first.revision
    assert second.changed == frozenset()


async def test_another_machine_makes_the_same_revision(
    origin: Origin, settings_for: MakeSettings, tmp_path: Path
) -> None:
    fetched = await fetch(settings_for())
    origin.commit({"docs/guide.md": "# Guide\n\nMeanwhile.\n"})
    elsewhere = settings_for(sources_dir=tmp_path / "other-machine")
    root = await checkout(elsewhere, fetched.revision)
    assert root.is_relative_to(tmp_path / "other-machine")
    assert files_of(root) == files_of(fetched.root)


async def test_a_revision_that_is_there_is_checked_out_without_the_server(
    origin: Origin, server: GitServer, settings_for: MakeSettings
) -> None:
    fetched = await fetch(settings_for())
    server.paths.clear()
    assert await checkout(settings_for(), fetched.revision) == fetched.root
    assert server.paths == []


async def test_many_shards_at_once_fetch_once(
    origin: Origin, server: GitServer, settings_for: MakeSettings, tmp_path: Path
) -> None:
    revision = origin.git("rev-parse", "HEAD")
    roots = await asyncio.gather(*(checkout(settings_for(), revision) for _ in range(5)))
    assert len(set(roots)) == 1
    assert sum("info/refs" in path for path in server.paths) == 1


async def test_the_newest_revisions_stay_and_older_ones_go(origin: Origin, settings_for: MakeSettings) -> None:
    roots = []
    for number in range(4):
        origin.commit({"docs/guide.md": f"# Guide {number}\n"})
        roots.append((await fetch(settings_for())).root)
    assert [root.exists() for root in roots] == [False, False, True, True]


async def test_a_folder_needs_no_fetch(tmp_path: Path) -> None:
    settings = load_settings(None, content_root=tmp_path)
    fetched = await fetch(settings)
    assert (fetched.root, fetched.revision, fetched.changed) == (tmp_path, "", None)
    assert await checkout(settings, "") == tmp_path


async def test_the_files_around_the_folder_come_with_it_because_a_site_s_config_is_one(
    origin: Origin, settings_for: MakeSettings
) -> None:
    origin.commit(
        {"mkdocs.yml": "site_name: A\n", "website/docusaurus.config.js": "x", "website/src/a.js": "x", "src/b.js": "x"}
    )
    settings = settings_for(source_git_folder="docs")
    first = await fetch(settings)
    around = {path.name for path in first.root.parent.iterdir()}
    assert around == {"docs", "mkdocs.yml", "website"}
    assert [path.name for path in (first.root.parent / "website").iterdir()] == ["docusaurus.config.js"]
    origin.commit({"src/b.js": "y", "docs/new.md": "# New\n"})
    second = await fetch(settings, since=first.revision)
    assert second.changed == frozenset({"new.md"})
    origin.commit({"mkdocs.yml": None})
    third = await fetch(settings, since=second.revision)
    assert third.changed is None, "with another config, every page may have another address"
    assert (await checkout(settings, third.revision)) == third.root


async def test_a_folder_deep_inside_is_found(origin: Origin, settings_for: MakeSettings) -> None:
    origin.commit({"a/website/docs/x.md": "# X\n", "a/website/docusaurus.config.js": "x", "a/y.md": "# Y\n"})
    fetched = await fetch(settings_for(source_git_folder="a/website/docs"))
    assert set(files_of(fetched.root)) == {"x.md"}
    assert (fetched.root.parent / "docusaurus.config.js").exists()


# The token


async def test_a_private_repository_is_read_with_the_token(
    origin: Origin, server: GitServer, settings_for: MakeSettings, tmp_path: Path
) -> None:
    server.token = TOKEN
    fetched = await fetch(settings_for(source_git_token=TOKEN, source_git_user="oauth2"))
    assert "docs/index.md" in files_of(fetched.root)
    kept = [path for path in (tmp_path / "sources").rglob("*") if path.is_file()]
    assert kept
    assert not any(TOKEN.encode() in path.read_bytes() for path in kept)


@pytest.mark.parametrize("given", [None, "wrong-" + TOKEN])
async def test_a_missing_or_wrong_token_is_said_without_being_shown(
    origin: Origin, server: GitServer, settings_for: MakeSettings, given: str | None
) -> None:
    server.token = TOKEN
    with pytest.raises(JobFailed, match="SOURCE_GIT_TOKEN") as failure:
        await fetch(settings_for(source_git_token=given))
    assert TOKEN not in failure.value.message
    assert "refuses access" in failure.value.message


async def test_the_token_is_never_an_argument(
    origin: Origin, server: GitServer, settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.token = TOKEN
    seen: list[str] = []
    start = asyncio.create_subprocess_exec

    async def noticing(*arguments: str, **options: Any) -> Any:
        seen.extend(arguments)
        return await start(*arguments, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noticing)
    await fetch(settings_for(source_git_token=TOKEN))
    assert "fetch" in seen
    assert not any(TOKEN in argument for argument in seen)


async def test_a_redirect_is_not_followed_with_the_token(
    origin: Origin, server: GitServer, settings_for: MakeSettings, tmp_path: Path
) -> None:
    with git_server(tmp_path / "origins") as other:
        server.status, server.location = 302, other.url("book") + "/info/refs?service=git-upload-pack"
        with pytest.raises(JobFailed, match="redirect"):
            await fetch(settings_for(source_git_token=TOKEN))
        assert other.paths == []


async def test_a_token_is_not_sent_without_tls_over_a_network(
    settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> list[str]:
        return ["10.1.2.3"]

    monkeypatch.setattr("worker.ingestion.sources.addresses.look_up", away)
    settings = settings_for(source_git_url="http://git.intern/book", source_git_token=TOKEN)
    with pytest.raises(JobFailed, match="without TLS"):
        await fetch(settings)


# What fails


async def test_a_server_of_ones_own_network_needs_the_owner_s_word(
    origin: Origin, server: GitServer, settings_for: MakeSettings
) -> None:
    url = server.url("book").replace("http://", "https://")
    with pytest.raises(AddressRefused, match="SOURCE_ALLOW_PRIVATE"):
        await fetch(settings_for(source_git_url=url, source_allow_private=False))
    assert server.paths == []


async def test_a_reference_that_is_not_there_is_named(origin: Origin, settings_for: MakeSettings) -> None:
    with pytest.raises(JobFailed, match="no branch, tag or commit nowhere; correct SOURCE_GIT_REF"):
        await fetch(settings_for(source_git_ref="nowhere"))


async def test_a_commit_that_is_not_there_is_named(origin: Origin, settings_for: MakeSettings) -> None:
    with pytest.raises(JobFailed, match=r"no branch, tag or commit 1{40}"):
        await checkout(settings_for(), "1" * 40)


@pytest.mark.parametrize("odd", ["..", "a..b", "main.lock", "a//b", "refs/heads/", ".hidden", "@"])
async def test_a_reference_that_git_itself_refuses_is_a_fault_too(
    origin: Origin, settings_for: MakeSettings, odd: str
) -> None:
    settings = settings_for().model_copy(update={"source_git_ref": odd})
    with pytest.raises(JobFailed, match="SOURCE_GIT_REF"):
        await fetch(settings)


async def test_a_folder_that_is_not_there_is_named(origin: Origin, settings_for: MakeSettings) -> None:
    for folder in ("nowhere", "docs/index.md"):
        with pytest.raises(JobFailed, match="SOURCE_GIT_FOLDER"):
            await fetch(settings_for(source_git_folder=folder))


async def test_a_repository_that_is_not_there_is_named(server: GitServer, settings_for: MakeSettings) -> None:
    with pytest.raises(JobFailed, match="is not there, or needs SOURCE_GIT_TOKEN"):
        await fetch(settings_for(source_git_url=server.url("nothing")))


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_server_that_is_ill_is_said_so(
    origin: Origin, server: GitServer, settings_for: MakeSettings, status: int
) -> None:
    server.status = status
    with pytest.raises(JobFailed, match="does not answer as it should; try again later"):
        await fetch(settings_for())


async def test_a_server_that_is_down_is_said_so(settings_for: MakeSettings) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/book"
        with pytest.raises(JobFailed, match="does not answer"):
            await fetch(settings_for(source_git_url=url))


async def test_a_server_that_takes_for_ever_is_given_up_and_git_with_it(
    origin: Origin, server: GitServer, settings_for: MakeSettings, tmp_path: Path
) -> None:
    server.delay = 30
    with pytest.raises(JobFailed, match="SOURCE_TIMEOUT"):
        await fetch(settings_for(source_timeout=1))
    assert not processes_in(tmp_path)


def processes_in(folder: Path) -> list[str]:
    """The commands of processes that have something to do with a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode() if entry.name.isdecimal() else ""
        except OSError:
            continue
        if f"--git-dir={folder}" in command:
            found.append(command)
    return found


async def test_the_last_good_copy_outlives_a_fetch_that_fails(
    origin: Origin, server: GitServer, settings_for: MakeSettings
) -> None:
    good = await fetch(settings_for())
    before = files_of(good.root)
    server.status = 500
    with pytest.raises(JobFailed):
        await fetch(settings_for())
    assert files_of(good.root) == before
    assert await checkout(settings_for(), good.revision) == good.root


async def test_a_mirror_that_a_killed_git_has_left_is_used_again(
    origin: Origin, settings_for: MakeSettings, tmp_path: Path
) -> None:
    await fetch(settings_for())
    (mirror,) = (tmp_path / "sources").glob("*/mirror.git")
    (mirror / "shallow.lock").touch()
    (mirror / "refs" / "lectern" / "fetched.lock").touch()
    (mirror / "objects" / "pack" / "tmp_pack_x").write_bytes(b"x")
    (mirror.parent / ".new-half").mkdir()
    commit = origin.commit({"docs/guide.md": "# Guide\n\nNew.\n"})
    assert (await fetch(settings_for())).revision == commit
    assert not (mirror.parent / ".new-half").exists()


WORKER = """
import asyncio
from shared.settings import load_settings
from worker.ingestion.sources.source import fetch
asyncio.run(fetch(load_settings()))
"""


async def test_a_worker_that_is_killed_while_it_fetches_leaves_its_last_copy_and_a_way_on(
    origin: Origin, server: GitServer, settings_for: MakeSettings, tmp_path: Path
) -> None:
    good = await fetch(settings_for())
    commit = origin.commit({"docs/guide.md": "# Guide\n\nNew.\n"})
    server.paths.clear()
    server.delay = 1
    environment = {
        **os.environ, "SOURCE_GIT_URL": server.url("book"), "SOURCE_ALLOW_PRIVATE": "true",
        "SOURCES_DIR": str(tmp_path / "sources"),
    }  # fmt: skip
    with subprocess.Popen([sys.executable, "-c", WORKER], env=environment, cwd=tmp_path) as worker:
        while not server.paths:
            await asyncio.sleep(0.02)
        worker.kill()
    # Its git is still there, and holds the lock until it has ended.
    assert processes_in(tmp_path)
    fetched = await fetch(settings_for(), since=good.revision)
    assert (fetched.revision, fetched.changed) == (commit, frozenset({"docs/guide.md"}))
    assert not processes_in(tmp_path)
    assert files_of(good.root)["docs/guide.md"] == "# Guide\n\nRead.\n"


async def test_a_mirror_that_is_damaged_is_made_anew(
    origin: Origin, settings_for: MakeSettings, tmp_path: Path
) -> None:
    await fetch(settings_for())
    (mirror,) = (tmp_path / "sources").glob("*/mirror.git")
    (mirror / "HEAD").write_text("nonsense")
    (mirror / "config").write_text("[core\n")
    commit = origin.commit({"docs/guide.md": "# Guide\n\nNew.\n"})
    assert (await fetch(settings_for())).revision == commit


async def test_a_mirror_that_has_grown_for_months_is_made_anew(
    origin: Origin, settings_for: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.ingestion.sources.git.MOST_PACKS", 2)
    packs = []
    for number in range(5):
        origin.commit({"docs/guide.md": f"# Guide {number}\n"})
        await fetch(settings_for())
        packs.append(len(list((tmp_path / "sources").glob("*/mirror.git/objects/pack/*.pack"))))
    assert max(packs) <= 3
    assert 1 in packs[1:]


async def test_a_folder_that_cannot_be_written_is_named(
    origin: Origin, settings_for: MakeSettings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JobFailed, match="SOURCES_DIR"):
        await fetch(settings_for(sources_dir=tmp_path / "file" / "sources"))


# What a repository may try


async def test_links_and_submodules_are_left_out_and_named(origin: Origin, settings_for: MakeSettings) -> None:
    (origin.path / "docs" / "passwd.md").symlink_to("/etc/passwd")
    (origin.path / "up").symlink_to("../../..")
    origin.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendor/module")
    origin.git("add", "docs", "up")
    (origin.path / ".gitmodules").write_text('[submodule "m"]\n\tpath = vendor/module\n\turl = file:///etc\n')
    origin.git("add", ".gitmodules")
    origin.git("commit", "--quiet", "-m", "links")
    fetched = await fetch(settings_for())
    assert {fault.path: fault.reason.partition(",")[0] for fault in fetched.faults} == {
        "docs/passwd.md": "is a symbolic link", "up": "is a symbolic link", "vendor/module": "is a submodule",
    }  # fmt: skip
    assert "docs/index.md" in files_of(fetched.root)
    assert not any(path.is_symlink() for path in fetched.root.rglob("*"))
    assert "root:" not in "".join(files_of(fetched.root).values())


async def test_hooks_attributes_and_filters_of_a_repository_do_nothing(
    origin: Origin, settings_for: MakeSettings, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    script = f"#!/bin/sh\ntouch {canary}\n"
    origin.commit(
        {
            ".gitattributes": "*.md filter=lfs diff=lfs text eol=crlf export-ignore ident\n",
            ".lfsconfig": "[lfs]\n\turl = http://127.0.0.1:1/\n",
            "hooks/post-checkout": script, "docs/lfs.md": "version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
            "HEAD": "ref: refs/heads/main\n", "config": f"[core]\n\tfsmonitor = touch {canary}\n\tbare = true\n",
            "objects/x": "x", "refs/x": "x",
        }
    )  # fmt: skip
    for hook in ("post-update", "pre-receive", "update", "post-checkout", "reference-transaction"):
        file = origin.path / ".git" / "hooks" / hook
        file.parent.mkdir(exist_ok=True)
        file.write_text(script.replace("canary", "canary-of-the-server"))
    fetched = await fetch(settings_for())
    assert files_of(fetched.root)["docs/index.md"] == "# Home\n\nWelcome.\n"
    assert "docs/lfs.md" in files_of(fetched.root)
    assert not canary.exists()


async def test_hooks_in_the_worker_s_own_copy_are_not_run(
    origin: Origin, settings_for: MakeSettings, tmp_path: Path
) -> None:
    await fetch(settings_for())
    (mirror,) = (tmp_path / "sources").glob("*/mirror.git")
    canary = tmp_path / "canary"
    hook = mirror / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {canary}\n")
    hook.chmod(0o755)
    origin.commit({"docs/guide.md": "# Guide\n\nNew.\n"})
    await fetch(settings_for())
    assert not canary.exists()


def tree_entry(mode: str, name: bytes, object_id: bytes) -> bytes:
    return f"{mode} ".encode() + name + b"\0" + object_id


@pytest.mark.parametrize("name", [b"..", b".", b".git", b".GIT", b"a/../../../escape", b"x" * 300])
async def test_names_that_lead_elsewhere_are_left_out(
    origin: Origin, settings_for: MakeSettings, tmp_path: Path, name: bytes
) -> None:
    blob = origin.blob("# Escaped\n")
    origin.commit_tree(tree_entry("100644", name, blob) + tree_entry("100644", b"ok.md", blob))
    fetched = await fetch(settings_for())
    assert set(files_of(fetched.root)) == {"ok.md"}
    assert ["name that is not safe" in fault.reason for fault in fetched.faults] == [True]
    assert not list(tmp_path.rglob("escape"))


async def test_a_file_that_is_a_link_s_twin_is_not_written_through_it(
    origin: Origin, settings_for: MakeSettings, tmp_path: Path
) -> None:
    link = origin.blob(str(tmp_path))
    inner = origin.git("mktree", stdin=b"100644 blob %s\tcanary\n" % origin.blob("x").hex().encode())
    origin.commit_tree(tree_entry("120000", b"a", link) + tree_entry("40000", b"a", bytes.fromhex(inner)))
    fetched = await fetch(settings_for())
    assert files_of(fetched.root) == {"a/canary": "x"}
    assert not (tmp_path / "canary").exists()


async def test_a_name_that_stands_there_twice_ends_the_job_not_the_worker(
    origin: Origin, settings_for: MakeSettings
) -> None:
    blob = origin.blob("x")
    origin.commit_tree(tree_entry("100644", b"a.md", blob) + tree_entry("100644", b"a.md", blob))
    with pytest.raises(JobFailed, match="cannot be written"):
        await fetch(settings_for())


async def test_a_repository_over_the_limit_is_refused_and_removed(
    origin: Origin, settings_for: MakeSettings, tmp_path: Path
) -> None:
    (origin.path / "big.bin").write_bytes(os.urandom(3_000_000))
    origin.commit({})
    with pytest.raises(JobFailed, match=r"larger than 1,000,000 bytes.*SOURCE_MAX_BYTES"):
        await fetch(settings_for(source_max_bytes=1_000_000))
    assert not list((tmp_path / "sources").glob("*/mirror.git"))
    (origin.path / "big.bin").unlink()
    origin.commit({})
    assert await fetch(settings_for(source_max_bytes=1_000_000)), "what was refused does not count next time"


async def test_a_small_pack_of_large_files_is_refused_before_they_are_written(
    origin: Origin, settings_for: MakeSettings, tmp_path: Path
) -> None:
    origin.commit({"zeros.md": "0" * 20_000_000})
    with pytest.raises(JobFailed, match="SOURCE_MAX_BYTES"):
        await fetch(settings_for(source_max_bytes=10_000_000))
    written = sum(path.stat().st_size for path in (tmp_path / "sources").rglob("*") if path.is_file())
    assert written < 1_000_000


async def test_a_tree_of_a_billion_files_is_refused(
    origin: Origin, settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_command, "LISTING_BYTES", 200_000)
    below = bytes.fromhex(origin.git("mktree", stdin=b"100644 blob %s\tf.md\n" % origin.blob("x").hex().encode()))
    for _ in range(9):
        entries = b"".join(tree_entry("40000", b"%d" % number, below) for number in range(10))
        below = bytes.fromhex(origin.git("hash-object", "-t", "tree", "--literally", "-w", "--stdin", stdin=entries))
    origin.commit_tree(tree_entry("40000", b"a", below))
    with pytest.raises(JobFailed, match="too many files"):
        await fetch(settings_for())


# What settings may try, should they ever come from a stranger


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% {canary}", "ext::sh -c 'touch {canary}'", "--upload-pack=touch {canary}", "-c core.x=y",
        "file:///etc", "/etc", "ssh://127.0.0.1/x", "git://127.0.0.1/x", "fd::17", "git@127.0.0.1:x", "-u", "",
        "https://x@y@127.0.0.1/", "https://127.0.0.1/\nx", "http://127.0.0.1/x",
    ],
)  # fmt: skip
async def test_nothing_but_https_is_accepted_as_an_address(tmp_path: Path, url: str) -> None:
    canary = tmp_path / "canary"
    url = url.format(canary=canary)
    if url:
        with pytest.raises(ConfigurationError, match="SOURCE_GIT_URL: must"):
            load_settings(None, source_git_url=url)
    place = Place("https", "example.org", 443, ("192.0.2.1",))
    async with only_one(tmp_path / "source") as lock:
        git = await open_git(load_settings(None), tmp_path / "source" / "mirror.git", place, lock)
        with pytest.raises(GitFailed):
            await _fetch(git, Repository(url, "HEAD", ""), "HEAD")
    assert not canary.exists()


@pytest.mark.parametrize(
    "ref", ["--upload-pack=touch {canary}", "-c", "-", "a b", "a:b", "+a", "a\n", "a;b", "$(x)", "a" * 201, "é"]
)
async def test_a_reference_that_is_none_never_reaches_git(
    origin: Origin, server: GitServer, settings_for: MakeSettings, tmp_path: Path, ref: str
) -> None:
    ref = ref.format(canary=tmp_path / "canary")
    with pytest.raises(ConfigurationError, match="SOURCE_GIT_REF"):
        settings_for(source_git_ref=ref)
    with pytest.raises(JobFailed, match="SOURCE_GIT_REF"):
        await fetch_git(settings_for().model_copy(update={"source_git_ref": ref}))
    assert server.paths == []
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("revision", ["", "..", "../..", "mirror.git", "--all", "A" * 40, "1" * 39, f"{'1' * 40}\n"])
async def test_a_revision_that_is_none_is_refused(origin: Origin, settings_for: MakeSettings, revision: str) -> None:
    with pytest.raises(JobFailed, match="not a revision"):
        await checkout_git(settings_for(), revision)


def test_git_gets_nothing_of_the_worker_s_environment_and_only_the_checked_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTPS_PROXY", "GIT_SSH_COMMAND", "GIT_EXEC_PATH", "OPENAI_API_KEY", "LD_PRELOAD"):
        monkeypatch.setenv(name, "x")
    place = Place("https", "git.example.org", 8443, ("192.0.2.1", "2001:db8::1"))
    environment = environment_of(load_settings(None, source_git_token=TOKEN), place)
    assert not {"HTTPS_PROXY", "GIT_SSH_COMMAND", "GIT_EXEC_PATH", "OPENAI_API_KEY", "LD_PRELOAD"} & set(environment)
    assert environment["GIT_ALLOW_PROTOCOL"] == "https"
    config = {
        environment[f"GIT_CONFIG_KEY_{n}"]: environment[f"GIT_CONFIG_VALUE_{n}"]
        for n in range(int(environment["GIT_CONFIG_COUNT"]))
    }
    assert config["http.curloptResolve"] == "git.example.org:8443:192.0.2.1,[2001:db8::1]"
    assert [name for name in config if name.endswith(".extraHeader")] == [
        "http.https://git.example.org:8443/.extraHeader"
    ]


async def test_over_tls_the_certificate_has_to_be_the_name_s(
    origin: Origin, settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def answered(*_: Any) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr("worker.ingestion.sources.addresses.look_up", answered)
    certificate = certificate_for("git.example.test", tmp_path)
    with git_server(tmp_path / "origins", speaking_tls(certificate)) as server:
        server.token = TOKEN
        url = f"https://git.example.test:{server.port}/book/.git"
        known = settings_for(source_git_url=url, source_git_token=TOKEN, source_ca_file=certificate)
        assert (await fetch(known)).revision == origin.git("rev-parse", "HEAD")
        server.authorizations.clear()
        other = url.replace("git.example.test", "other.example.test")
        for update in ({"source_ca_file": None}, {"source_git_url": other}):
            with pytest.raises(JobFailed, match="certificate that is not trusted"):
                await fetch(known.model_copy(update=update))
        assert server.authorizations == []


async def test_git_connects_to_the_address_that_was_checked_not_to_the_name(
    origin: Origin, server: GitServer, settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answered(*_: Any) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr("worker.ingestion.sources.addresses.look_up", answered)
    # No name server knows this name: only the pin can lead there.
    url = f"http://docs.does-not-exist.invalid:{server.port}/book/.git"
    assert (await fetch(settings_for(source_git_url=url))).revision == origin.git("rev-parse", "HEAD")
