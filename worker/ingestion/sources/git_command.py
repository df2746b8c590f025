"""Runs the `git` program so that neither a repository nor a server can make it do anything but fetch.

What it is kept from: other protocols than the address's own, hooks, credential helpers, configuration and variables of
whoever runs the worker, proxies, redirects, submodules, filters such as LFS, questions at a terminal, growing without
bound. The token reaches it through its environment: arguments can be read by everyone on the machine.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from shared.errors import JobFailed
from shared.settings import Settings
from worker.ingestion.sources.addresses import Place

#: The first one that can be told which address a host has (http.curloptResolve).
OLDEST_GIT: Final = (2, 37)
#: A server that sends less than this many bytes a second for that many seconds is given up.
SLOWEST: Final = (1000, 20)
#: Bytes of a listing: some 500,000 files.
LISTING_BYTES: Final = 64 * 2**20
#: Bytes of what git complains that are looked at.
COMPLAINT_BYTES: Final = 64 * 1024
LOOK_SECONDS: Final = 0.2

_CONFIG: Final = (
    "core.hooksPath=/dev/null",
    "core.symlinks=false",
    "core.fsmonitor=false",
    "core.bigFileThreshold=8m",
    "credential.helper=",
    "fetch.recurseSubmodules=false",
    "fetch.unpackLimit=1",
    "fetch.writeCommitGraph=false",
    "gc.auto=0",
    "http.followRedirects=false",
    "maintenance.auto=false",
    "protocol.ext.allow=never",
    "protocol.file.allow=never",
    "safe.directory=*",
    "submodule.recurse=false",
    "transfer.bundleURI=false",
)


class GitFailed(Exception):
    """Raised when git ends with an error; `said` is what it complained, cleaned, the last line last."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


@dataclass(frozen=True, slots=True)
class Running:
    """A git process and the ends of its pipes."""

    process: asyncio.subprocess.Process
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader


@dataclass(frozen=True, slots=True)
class Git:
    """The program, set up for one repository on disk and one server."""

    program: str
    repository: Path
    #: Holds the token.
    environment: Mapping[str, str] = field(repr=False)
    #: The source's lock. Git holds it too: one whose worker was killed writes on until it notices.
    lock: int
    #: Bytes that the repository may have on disk.
    most_bytes: int

    async def run(self, *arguments: str, grows: bool = False) -> bytes:
        """What git writes to standard output. Raises GitFailed.

        `grows` says that the repository may: JobFailed is raised, and git killed, once it is too large.
        """
        async with self.running(*arguments) as git:
            git.stdin.close()
            watching = asyncio.create_task(self._watch(git.process)) if grows else None
            try:
                output, said = await asyncio.gather(_listing(git), _complaint(git))
                code = await git.process.wait()
            finally:
                if watching is not None:
                    watching.cancel()
        if grows and await asyncio.to_thread(self.size) > self.most_bytes:
            raise too_large(self.most_bytes)
        if code != 0:
            raise GitFailed(cleaned(said))
        return output

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[Running]:
        """A git process with pipes; it and whatever it started are gone at the end."""
        process = await asyncio.create_subprocess_exec(
            *self.command(*arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment,
            cwd=self.repository.parent,
            start_new_session=True,
            pass_fds=(self.lock,),
        )
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise RuntimeError("a process that was asked for pipes has none")
        try:
            yield Running(process, process.stdin, process.stdout, process.stderr)
        finally:
            _kill(process)
            await process.wait()

    def command(self, *arguments: str) -> list[str]:
        configured = [part for setting in _CONFIG for part in ("-c", setting)]
        return [self.program, *configured, f"--git-dir={self.repository}", *arguments]

    def size(self) -> int:
        """Bytes of the repository on disk."""
        total = 0
        for folder, _, names in os.walk(self.repository):
            for name in names:
                with suppress(OSError):  # renamed or removed by git, just now
                    total += os.lstat(os.path.join(folder, name)).st_size
        return total

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        while True:
            if await asyncio.to_thread(self.size) > self.most_bytes:
                _kill(process)
                return
            await asyncio.sleep(LOOK_SECONDS)


async def open_git(settings: Settings, repository: Path, place: Place, lock: int) -> Git:
    """Git for a repository on disk, allowed to speak to one place. Raises JobFailed if the program cannot be used."""
    program = shutil.which("git", path=os.defpath + ":/usr/local/bin:/opt/homebrew/bin")
    if program is None:
        raise JobFailed("git is not installed where the worker runs; install it, for example with: apt install git")
    git = Git(program, repository, environment_of(settings, place), lock, settings.source_max_bytes)
    version = re.search(rb"(\d+)\.(\d+)", await git.run("version"))
    if version is None or (int(version[1]), int(version[2])) < OLDEST_GIT:
        wanted = ".".join(map(str, OLDEST_GIT))
        raise JobFailed(f"the worker's git is too old; git {wanted} or later is needed")
    return git


def environment_of(settings: Settings, place: Place) -> dict[str, str]:
    """The whole environment of git: nothing of the worker's own is handed on."""
    config = {} if _is_literal(place.host) else {"http.curloptResolve": _pin(place)}
    if settings.source_git_token is not None:
        login = f"{settings.source_git_user}:{settings.source_git_token.get_secret_value()}"
        host = f"[{place.host}]" if ":" in place.host else place.host
        # For this server alone, whatever git might be led to ask for.
        scope = f"http.{place.scheme}://{host}:{place.port}/.extraHeader"
        config[scope] = f"Authorization: Basic {base64.b64encode(login.encode()).decode()}"
    least, seconds = SLOWEST
    return {
        "PATH": os.defpath,
        "HOME": "/nonexistent",
        "XDG_CONFIG_HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": place.scheme,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_HTTP_LOW_SPEED_LIMIT": str(least),
        "GIT_HTTP_LOW_SPEED_TIME": str(seconds),
        **({"GIT_SSL_CAINFO": str(settings.source_ca_file.absolute())} if settings.source_ca_file else {}),
        "GIT_CONFIG_COUNT": str(len(config)),
        **{f"GIT_CONFIG_KEY_{number}": name for number, name in enumerate(config)},
        **{f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(config.values())},
    }


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _pin(place: Place) -> str:
    """`docs.example.org:443:192.0.2.1,[2001:db8::1]`: what git's HTTP library takes for the host's only addresses."""
    addresses = ",".join(f"[{address}]" if ":" in address else address for address in place.addresses)
    return f"{place.host}:{place.port}:{addresses}"


def too_large(most_bytes: int) -> JobFailed:
    return JobFailed(
        f"the repository is larger than {most_bytes:,} bytes, and nothing was changed; raise SOURCE_MAX_BYTES"
    )


def cleaned(said: bytes) -> str:
    """What git complained, without control characters and without what the server said in its own words."""
    lines = (line.strip() for line in said.decode("utf-8", "replace").splitlines())
    kept = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return "\n".join("".join(c if c.isprintable() else "?" for c in line)[:300] for line in kept[-5:])


async def _listing(git: Running) -> bytes:
    """All that git writes. Raises JobFailed if it does not end: a few small trees can stand for a billion files."""
    kept = bytearray()
    while part := await git.stdout.read(64 * 1024):
        kept += part
        if len(kept) > LISTING_BYTES:
            _kill(git.process)
            raise JobFailed("the repository has too many files; narrow it down with SOURCE_GIT_FOLDER")
    return bytes(kept)


async def _complaint(git: Running) -> bytes:
    """The end of what git complains."""
    kept = b""
    while part := await git.stderr.read(64 * 1024):
        kept = (kept + part)[-COMPLAINT_BYTES:]
    return kept


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
