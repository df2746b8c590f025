"""`lectern export` and `lectern import` as processes beside a running Lectern, one of them killed half-way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.stand_in.fixtures import Provider
from tests.system import System, environment, until

SECTIONS = "".join(f"## Section {s}\n\n{f'Sentence {s} says something. ' * 30}\n\n" for s in range(8))


def write_site(docs: Path, edition: str, pages: int) -> None:
    docs.mkdir(exist_ok=True)
    for number in range(pages):
        (docs / f"page-{number:02}.md").write_text(f"# Page {number}, {edition}\n\n{SECTIONS}", encoding="utf-8")


def lectern(home: Path, *words: str, stdin: int | None = None, **settings: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cli.main", *words, "--home", str(home)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=home.parent, env=environment(settings), stdin=stdin, stdout=pipe, stderr=pipe)


def finished(process: subprocess.Popen[bytes], *, data: bytes | None = None) -> bytes:
    """What the command has written to its standard output, once it has ended well."""
    out, error = process.communicate(data, timeout=60)
    assert process.returncode == 0, error.decode()
    return out


def imports_of(system: System) -> list[dict[str, object]]:
    """The jobs that are imports, newest first."""
    tasks = system.api.get("/ingest/status", headers=system.admin).json()["tasks"]
    return [task for task in tasks if task["content_path"] == "standard input"]


def test_an_import_that_is_killed_changes_nothing_and_can_be_run_again(tmp_path: Path, provider: Provider) -> None:
    docs = tmp_path / "docs"
    embedding = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_EMBEDDING_MODEL": "stand-in"}
    write_site(docs, "first edition", pages=40)
    with System(tmp_path / "home", docs, **embedding) as system:
        assert system.ingest()["release"] == 1
        first = system.points()
        archive = finished(lectern(system.home, "export", "-"))
        write_site(docs, "second edition", pages=30)
        assert system.ingest()["release"] == 2
        second = system.points()

        importing = lectern(system.home, "import", "-", stdin=subprocess.PIPE)
        assert importing.stdin is not None
        importing.stdin.write(archive[: len(archive) * 3 // 4])
        importing.stdin.flush()
        until(lambda: imports_of(system) and imports_of(system)[0]["documents_processed"], 30)
        importing.kill()
        importing.communicate()
        until(lambda: imports_of(system)[0]["state"] == "failed", 40)
        assert imports_of(system)[0]["reason"] == ("the import was interrupted, and nothing was changed; run it again")
        assert system.points() == second

        told = finished(lectern(system.home, "import", "-", stdin=subprocess.PIPE), data=archive).decode()
        assert told.startswith("release 3 is live")
        assert texts(system.points()) == texts(first)


def texts(points: dict[str, dict[str, object]]) -> set[tuple[object, object]]:
    return {(point["path"], point["text"]) for point in points.values() if point["record"] == "chunk"}


def test_without_stores_the_command_says_so_in_one_line_and_leaves_no_file(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"
    process = lectern(tmp_path / "home", "export", "there.lectern", QDRANT_URL=nobody)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (3, b"", b"lectern: Qdrant does not answer\n")
    assert list(tmp_path.iterdir()) == []
