"""Rate limits: who shares a bucket, what the headers say, and what happens without Redis."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from embedded.ports import pick_free
from embedded.valkey import valkey_command
from shared.settings import Settings
from tests.http_api import ADMIN, Client, ask, serving, wait_for

MakeSettings = Callable[..., Settings]
LOOPBACK = (ip_network("127.0.0.0/8"),)


def used_up(response: httpx.Response) -> bool:
    assert response.status_code in (200, 429), response.text
    return response.status_code == 429


def test_who_asks_too_often_is_told_when_to_come_back(make_settings: MakeSettings) -> None:
    with serving(make_settings(rate_limit_requests=3, rate_limit_window=60)) as client:
        replies = [ask(client) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [200, 200, 200, 429]
    assert [reply.headers["ratelimit-policy"] for reply in replies] == ['"visitors";q=3;w=60'] * 4
    remaining = [re.fullmatch(r'"visitors";r=(\d+);t=(\d+)', reply.headers["ratelimit"]) for reply in replies]
    assert [int(found[1]) for found in remaining if found] == [2, 1, 0, 0]
    refusal = replies[3]
    body = refusal.json()
    assert body["code"] == "RATE_LIMIT"
    assert body["retryable"] is True
    assert "3 in 60 seconds" in body["detail"]
    assert body["details"]["retry_after"] == int(refusal.headers["retry-after"])
    assert 1 <= int(refusal.headers["retry-after"]) <= 100
    assert body["request_id"] == refusal.headers["x-request-id"]


def test_a_client_that_waits_as_long_as_it_is_told_gets_in(make_settings: MakeSettings) -> None:
    with serving(make_settings(rate_limit_requests=4, rate_limit_window=1)) as client:
        while not used_up(refusal := ask(client)):
            pass
        time.sleep(int(refusal.headers["retry-after"]))
        assert not used_up(ask(client))


def test_scripts_of_allowed_origins_can_read_a_refusal(make_settings: MakeSettings) -> None:
    with serving(make_settings(rate_limit_requests=1)) as client:
        origin = {"Origin": "http://localhost:3000"}
        ask(client, **origin)
        refusal = ask(client, **origin)
    assert used_up(refusal)
    assert refusal.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert {"Retry-After", "RateLimit"} <= set(refusal.headers["access-control-expose-headers"].split(", "))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/chat"), ("POST", "/api/chat"), ("GET", "/search?q=x"), ("POST", "/ingest"),
        ("GET", "/ingest/status"), ("GET", "/auth/anonymous-session/x"),
        ("GET", "/nowhere"), ("DELETE", "/chat"), ("GET", "/.env"),
    ],
)  # fmt: skip
def test_every_address_counts_against_the_limit(make_settings: MakeSettings, method: str, path: str) -> None:
    with serving(make_settings(rate_limit_requests=2)) as client:
        statuses = [client.request(method, path).status_code for _ in range(3)]
    assert statuses[2] == 429
    assert 429 not in statuses[:2]


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("probes", ["/health", "/healthz", "/readyz", "/metrics"]),
        ("pages", ["/", "/static/style.css", "/openapi.json"]),
    ],
)
def test_probes_and_pages_have_generous_limits_of_their_own(
    make_settings: MakeSettings, name: str, paths: list[str]
) -> None:
    with serving(make_settings(rate_limit_requests=1)) as client:
        replies = [client.get(paths[n % len(paths)]) for n in range(21)]
        assert not used_up(ask(client))
    assert [reply.status_code for reply in replies] == [200] * 20 + [429]
    assert replies[0].headers["ratelimit-policy"] == f'"{name}";q=20;w=60'


def test_refused_requests_cost_nothing_of_the_next_window(make_settings: MakeSettings) -> None:
    with serving(make_settings(rate_limit_requests=2, rate_limit_window=1)) as client:
        for _ in range(30):
            ask(client)
        time.sleep(2.1)
        assert [used_up(ask(client)) for _ in range(2)] == [False, False]


# Who shares a bucket


def hit(client: Client, **headers: str) -> bool:
    return used_up(ask(client, **{name.replace("_", "-"): value for name, value in headers.items()}))


def test_an_untrusted_peer_cannot_choose_its_address(make_settings: MakeSettings) -> None:
    with serving(make_settings(rate_limit_requests=5)) as client:
        results = [hit(client, X_Forwarded_For=f"10.0.0.{n}") for n in range(10)]
    assert results == [False] * 5 + [True] * 5


def test_behind_a_trusted_proxy_each_client_has_its_own_bucket(make_settings: MakeSettings) -> None:
    with serving(make_settings(rate_limit_requests=1, trusted_proxies=LOOPBACK)) as client:
        assert not hit(client, X_Forwarded_For="203.0.113.1")
        assert hit(client, X_Forwarded_For="203.0.113.1")
        assert not hit(client, X_Forwarded_For="203.0.113.2")


def test_behind_a_trusted_proxy_invented_addresses_on_the_left_change_nothing(make_settings: MakeSettings) -> None:
    with serving(make_settings(rate_limit_requests=1, trusted_proxies=LOOPBACK)) as client:
        assert not hit(client, X_Forwarded_For="203.0.113.1")
        for number in range(5):
            assert hit(client, X_Forwarded_For=f"198.51.100.{number}, 203.0.113.1")
            assert hit(client, X_Forwarded_For=f"198.51.100.{number}, 203.0.113.1, 127.0.0.9")


def test_one_ipv6_subscriber_is_one_client(make_settings: MakeSettings) -> None:
    with serving(make_settings(rate_limit_requests=1, trusted_proxies=LOOPBACK)) as client:
        assert not hit(client, X_Forwarded_For="2001:db8:1:2::1")
        assert hit(client, X_Forwarded_For="2001:db8:1:2:ffff::9")
        assert not hit(client, X_Forwarded_For="2001:db8:1:3::1")


@pytest.mark.parametrize("header", ["X-API-Key", "Authorization"])
def test_a_configured_key_has_its_own_larger_bucket(make_settings: MakeSettings, header: str) -> None:
    keys = ("first-visitor-key", "second-visitor-key")
    settings = make_settings(rate_limit_requests=1, rate_limit_key_requests=3, api_keys=keys)
    prefix = "Bearer " if header == "Authorization" else ""
    with serving(settings) as client:
        replies = [ask(client, **{header: prefix + keys[0]}) for _ in range(4)]
        assert [used_up(reply) for reply in replies] == [False, False, False, True]
        assert replies[0].headers["ratelimit-policy"] == '"keys";q=3;w=60'
        assert not used_up(ask(client, **{header: prefix + keys[1]}))
        assert not used_up(ask(client))


def test_unknown_keys_do_not_make_new_buckets(make_settings: MakeSettings) -> None:
    with serving(make_settings(rate_limit_requests=2, api_keys=("the-right-key",))) as client:
        assert [used_up(ask(client, **{"X-API-Key": f"guess-{n}"})) for n in range(4)] == [False, False, True, True]


def test_guessing_the_admin_key_is_limited_too(make_settings: MakeSettings) -> None:
    with serving(make_settings(rate_limit_requests=5)) as client:
        statuses = [client.get("/ingest/status", headers={"X-API-Key": f"guess-{n}"}).status_code for n in range(8)]
        assert statuses == [401] * 5 + [429] * 3
        assert client.get("/ingest/status", headers=ADMIN).status_code == 200


def test_two_processes_share_one_count(make_settings: MakeSettings) -> None:
    settings = make_settings(rate_limit_requests=2)
    with serving(settings) as one, serving(settings) as other:
        assert [used_up(ask(client)) for client in (one, other, one)] == [False, False, True]


# Without Redis


def test_without_redis_everybody_gets_in(make_settings: MakeSettings) -> None:
    with serving(make_settings(redis_url="redis://127.0.0.1:9/0", rate_limit_requests=1)) as client:
        replies = [ask(client) for _ in range(3)]
        assert not any(used_up(reply) for reply in replies)
        assert "ratelimit" not in replies[0].headers
        assert any(entry["event"] == "limits.not_counted" for entry in client.logs)


def test_a_redis_that_hangs_costs_half_a_second_and_comes_back_by_itself(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    (port,) = pick_free(1)
    process = subprocess.Popen(valkey_command(tmp_path, port, "secret"), stdout=subprocess.DEVNULL)
    try:
        settings: Any = make_settings(redis_url=f"redis://:secret@127.0.0.1:{port}/0", rate_limit_requests=1000)
        with serving(settings) as client:
            wait_for(lambda: "ratelimit" in client.get("/nowhere").headers)
            process.send_signal(signal.SIGSTOP)
            took = [_timed(client) for _ in range(5)]
            assert max(took) < 0.9
            assert sorted(took)[2] < 0.3  # most do not wait at all
            process.send_signal(signal.SIGCONT)
            wait_for(lambda: "ratelimit" in client.get("/nowhere").headers)
    finally:
        process.kill()
        process.wait()


def _timed(client: Client) -> float:
    began = time.monotonic()
    client.get("/nowhere")
    return time.monotonic() - began
