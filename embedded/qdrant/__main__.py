"""`python -m embedded.qdrant --data DIR --port N --api-key-file PATH`

Serves until SIGTERM or SIGINT, then flushes and ends with 0. When it can be used, it writes one line to its standard
output, `listening on http://127.0.0.1:PORT`; `GET /readyz` says the same. If it cannot start, it writes one line to
its standard error and ends with 2.
"""

from __future__ import annotations

import argparse
import ipaddress
import logging
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

import uvicorn

from embedded.qdrant.errors import CannotStart
from embedded.qdrant.server import build_app
from embedded.qdrant.store import Store

#: Megabytes that must stay free on the disk: several seconds of the fastest upserts.
_LEAST_FREE_MB = 256
#: Seconds for requests that run when the process is told to stop; with the flush, under three seconds in all.
_GRACE = 1
#: Seconds that an idle connection is kept: longer than clients keep theirs, so that they never send into a closed one.
_KEEP_ALIVE = 75


def main(arguments: list[str] | None = None) -> int:
    """Run the server; the process's exit code."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s qdrant: %(message)s")
    try:
        api_key = _read_key(options.api_key_file)
        host = _address(options.host, api_key)
        store = Store(options.data, options.min_free_mb << 20)
        try:
            listener = _listen(host, options.port)
            _serve(store, api_key, listener)
        finally:
            store.close()
    except CannotStart as refusal:
        sys.stderr.write(f"qdrant: {refusal}\n")
        return 2
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("embedded.qdrant", description="Qdrant Edge behind Qdrant's REST API.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the collections; made if missing")
    parser.add_argument("--host", default="127.0.0.1", help="loopback, or with a key any address")
    parser.add_argument("--port", type=int, default=6333, help="0 for any free one")
    parser.add_argument("--api-key-file", type=Path, help="file with the key that clients must send")
    parser.add_argument(
        "--min-free-mb",
        type=int,
        default=_LEAST_FREE_MB,
        help="megabytes of the disk that writes leave free (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def _serve(store: Store, api_key: str | None, listener: socket.socket) -> None:
    server = uvicorn.Server(
        uvicorn.Config(
            build_app(store, api_key),
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_GRACE,
        )
    )

    def stop(_: int, __: FrameType | None) -> None:
        server.should_exit = True

    # The server takes the signals over, and raises them again when it has stopped: then they end here, and the
    # store can still be closed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    address, port = listener.getsockname()[:2]
    sys.stdout.write(f"listening on http://{f'[{address}]' if ':' in address else address}:{port}\n")
    sys.stdout.flush()
    server.run(sockets=[listener])


def _address(host: str, api_key: str | None) -> str:
    address = "127.0.0.1" if host == "localhost" else host
    try:
        is_loopback = ipaddress.ip_address(address).is_loopback
    except ValueError as error:
        raise CannotStart(f"{host} is not an IP address, e.g. 127.0.0.1") from error
    if not is_loopback and api_key is None:
        raise CannotStart(f"{host} is not a loopback address; other machines need a key: give --api-key-file")
    return address


def _read_key(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        key = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStart(f"cannot read the API key from {path}: {error}") from error
    if not key:
        raise CannotStart(f"the API key file {path} is empty")
    return key


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise CannotStart(f"cannot listen on {host}:{port}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
