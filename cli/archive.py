"""`lectern export` and `lectern import`: releases to a file and a release from one, straight from and to the stores.

An archive is as large as the index; through the API it would compete with visitors, and an API has to run for it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

from cli.errors import OK, BadInput, CommandError, Unreachable
from cli.files import STANDARD, written_whole
from cli.output import amount, complain, duration, say
from embedded.home import Home, find_running
from embedded.ports import LOOPBACK, is_loopback
from shared.archive_export import export_archive
from shared.archive_format import ArchiveReader
from shared.archive_import import Request, import_archive, read_aside
from shared.errors import DependencyDown, InvalidInput, LeaseLost, LecternError, NotFound
from shared.models import Release
from shared.services import open_services
from shared.settings import Settings, load_settings

#: Between two lines about how far it is.
REPORT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Choice:
    """A file, and a release by its number; without one all of them are exported, and the live one is imported."""

    file: str
    release: int | None


async def export(home: Path, choice: Choice, *, overwrite: bool) -> int:
    """Write an archive. Returns the exit code."""
    settings = store_settings(home)
    progress = Progress("exported")
    with _explained(), _target(choice.file, overwrite=overwrite) as stream:
        async with open_services(settings) as services:
            exported = await export_archive(services, stream, choice.release, progress.report)
    numbers = [release.number for release in exported.releases]
    held = f"release {numbers[0]}" if len(numbers) == 1 else f"releases {numbers[0]} to {numbers[-1]}"
    # Standard output may be the archive itself.
    complain(f"{held} exported: {progress.facts(exported.pages, exported.chunks)}")
    return OK


async def import_(home: Path, choice: Choice, *, wait_seconds: float) -> int:
    """Make a release of an archive the live one. Returns the exit code."""
    settings = store_settings(home)
    progress = Progress("imported")
    with _explained(), _source(choice.file) as stream:
        reader = await read_aside(lambda: ArchiveReader(stream))
        source = reader.header.release(choice.release)
        name = "standard input" if choice.file == STANDARD else Path(choice.file).name
        complain(f"importing {_described(source)}, written by Lectern {reader.header.program}")
        async with open_services(settings) as services:
            request = Request(name, choice.release, wait_seconds)
            job = await import_archive(services, reader, request, complain, progress.report)
    written = job.totals.get("chunks_written", 0)
    say(f"{job.reason} ({amount(written, 'passage')} written in {progress.elapsed()})")
    return OK


def store_settings(home: Path) -> Settings:
    """Where the stores are: those of the instance that runs in `home`, else those of the settings."""
    running = find_running(home)
    if running is None:
        return load_settings()
    secrets = Home(running.home)
    stores: dict[str, Any] = {
        "qdrant_url": running.qdrant_url,
        "redis_url": f"redis://:{secrets.secret('redis.password')}@{LOOPBACK}:{running.valkey_port}/0",
    }
    if is_loopback(urlsplit(running.qdrant_url).hostname or ""):
        stores["qdrant_api_key"] = secrets.secret("qdrant.key")  # a Qdrant elsewhere has the key of the settings
    return load_settings(**stores)


class Progress:
    """A line now and then."""

    def __init__(self, done: str) -> None:
        self._done = done
        self._started = self._shown_at = time.monotonic()

    def report(self, pages: int, chunks: int) -> None:
        if time.monotonic() - self._shown_at > REPORT_SECONDS:
            self._shown_at = time.monotonic()
            complain(f"{self._done} {self.facts(pages, chunks)}")

    def facts(self, pages: int, chunks: int) -> str:
        """`40 pages, 512 passages in 3 s`"""
        return f"{amount(pages, 'page')}, {amount(chunks, 'passage')} in {self.elapsed()}"

    def elapsed(self) -> str:
        return duration(time.monotonic() - self._started)


@contextmanager
def _target(file: str, *, overwrite: bool) -> Iterator[BinaryIO]:
    if file == STANDARD and sys.stdout.isatty():
        raise BadInput("an archive is not for a terminal; name a file, or send it on: lectern export - > FILE")
    with written_whole(file, overwrite=overwrite) as stream:
        yield stream


@contextmanager
def _source(file: str) -> Iterator[BinaryIO]:
    if file == STANDARD:
        # Below its buffer, whose lock a read that never ends would hold when the process wants to.
        yield getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        return
    with Path(file).open("rb") as stream:
        yield stream


@contextmanager
def _explained() -> Iterator[None]:
    """Each expected failure as one line with its exit code."""
    try:
        yield
    except DependencyDown as error:
        raise Unreachable(error.message) from error
    except (InvalidInput, NotFound) as error:
        raise BadInput(error.message) from error
    except LeaseLost as error:
        raise CommandError("a worker took this import for dead and took it back; run it again") from error
    except LecternError as error:
        raise CommandError(error.message) from error
    except BrokenPipeError as error:
        raise CommandError("nobody reads the archive any more") from error
    except OSError as error:
        raise BadInput(f"{error.filename or 'the file'}: {error.strerror}") from error


def _described(release: Release) -> str:
    counts = f"{amount(release.documents, 'page')}, {amount(release.chunks, 'passage')}"
    return f"release {release.number} of {release.created_at[:16].replace('T', ' ')} UTC ({counts})"
