"""Redis as it is rented: over TLS, with a user of its own, in a database that is not the first."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu.exceptions import OperationalError
from starlette.datastructures import Headers

from api.limits import Limiter
from api.security import Keys
from shared.queue import make_celery
from shared.redis_clients import blocking_redis, close_redis
from shared.services import open_redis
from shared.settings import Settings, load_settings
from tests.stores import running_valkey

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="certificates are made with openssl")

USER, PASSWORD, IN_URL = "lectern", "pä:ss%word@1", "p%C3%A4%3Ass%25word%401"
DATABASE = 3


@dataclass(frozen=True, slots=True)
class Managed:
    """A server that talks TLS only and wants a certificate of its clients."""

    port: int
    certificates: Path

    def settings(self, **changes: str | None) -> Settings:
        options = {
            "ssl_ca_certs": f"{self.certificates}/ca.crt", "ssl_certfile": f"{self.certificates}/client.crt",
            "ssl_keyfile": f"{self.certificates}/client.key", **changes,
        }  # fmt: skip
        query = "&".join(f"{name}={value}" for name, value in options.items() if value is not None)
        return load_settings(None, redis_url=f"rediss://{USER}:{IN_URL}@localhost:{self.port}/{DATABASE}?{query}")


@pytest.fixture(scope="module")
def managed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Managed]:
    folder = tmp_path_factory.mktemp("managed")
    make_certificates(folder)
    with running_valkey(folder) as url:
        with redis.Redis.from_url(url) as client:
            client.acl_setuser(USER, enabled=True, passwords=[f"+{PASSWORD}"], keys=["*"], channels=["*"],
                               categories=["+@all"])  # fmt: skip
        with tls_before(int(url.rpartition(":")[2].partition("/")[0]), folder) as port:
            yield Managed(port, folder)


def make_certificates(folder: Path) -> None:
    """An authority, and certificates of it for a server called localhost and for a client."""
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority",
            "-keyout", "ca.key", "-out", "ca.crt", folder=folder)  # fmt: skip
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("server", "client"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr", folder=folder)  # fmt: skip
        openssl("x509", "-req", "-days", "2", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                "-CAcreateserial", "-extfile", "names", "-out", f"{name}.crt", folder=folder)  # fmt: skip


def openssl(*arguments: str, folder: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@contextmanager
def tls_before(port: int, folder: Path) -> Iterator[int]:
    """A TLS server whose bytes go to the plain one at `port`. The port that it listens on."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, to_writer), pump(to_reader, writer))

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.close()

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(connect, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield int(server.sockets[0].getsockname()[1])
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    server.close()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0.1))
    loop.close()


# What each part does with Redis. Raises what its client raises.


async def api_and_worker(settings: Settings) -> None:
    client = open_redis(settings)
    try:
        await client.set("lectern:asked", "1")
        told = await client.client_info()
    finally:
        await close_redis(client)
    assert (told["db"], told["user"]) == (DATABASE, USER)


async def limits(settings: Settings) -> None:
    limiter = Limiter(settings, Keys(settings))
    verdict = await limiter.hit("/chat", Headers({}), "192.0.2.1")
    await limiter.close()
    if verdict is None:
        raise redis.ConnectionError("not counted")


async def heartbeat(settings: Settings) -> None:
    with blocking_redis(settings.redis_address, socket_timeout=2, socket_connect_timeout=2) as client:
        client.set("lectern:beat", "1")


async def queue(settings: Settings) -> None:
    with make_celery(settings).connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0)
        channel: Any = connection.default_channel
        told = channel.client.client_info()
    assert (told["db"], told["user"]) == (DATABASE, USER)


PARTS = pytest.mark.parametrize("part", [api_and_worker, limits, heartbeat, queue])
Part = Callable[[Settings], Awaitable[None]]


@PARTS
async def test_every_part_gets_in_with_certificates_user_and_database(managed: Managed, part: Part) -> None:
    await part(managed.settings())


@PARTS
async def test_no_part_talks_to_a_server_whose_certificate_nobody_vouches_for(managed: Managed, part: Part) -> None:
    with pytest.raises((redis.ConnectionError, OperationalError)):
        await part(managed.settings(ssl_ca_certs=None))


@PARTS
async def test_a_certificate_goes_unchecked_if_the_address_says_so(managed: Managed, part: Part) -> None:
    await part(managed.settings(ssl_ca_certs=None, ssl_cert_reqs="none"))


@PARTS
async def test_without_a_certificate_of_its_own_no_part_gets_in(managed: Managed, part: Part) -> None:
    with pytest.raises((redis.ConnectionError, OperationalError, OSError)):
        await part(managed.settings(ssl_certfile=None, ssl_keyfile=None))
