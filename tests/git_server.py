"""A real git server on loopback: `git http-backend` behind a small HTTP server, and repositories to serve."""

from __future__ import annotations

import base64
import os
import subprocess
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.http_threads import Prepare, serving

#: Of whoever commits in tests; nothing of the machine's own configuration is read.
GIT_ENVIRONMENT = {
    "PATH": os.defpath, "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_ALLOW_PROTOCOL": "file",
}  # fmt: skip


@dataclass
class Origin:
    """A repository with a working tree, as its authors have it."""

    path: Path

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        command = ["git", "-C", str(self.path), *arguments]
        return (
            subprocess.run(command, input=stdin, env=GIT_ENVIRONMENT, check=True, capture_output=True)
            .stdout.decode()
            .strip()
        )

    def commit(self, files: Mapping[str, str | None]) -> str:
        """Write files, remove those that are None, and commit. Returns the commit's id."""
        for name, text in files.items():
            file = self.path / name
            if text is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "change")
        return self.git("rev-parse", "HEAD")

    def commit_tree(self, tree: bytes) -> str:
        """Commit a tree as its bytes are, which no git would write by itself."""
        written = self.git("hash-object", "-t", "tree", "--literally", "-w", "--stdin", stdin=tree)
        commit = self.git("commit-tree", written, "-m", "odd")
        self.git("update-ref", "refs/heads/main", commit)
        return commit

    def blob(self, text: str) -> bytes:
        return bytes.fromhex(self.git("hash-object", "-w", "--stdin", stdin=text.encode()))


def new_origin(path: Path, files: Mapping[str, str] | None = None) -> Origin:
    path.mkdir(parents=True)
    origin = Origin(path)
    origin.git("init", "--quiet", "--initial-branch=main")
    origin.commit(files or {"docs/index.md": "# Home\n\nWelcome.\n", "docs/guide.md": "# Guide\n\nRead.\n"})
    return origin


@dataclass
class GitServer:
    """What the server does beside serving, and what it has seen."""

    port: int
    #: The password that it wants; None lets everyone in.
    token: str | None = None
    #: Answered to every request in place of the repository.
    status: int | None = None
    location: str = ""
    #: Seconds before each answer.
    delay: float = 0
    paths: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}/.git"


def git_server(root: Path, prepare: Prepare | None = None) -> AbstractContextManager[GitServer]:
    """Serves every repository below a folder."""
    return serving(_handler(root), GitServer, prepare)


def _handler(root: Path) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            with suppress(ConnectionError):  # a client that was killed
                self._answer()

        do_GET = do_POST = answer

        def _answer(self) -> None:
            state: GitServer = self.server.state  # type: ignore[attr-defined]
            state.paths.append(self.path)
            given = self.headers.get("authorization", "")
            state.authorizations.append(given)
            time.sleep(state.delay)
            if state.status is not None:
                self.send_response(state.status)
                self.send_header("Location", state.location)
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif state.token is not None and _password(given) != state.token:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self._backend()

        def _backend(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.headers.get("transfer-encoding") == "chunked":
                body = b"".join(iter(self._chunk, b""))
            environment = {
                **GIT_ENVIRONMENT, "GIT_PROJECT_ROOT": str(root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query, "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("content-type", ""), "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
                "GIT_PROTOCOL": self.headers.get("git-protocol", ""), "REMOTE_ADDR": "127.0.0.1",
                "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
            }  # fmt: skip
            backend = ["git", "http-backend"]
            said = subprocess.run(backend, input=body, env=environment, check=False, capture_output=True).stdout
            head, _, rest = said.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest)

        def _chunk(self) -> bytes:
            size = int(self.rfile.readline(), 16)
            part = self.rfile.read(size)
            self.rfile.readline()
            return part

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def _password(authorization: str) -> str:
    kind, _, value = authorization.partition(" ")
    return base64.b64decode(value).decode().partition(":")[2] if kind == "Basic" else ""
