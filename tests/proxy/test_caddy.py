"""Caddy with the shipped configuration, before a real API process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from shared.settings import Settings
from tests.proxy.answers import (
    INSIDE,
    METRICS,
    assert_is_error,
    came_one_by_one,
    is_the_proxy_s_own,
    left_of,
    paths_of_the_api,
    status_of,
    words_of,
)
from tests.proxy.leaving import assert_leaving_a_silence_stops_the_answer, assert_leaving_an_answer_stops_it
from tests.proxy.servers import ADMIN_KEY, Api, BreakingServer, Certificate, Proxy, running_caddy

TWENTY_WORDS = "20 words, 0.05 seconds apart"
QUICK = {"question": "1 words, 0 seconds apart"}


@pytest.fixture(scope="module")
def caddy(api: Api, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running_caddy(tmp_path_factory.mktemp("caddy") / "shipped", certificate, [api.port]) as running:
        yield running


@pytest.fixture
def visitor(caddy: Proxy) -> Iterator[httpx.Client]:
    with caddy.client() as client:
        yield client


@pytest.mark.parametrize(
    ("body", "headers"),
    [({"question": TWENTY_WORDS}, {}), ({"query": TWENTY_WORDS}, {"X-Stream-Response": "true"})],
    ids=["sse", "json lines"],
)
def test_words_reach_the_visitor_one_by_one(
    visitor: httpx.Client, body: dict[str, str], headers: dict[str, str]
) -> None:
    with visitor.stream("POST", "/chat", json=body, headers=headers) as response:
        words = words_of(response.iter_lines())
    assert len(words) == 20
    assert came_one_by_one(words)


def test_a_visitor_who_leaves_stops_the_answer(visitor: httpx.Client, api: Api) -> None:
    assert_leaving_an_answer_stops_it(visitor, api)


def test_a_visitor_who_leaves_while_nothing_is_said_stops_the_answer(visitor: httpx.Client, api: Api) -> None:
    assert_leaving_a_silence_stops_the_answer(visitor, api)


def test_limits_are_kept_for_the_true_client_whatever_it_says(caddy: Proxy) -> None:
    with caddy.client("127.0.0.4") as client, caddy.client("127.0.0.5") as other:
        assert [left_of(client, said) for said in ("203.0.113.1", "203.0.113.2, 127.0.0.1", None)] == [999, 998, 997]
        assert left_of(other, "127.0.0.4") == 999


def test_each_route_of_the_api_is_forwarded_or_kept_inside(visitor: httpx.Client) -> None:
    paths = paths_of_the_api()
    assert {path for path in paths if is_the_proxy_s_own(visitor.get(path))} == INSIDE


@pytest.mark.parametrize("path", METRICS)
def test_metrics_stay_inside(caddy: Proxy, path: str) -> None:
    assert status_of(caddy, path) == 404


def test_what_is_not_forwarded_is_answered_in_the_api_s_words(visitor: httpx.Client) -> None:
    assert_is_error(visitor.get("/x"), "NOT_FOUND")


def test_owner_s_routes_do_not_exist_for_others(caddy: Proxy) -> None:
    key = {"X-API-Key": ADMIN_KEY}
    with caddy.client("127.0.0.4") as stranger, caddy.client() as owner:
        refused = stranger.get("/ingest/status", headers=key)
        assert refused.status_code == 404
        assert is_the_proxy_s_own(refused)
        assert owner.get("/ingest/status", headers=key).status_code == 200


def test_a_code_host_s_webhook_is_let_through_with_a_larger_body(caddy: Proxy) -> None:
    with caddy.client("127.0.0.4") as host:
        reply = host.post("/ingest/webhook", content=b" " * 1_000_000, headers={"X-Hub-Signature-256": "sha256=00"})
    # The API's own words: what it was sent is not looked at, because no secret is set.
    assert_is_error(reply, "NOT_FOUND")
    assert not is_the_proxy_s_own(reply)


def test_a_body_over_the_limit_is_refused_by_the_proxy_in_the_api_s_words(visitor: httpx.Client) -> None:
    most = Settings.model_fields["max_body_bytes"].default
    json_type = {"Content-Type": "application/json"}
    refused = visitor.post("/chat", content=b" " * (most + 1), headers=json_type)
    assert refused.status_code == 413
    assert_is_error(refused, "PAYLOAD_TOO_LARGE")
    assert is_the_proxy_s_own(refused)
    passed = visitor.post("/chat", content=b" " * most, headers=json_type)
    assert passed.status_code == 422
    assert_is_error(passed, "VALIDATION_ERROR")


def test_a_question_that_was_sent_is_never_sent_again(api: Api, certificate: Certificate, tmp_path: Path) -> None:
    before = len(api.noted("asked"))
    with closing(BreakingServer()) as breaking:
        # Without its probes, Caddy would not know until the question that this process is not well.
        without_probes = {"health_uri /healthz": "", "health_interval 2s": "", "health_timeout 1s": ""}
        ports = [breaking.port, api.port]
        with (
            running_caddy(tmp_path / "caddy", certificate, ports, without_probes) as caddy,
            caddy.client() as client,
        ):
            answers = [client.post("/chat", json=QUICK) for _ in range(6)]
        assert len(breaking.requests) >= 1
    broken = [answer for answer in answers if answer.status_code != 200]
    assert len(broken) == len(breaking.requests)
    assert len(api.noted("asked")) - before == len(answers) - len(broken)
    assert_is_error(broken[0], "RESTARTING")
