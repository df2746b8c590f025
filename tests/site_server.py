"""A site on loopback whose pages are scripted, and which counts what is asked of it."""

from __future__ import annotations

import gzip
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.http_threads import Prepare, serving


@dataclass(frozen=True, slots=True)
class Page:
    body: bytes | str = ""
    kind: str = "text/html; charset=utf-8"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Seconds before the answer.
    delay: float = 0
    #: Sends bytes for as long as somebody reads.
    endless: bool = False


def html(title: str, text: str = "Text.") -> str:
    return f"<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>"


@dataclass
class SiteServer:
    port: int
    pages: dict[str, Page] = field(default_factory=dict)
    #: Path and headers of each request, names in lower case.
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    #: Statuses that were answered with.
    answered: list[int] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def sitemap_url(self) -> str:
        return f"{self.url}/sitemap.xml"

    def lists(self, *paths: str, at: str = "/sitemap.xml", packed: bool = False) -> None:
        """Let a sitemap list pages, by their paths or whole addresses."""
        text = sitemap(*(path if "://" in path else self.url + path for path in paths)).encode()
        body = gzip.compress(text) if packed else text
        self.pages[at] = Page(body, "application/gzip" if packed else "application/xml")

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


def sitemap(*urls: str, kind: str = "urlset") -> str:
    inner = "url" if kind == "urlset" else "sitemap"
    entries = "".join(f"<{inner}><loc>{url}</loc></{inner}>" for url in urls)
    return f'<?xml version="1.0"?><{kind} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</{kind}>'


def site_server(prepare: Prepare | None = None) -> AbstractContextManager[SiteServer]:
    return serving(_handler(), SiteServer, prepare)


def certificate_for(host: str, folder: Path) -> Path:
    """A key and a certificate that it has signed itself, in one file."""
    key, certificate, both = folder / "key.pem", folder / "certificate.pem", folder / "both.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={host}",
        "-addext", f"subjectAltName=DNS:{host}", "-keyout", str(key), "-out", str(certificate),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    both.write_text(key.read_text() + certificate.read_text())
    return both


def speaking_tls(certificate: Path) -> Callable[[ThreadingHTTPServer], None]:
    """What lets a server speak TLS with such a file."""

    def prepare(server: ThreadingHTTPServer) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)

    return prepare


def _handler() -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            state: SiteServer = self.server.state  # type: ignore[attr-defined]
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.asked.append((self.path, headers))
            state.at_once += 1
            state.most_at_once = max(state.most_at_once, state.at_once)
            page = state.pages.get(self.path, Page("not there", status=404))
            time.sleep(page.delay)
            with suppress(ConnectionError):
                self._send(state, page, headers)
            state.at_once -= 1

        def _send(self, state: SiteServer, page: Page, headers: Mapping[str, str]) -> None:
            known = {headers.get("if-none-match"), headers.get("if-modified-since")} - {None}
            status = 304 if known & set(page.headers.values()) else page.status
            state.answered.append(status)
            self.send_response(status)
            body = page.body.encode() if isinstance(page.body, str) else page.body
            body = b"" if status == 304 else body
            self.send_header("Content-Type", page.kind)
            for name, value in page.headers.items():
                self.send_header(name, value)
            if page.endless:
                self.close_connection = True
                self.end_headers()
                while True:
                    self.wfile.write(body or b"x" * 65536)
            if "Content-Length" not in page.headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
