"""Which TCP ports the parts listen on."""

from __future__ import annotations

import errno
import ipaddress
import random
import socket
from typing import Final

from shared.errors import ConfigurationError

LAST_PORT: Final = 65_535
LOOPBACK: Final = "127.0.0.1"
#: Below the range from which systems take the ports of outgoing connections (Linux from 32768, macOS from
#: 49152), so that none of those can sit on a part's port while the part restarts.
PRIVATE_PORTS: Final = range(20_000, 32_000)
#: More than a machine has listeners in that range by chance.
ATTEMPTS: Final = 200


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is this machine as it talks to itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_free(host: str, port: int, option: str) -> None:
    """Raise ConfigurationError, one line naming the port and `option`, if nothing could listen there now."""
    if not 0 <= port <= LAST_PORT:
        raise ConfigurationError(f"port {port} does not exist; choose one up to {LAST_PORT} with {option}")
    try:
        with _bound(host, port):
            return
    except socket.gaierror:
        raise ConfigurationError(f"{host} is not an address of this machine; choose another with --host") from None
    except OSError as error:
        raise ConfigurationError(f"{_fault(error, host, port)}; choose another with {option}") from None


def _fault(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use by another program"
    if error.errno == errno.EACCES:
        return f"port {port} on {host} is reserved for root"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine"
    return f"port {port} on {host} cannot be used ({error.strerror})"


def pick_free(count: int) -> tuple[int, ...]:
    """`count` different loopback ports that nothing listens on now.

    Raises ConfigurationError when there are none: then this machine lets nobody listen on loopback.
    """
    ports: list[int] = []
    for port in random.sample(PRIVATE_PORTS, ATTEMPTS):
        try:
            _bound(LOOPBACK, port).close()
        except OSError:
            continue
        ports.append(port)
        if len(ports) == count:
            return tuple(ports)
    raise ConfigurationError(f"no free port between {PRIVATE_PORTS.start} and {PRIVATE_PORTS.stop} on {LOOPBACK}")


def _bound(host: str, port: int) -> socket.socket:
    """A socket that holds the address without listening; close it to give the address back."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        # As the servers do it: a port whose last connections are in TIME_WAIT counts as free.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound
