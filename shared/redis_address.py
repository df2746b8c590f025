"""REDIS_URL taken apart, and put into the terms of each client. Connects to nothing.

    redis://user:password@host:6379/0                            one server, or a managed one behind one name
    redis+sentinel://user:password@a:26379,b:26379/mymaster/0    the primary that these Sentinels name
    rediss://...  rediss+sentinel://...                          the same over TLS, the Sentinels too

redis-py and Celery's transport read such addresses differently: one asks for a certificate where the other takes any,
and neither knows the other's spelling of Sentinels. So neither is given the address itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

REDIS_PORT: Final = 6379
SENTINEL_PORT: Final = 26379
#: What may stand behind the `?`, by the names that both clients have for it.
TLS_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
TLS_OPTIONS: Final = (*TLS_FILES, "ssl_cert_reqs", "ssl_check_hostname")
SENTINEL_OPTIONS: Final = ("sentinel_username", "sentinel_password")
CERTIFICATE_CHECKS: Final = ("none", "optional", "required")
#: Whether the certificate is for the host that was asked for.
HOSTNAME_CHECKS: Final = {"true": True, "false": False}

PERCENT_ENCODED: Final = "in a password, write / ? # and % percent-encoded"

#: A password may hold an @; nothing else of these may stand in one without being percent-encoded.
_URL: Final = re.compile(
    r"(?P<scheme>rediss?(?:\+sentinel)?)://(?:(?P<login>[^/?#]*)@)?(?P<hosts>[^/?#@]*)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?"
)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis is, and how to get in."""

    #: Of the server, or of the Sentinels.
    hosts: tuple[tuple[str, int], ...]
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    #: The name that the Sentinels know the primary by; None for a server's own address.
    primary: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    #: TLS options by redis-py's names; None without TLS.
    tls: Mapping[str, Any] | None = None


def parse_redis_address(url: str) -> RedisAddress:
    """Take an address apart. Raises ValueError that says what is wrong and repeats nothing, for it may be a secret."""
    found = _URL.fullmatch(url.strip())
    if found is None:
        raise ValueError(
            "must start with redis:// or rediss:// (Valkey answers to redis:// too), or with redis+sentinel:// or "
            f"rediss+sentinel://; {PERCENT_ENCODED}"
        )
    has_tls, by_sentinel = found["scheme"].startswith("rediss"), found["scheme"].endswith("+sentinel")
    hosts = _hosts(found["hosts"], SENTINEL_PORT if by_sentinel else REDIS_PORT)
    if len(hosts) > 1 and not by_sentinel:
        raise ValueError("holds several hosts, which only redis+sentinel:// and rediss+sentinel:// may")
    primary, database = _path(found["path"] or "", by_sentinel=by_sentinel)
    options = _options(found["query"] or "", has_tls=has_tls, by_sentinel=by_sentinel)
    username, _, password = (found["login"] or "").partition(":")
    return RedisAddress(
        hosts=hosts,
        database=database,
        username=unquote(username) or None,
        password=unquote(password) or None,
        primary=primary,
        sentinel_username=options.get("sentinel_username"),
        sentinel_password=options.get("sentinel_password"),
        tls=_tls(options) if has_tls else None,
    )


def server_options(address: RedisAddress) -> dict[str, Any]:
    """How redis-py gets into the server, wherever that is."""
    return {
        "db": address.database, "username": address.username, "password": address.password, **_tls_switch(address)
    }  # fmt: skip


def sentinel_options(address: RedisAddress) -> dict[str, Any]:
    """How redis-py gets into the Sentinels."""
    return {
        "username": address.sentinel_username, "password": address.sentinel_password, **_tls_switch(address)
    }  # fmt: skip


def broker_url(address: RedisAddress) -> str:
    """The address for Celery. Each Sentinel has the whole of it: Celery goes on to the next one when one is gone."""
    scheme = "sentinel" if address.primary else "rediss" if address.tls is not None else "redis"
    has_login = address.username is not None or address.password is not None
    login = f"{_quoted(address.username)}:{_quoted(address.password)}@" if has_login else ""
    return ";".join(f"{scheme}://{login}{_host(host)}:{port}/{address.database}" for host, port in address.hosts)


def broker_tls(address: RedisAddress) -> dict[str, Any] | None:
    """Celery's `broker_use_ssl`. Without it, Celery would talk TLS to anybody, whatever certificate they show."""
    return None if address.tls is None else dict(address.tls)


def _hosts(text: str, default_port: int) -> tuple[tuple[str, int], ...]:
    try:
        parts = [urlsplit(f"//{part}") for part in text.split(",")]
        return tuple((part.hostname or "localhost", part.port or default_port) for part in parts)
    except ValueError:
        raise ValueError(f"has a host or port that cannot be; {PERCENT_ENCODED}") from None


def _path(path: str, *, by_sentinel: bool) -> tuple[str | None, int]:
    """The primary's name, if there are Sentinels to ask for it, and the number of the database."""
    parts = [unquote(part) for part in path.split("/") if part]
    primary = parts.pop(0) if by_sentinel and parts else None
    if by_sentinel and primary is None:
        raise ValueError("needs the name that the Sentinels know the primary by, as in redis+sentinel://host/mymaster")
    database = parts.pop(0) if parts else "0"
    if parts or not database.isdecimal():
        raise ValueError("must end with the number of the database, such as /0")
    return primary, int(database)


def _options(query: str, *, has_tls: bool, by_sentinel: bool) -> dict[str, str]:
    allowed = (TLS_OPTIONS if has_tls else ()) + (SENTINEL_OPTIONS if by_sentinel else ())
    options = dict(parse_qsl(query, keep_blank_values=True))
    if not options.keys() <= set(allowed):
        known = ", ".join(allowed) if allowed else "no option without TLS and Sentinels"
        raise ValueError(f"holds an option that is not known behind its question mark; known here: {known}")
    return options


def _tls(options: Mapping[str, str]) -> dict[str, Any]:
    """The server's certificate is checked unless the address says otherwise."""
    tls: dict[str, Any] = {"ssl_cert_reqs": "required"}
    tls |= {name: value for name, value in options.items() if name in TLS_OPTIONS}
    tls["ssl_cert_reqs"] = tls["ssl_cert_reqs"].lower().removeprefix("cert_")
    if tls["ssl_cert_reqs"] not in CERTIFICATE_CHECKS:
        raise ValueError("ssl_cert_reqs: must be required, optional or none")
    tls["ssl_check_hostname"] = HOSTNAME_CHECKS.get(tls.get("ssl_check_hostname", "true").lower())
    if tls["ssl_check_hostname"] is None:
        raise ValueError("ssl_check_hostname: must be true or false")
    return tls


def _tls_switch(address: RedisAddress) -> dict[str, Any]:
    return {} if address.tls is None else {"ssl": True, **address.tls}


def _quoted(text: str | None) -> str:
    return quote(text or "", safe="")


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
