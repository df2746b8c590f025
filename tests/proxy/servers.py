"""Proxies with the configurations that Lectern ships, and the processes behind them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import pytest

from embedded.ports import pick_free
from tests.stores import Stores
from tests.system import environment, until

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
NGINX_SITE: Final = DEPLOY / "nginx" / "lectern.conf"
CADDYFILE: Final = DEPLOY / "caddy" / "Caddyfile"
START_SECONDS: Final = 60
#: Whoever sets this variable wants a failure where the program is missing; others get a skipped test.
REQUIRED_BY: Final = {
    "nginx": "REQUIRE_NGINX", "openssl": "REQUIRE_NGINX", "curl": "REQUIRE_NGINX", "caddy": "REQUIRE_CADDY",
}  # fmt: skip
ADMIN_KEY: Final = "test-admin-key-0123456789"

#: What stands around the site on Debian: its nginx.conf, as far as it matters here.
AROUND: Final = """
pid nginx.pid;
error_log error.log;
events {{ worker_connections 256; }}
http {{
    sendfile on;
    tcp_nopush on;
    gzip on;
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    default_type application/octet-stream;
    types {{ text/html html; }}
    include {site};
}}
"""


def program(name: str) -> str:
    """Where a program is. Without it the test is skipped, or fails if its variable of REQUIRED_BY is set."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        reason = f"{name} is not installed; on Debian: apt-get install {name}"
        if os.environ.get(REQUIRED_BY[name]):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1 and its key, as files."""

    file: Path
    key: Path

    @property
    def trusted(self) -> ssl.SSLContext:
        """What a client needs that trusts it."""
        return ssl.create_default_context(cafile=str(self.file))


def self_signed(folder: Path) -> Certificate:
    made = Certificate(folder / "fullchain.pem", folder / "privkey.pem")
    subprocess.run(
        [
            program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-subj", "/CN=lectern.example.org", "-addext", "subjectAltName=IP:127.0.0.1,DNS:lectern.example.org",
            "-days", "2", "-keyout", str(made.key), "-out", str(made.file),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return made


@dataclass
class Api:
    """A process of `application`, which can be killed and started again at the same port."""

    stores: Stores
    folder: Path
    port: int = field(default_factory=lambda: pick_free(1)[0])
    process: subprocess.Popen[bytes] | None = None

    @property
    def notes(self) -> Path:
        return self.folder / f"notes-{self.port}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def noted(self, what: str) -> list[float]:
        """When answers of this process were `asked`, `left` or `finished`: time.monotonic() of each."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [note["at"] for note in map(json.loads, lines) if note["what"] == what]

    def start(self) -> None:
        settings = {
            **self.stores.environment, "TRUSTED_PROXIES": "127.0.0.1/32", "RATE_LIMIT_REQUESTS": "1000",
            "ALLOWED_ORIGINS": "https://docs.example.org", "ADMIN_API_KEY": ADMIN_KEY,
        }  # fmt: skip
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.proxy.application", str(self.port), str(self.notes)],
                env=environment(settings), stdout=log, stderr=log,
            )  # fmt: skip

    def wait(self) -> None:
        """Wait until it answers."""
        until(lambda: is_listening(self.port) or self._has_ended(), START_SECONDS, every=0.02)
        assert not self._has_ended(), self._log.read_text()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    @property
    def _log(self) -> Path:
        return self.folder / f"api-{self.port}.log"

    def _has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None


@contextmanager
def running_apis(stores: Stores, folder: Path, count: int) -> Iterator[list[Api]]:
    """So many processes, which start at the same time."""
    apis = [Api(stores, folder) for _ in range(count)]
    try:
        for api in apis:
            api.start()
        for api in apis:
            api.wait()
        yield apis
    finally:
        for api in apis:
            api.kill()


class BreakingServer:
    """An upstream that reads a request and hangs up without a word, as a process that dies does."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.requests: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.requests.append(connection.recv(65_536))


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy."""

    https: str
    http: str
    certificate: Certificate

    def client(self, address: str = "127.0.0.1") -> httpx.Client:
        """A visitor who calls from `address`, which is one of this machine's own."""
        transport = httpx.HTTPTransport(verify=self.certificate.trusted, local_address=address)
        return httpx.Client(base_url=self.https, transport=transport, timeout=20)


