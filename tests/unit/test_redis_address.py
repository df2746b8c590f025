"""REDIS_URL taken apart, and what each client is given of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from shared.errors import ConfigurationError
from shared.queue import make_celery
from shared.redis_address import broker_tls, broker_url, parse_redis_address, sentinel_options, server_options
from shared.settings import load_settings

SENTINELS = "redis+sentinel://app:p%2Fw@a:26379,b,[::1]:26381/mymaster/2?sentinel_password=s%26p"


def test_a_server_s_address_has_its_parts() -> None:
    address = parse_redis_address("redis://app:p%40%3Aw@cache.example:6380/3")
    assert address.hosts == (("cache.example", 6380),)
    assert address.primary is None
    assert server_options(address) == {"db": 3, "username": "app", "password": "p@:w"}


@pytest.mark.parametrize("url", ["redis://", "redis:///", "redis:///0", "redis://localhost", "redis://localhost:6379/"])
def test_what_is_left_out_is_what_redis_has_of_itself(url: str) -> None:
    address = parse_redis_address(url)
    assert address.hosts == (("localhost", 6379),)
    assert server_options(address) == {"db": 0, "username": None, "password": None}
    assert broker_url(address) == "redis://localhost:6379/0"


def test_sentinels_have_their_own_password() -> None:
    address = parse_redis_address(SENTINELS)
    assert address.hosts == (("a", 26379), ("b", 26379), ("::1", 26381))
    assert (address.primary, address.database) == ("mymaster", 2)
    assert server_options(address)["password"] == "p/w"
    assert sentinel_options(address) == {"username": None, "password": "s&p"}


def test_celery_is_given_every_sentinel_with_the_whole_login() -> None:
    url = broker_url(parse_redis_address(SENTINELS))
    assert url.split(";") == [
        "sentinel://app:p%2Fw@a:26379/2", "sentinel://app:p%2Fw@b:26379/2", "sentinel://app:p%2Fw@[::1]:26381/2"
    ]  # fmt: skip
    for part in url.split(";"):
        connection = Connection(part)
        assert (connection.userid, connection.password, connection.virtual_host) == ("app", "p/w", "2")
        assert "p%2Fw" not in connection.as_uri()


def test_celery_is_told_how_to_ask_the_sentinels() -> None:
    options = make_celery(load_settings(None, redis_url=SENTINELS)).conf.broker_transport_options
    assert options["master_name"] == "mymaster"
    assert options["sentinel_kwargs"]["password"] == "s&p"
    assert options["global_keyprefix"] == "lectern:"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"ssl_cert_reqs": "required", "ssl_check_hostname": True}),
        ("?ssl_cert_reqs=none", {"ssl_cert_reqs": "none", "ssl_check_hostname": True}),
        ("?ssl_cert_reqs=CERT_OPTIONAL", {"ssl_cert_reqs": "optional", "ssl_check_hostname": True}),
        ("?ssl_check_hostname=False", {"ssl_cert_reqs": "required", "ssl_check_hostname": False}),
        (
            "?ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem",
            {
                "ssl_cert_reqs": "required", "ssl_check_hostname": True,
                "ssl_ca_certs": "/ca.pem", "ssl_certfile": "/c.pem", "ssl_keyfile": "/k.pem",
            },
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["rediss://h/0", "rediss+sentinel://h/mymaster/0"])
def test_with_tls_every_client_checks_the_certificate_unless_told_otherwise(
    scheme: str, query: str, expected: dict[str, Any]
) -> None:
    address = parse_redis_address(scheme + query)
    assert broker_tls(address) == expected
    assert server_options(address) == {"db": 0, "username": None, "password": None, "ssl": True, **expected}
    assert sentinel_options(address)["ssl"] is True


def test_without_tls_no_client_is_told_of_it() -> None:
    address = parse_redis_address("redis://h/0")
    assert broker_tls(address) is None
    assert "ssl" not in server_options(address)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://canary@h", "must start with redis://"),
        ("redis://:canary/x@h/0", "percent-encoded"),
        ("redis://:canary@h:99999/0", "a host or port that cannot be"),
        ("redis://:canary@h:port/0", "a host or port that cannot be"),
        ("redis://:canary@a,b/0", "several hosts"),
        ("redis://:canary@h/first", "the number of the database"),
        ("redis://:canary@h/0/1", "the number of the database"),
        ("redis+sentinel://:canary@h", "the name that the Sentinels know the primary by"),
        ("redis+sentinel://:canary@h/mymaster/x", "the number of the database"),
        ("redis://:canary@h/0?canary=1", "known here: no option"),
        ("redis://:canary@h/0?ssl_cert_reqs=none", "known here: no option"),
        ("rediss://:canary@h/0?sentinel_password=canary", "known here: ssl_ca_certs"),
        ("rediss://:canary@h/0?ssl_cert_reqs=canary", "ssl_cert_reqs: must be"),
        ("rediss://:canary@h/0?ssl_check_hostname=canary", "ssl_check_hostname: must be"),
        ("rediss://:canary@h/0?ssl_ca_certs=/nowhere/ca.pem", "ssl_ca_certs: there is no such file"),
    ],
)
def test_a_wrong_address_is_one_line_that_repeats_nothing_of_it(url: str, fault: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        load_settings(None, redis_url=url)
    assert fault in error.value.message
    assert error.value.message.startswith("REDIS_URL: ")
    assert "canary" not in error.value.message
    assert "\n" not in error.value.message


def test_a_certificate_that_is_there_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    settings = load_settings(None, redis_url=f"rediss://h/0?ssl_ca_certs={tmp_path}/ca.pem")
    assert settings.redis_address.tls is not None


def test_no_password_shows_in_an_address() -> None:
    assert "p/w" not in repr(parse_redis_address(SENTINELS))
    assert "s&p" not in repr(parse_redis_address(SENTINELS))