def site(certificate: Certificate, folder: Path, ports: tuple[int, int], upstreams: list[int]) -> dict[str, str]:
    """What has to be replaced in the shipped file for it to run here: parts of its text, and what takes their place."""
    http, https = ports
    servers = "\n".join(f"server 127.0.0.1:{port} max_fails=1 fail_timeout=2s;" for port in upstreams)
    return {
        "server 127.0.0.1:7860 max_fails=1 fail_timeout=2s;": servers,
        "listen 80;": f"listen 127.0.0.1:{http};",
        "listen [::]:80;": "",
        "listen 443 ssl http2;": f"listen 127.0.0.1:{https} ssl http2;",
        "listen [::]:443 ssl http2;": "",
        "/etc/letsencrypt/live/lectern.example.org/fullchain.pem": str(certificate.file),
        "/etc/letsencrypt/live/lectern.example.org/privkey.pem": str(certificate.key),
        "/var/log/nginx/": f"{folder}/",
    }


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """The text with all changes made. A change that changes nothing is a mistake."""
    for old, new in changes.items():
        # A line that is commented out is no setting.
        pattern = re.compile(rf"(?m)(^[^#\n]*?){re.escape(old)}")
        text, count = pattern.subn(lambda found, new=new: found[1] + new, text)  # type: ignore[misc]
        assert count, f"the shipped configuration no longer has {old!r}"
    return text


@contextmanager
def running_nginx(
    folder: Path, certificate: Certificate, upstreams: list[int], changes: Mapping[str, str] | None = None
) -> Iterator[Proxy]:
    """nginx with the shipped configuration before these ports. `changes` are made in the text on top."""
    binary = program("nginx")
    folder.mkdir()
    ports = pick_free(2)
    text = replaced(NGINX_SITE.read_text(), site(certificate, folder, (ports[0], ports[1]), upstreams))
    (folder / "lectern.conf").write_text(replaced(text, changes or {}))
    (folder / "nginx.conf").write_text(AROUND.format(site=folder / "lectern.conf"))
    command = [binary, "-p", str(folder), "-e", "error.log", "-c", "nginx.conf", "-g", "daemon off;"]
    with (folder / "error.log").open("w") as log:
        process = subprocess.Popen(command, stderr=log, text=True)
    with process, stopped_at_the_end(process, ports[1], folder / "error.log"):
        yield Proxy(f"https://127.0.0.1:{ports[1]}", f"http://127.0.0.1:{ports[0]}", certificate)


@contextmanager
def running_caddy(
    folder: Path, certificate: Certificate, upstreams: list[int], changes: Mapping[str, str] | None = None
) -> Iterator[Proxy]:
    """Caddy with the shipped configuration before these ports. `changes` are made in the text on top."""
    binary = program("caddy")
    folder.mkdir()
    http, https = pick_free(2)
    here = {
        "servers {": f"admin off\n auto_https disable_redirects\n http_port {http}\n https_port {https}\n servers {{",
        "127.0.0.1:7860": " ".join(f"127.0.0.1:{port}" for port in upstreams),
        "lectern.example.org {": f"https://127.0.0.1:{https} {{\n tls {certificate.file} {certificate.key}",
    }
    (folder / "Caddyfile").write_text(replaced(replaced(CADDYFILE.read_text(), here), changes or {}))
    command = [binary, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    own = {**os.environ, "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "error.log").open("w") as log:
        process = subprocess.Popen(command, env=own, stderr=log, text=True)
    with process, stopped_at_the_end(process, https, folder / "error.log"):
        yield Proxy(f"https://127.0.0.1:{https}", f"http://127.0.0.1:{http}", certificate)


@contextmanager
def stopped_at_the_end(process: subprocess.Popen[str], port: int, log: Path) -> Iterator[None]:
    """Wait until the process listens; stop it at the end."""
    try:
        until(lambda: is_listening(port) or process.poll() is not None, START_SECONDS, every=0.01)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)


def is_listening(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
