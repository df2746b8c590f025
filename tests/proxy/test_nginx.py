"""nginx with the shipped configuration, before a real API process."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from shared.settings import Settings
from tests.proxy.answers import (
    INSIDE,
    METRICS,
    assert_is_error,
    came_one_by_one,
    event_of,
    is_the_proxy_s_own,
    left_of,
    paths_of_the_api,
    status_of,
    words_of,
)
from tests.proxy.conftest import StartNginx
from tests.proxy.leaving import (
    WITHOUT_END,
    assert_leaving_a_silence_stops_the_answer,
    assert_leaving_an_answer_stops_it,
)
from tests.proxy.servers import (
    ADMIN_KEY,
    NGINX_SITE,
    Api,
    BreakingServer,
    Certificate,
    Proxy,
    program,
    running_apis,
    running_nginx,
)
from tests.stores import Stores
from tests.system import until

TWENTY_WORDS = {"question": "20 words, 0.05 seconds apart"}
QUICK = {"question": "1 words, 0 seconds apart"}
#: Longer than the pause between two pings, longer than SHORT_PATIENCE.
SILENT = "2 words, 1.6 seconds apart"
SHORT_PATIENCE = {"proxy_read_timeout 300s": "proxy_read_timeout 800ms"}
BUFFERING_ON = {"proxy_buffering off;": "proxy_buffering on;"}
HEADER_IGNORED = {"proxy_cache off;": "proxy_cache off; proxy_ignore_headers X-Accel-Buffering;"}
LINES = {"X-Stream-Response": "true"}
WIDGET = {"Origin": "https://docs.example.org"}


# One event at a time


@pytest.mark.parametrize(
    ("body", "headers"), [(TWENTY_WORDS, {}), ({"query": TWENTY_WORDS["question"]}, LINES)], ids=["sse", "json lines"]
)
def test_words_reach_the_visitor_one_by_one(
    visitor: httpx.Client, body: dict[str, str], headers: dict[str, str]
) -> None:
    with visitor.stream("POST", "/chat", json=body, headers=headers) as response:
        assert response.status_code == 200, response.read()
        words = words_of(response.iter_lines())
    assert len(words) == 20
    assert words[0].came < words[1].sent
    assert came_one_by_one(words)


def test_words_reach_the_visitor_one_by_one_over_http2(nginx: Proxy) -> None:
    with curl(nginx, TWENTY_WORDS, "--http2", "--include") as (_, lines):
        assert next(lines).strip() == "HTTP/2 200"
        words = words_of(lines)
    assert len(words) == 20
    assert came_one_by_one(words)


@pytest.mark.parametrize(
    ("changes", "one_by_one"),
    [
        (HEADER_IGNORED, True),  # the configuration alone
        (BUFFERING_ON, True),  # the API's header alone
        ({**BUFFERING_ON, **HEADER_IGNORED}, False),  # neither
    ],
    ids=["configuration alone", "header alone", "neither"],
)
def test_either_the_configuration_or_the_api_s_header_switches_buffering_off(
    start_nginx: StartNginx, changes: dict[str, str], one_by_one: bool
) -> None:
    with (
        start_nginx(changes) as nginx,
        nginx.client() as client,
        client.stream("POST", "/chat", json=TWENTY_WORDS) as response,
    ):
        words = words_of(response.iter_lines())
    assert len(words) == 20
    assert came_one_by_one(words) is one_by_one


def test_pings_keep_a_silent_stream_open_for_longer_than_the_proxy_waits(start_nginx: StartNginx) -> None:
    with start_nginx(SHORT_PATIENCE) as nginx, nginx.client() as client:
        answer = client.post("/chat", json={"question": SILENT})
        assert event_of(answer.text.strip().splitlines()[-1])["type"] == "done"
        assert ": ping" in answer.text
        # JSON lines have no pings: the proxy gives up, which shows that it would have done so above.
        with pytest.raises(httpx.RemoteProtocolError):
            client.post("/chat", json={"query": SILENT}, headers=LINES)


def test_a_whole_answer_may_take_longer_than_other_requests(start_nginx: StartNginx) -> None:
    with start_nginx({"proxy_read_timeout 60s": "proxy_read_timeout 500ms"}) as nginx, nginx.client() as client:
        answer = client.post("/chat", json={"question": "1 words, 1 seconds apart", "stream": False})
    assert answer.status_code == 200
    assert answer.json()["type"] == "final"


# Visitors who leave


def test_a_visitor_who_leaves_stops_the_answer(visitor: httpx.Client, api: Api) -> None:
    assert_leaving_an_answer_stops_it(visitor, api)


def test_a_visitor_who_leaves_while_nothing_is_said_stops_the_answer(visitor: httpx.Client, api: Api) -> None:
    assert_leaving_a_silence_stops_the_answer(visitor, api)


def test_a_visitor_who_leaves_over_http2_stops_the_answer(nginx: Proxy, api: Api) -> None:
    before = len(api.noted("left"))
    with curl(nginx, WITHOUT_END, "--http2") as (process, lines):
        next(line for line in lines if event_of(line).get("type") == "chunk")
        process.kill()
        left_at = time.monotonic()
        until(lambda: len(api.noted("left")) == before + 1, 5, every=0.01)
    assert api.noted("left")[-1] - left_at < 1


# Whose request it is


def test_limits_are_kept_for_the_true_client_whatever_it_says(nginx: Proxy, api: Api) -> None:
    with nginx.client("127.0.0.2") as client, nginx.client("127.0.0.3") as other:
        through_nginx = [left_of(client, forwarded) for forwarded in ("203.0.113.1", "203.0.113.2, 127.0.0.1", None)]
        assert through_nginx == [999, 998, 997]
        assert left_of(other, "127.0.0.2") == 999
    # The same address without the proxy is no trusted hop, so that its header counts for nothing.
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=api.url, transport=transport) as directly:
        assert left_of(directly, "203.0.113.3") == 996


def test_a_good_request_id_is_passed_on_and_another_is_replaced(visitor: httpx.Client) -> None:
    own = uuid4().hex
    assert visitor.get("/healthz", headers={"X-Request-ID": own}).headers["X-Request-ID"] == own
    made = visitor.get("/healthz", headers={"X-Request-ID": 'a"b'}).headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{32}", made)


def test_the_log_has_no_question_in_it(start_nginx: StartNginx, tmp_path: Path) -> None:
    with start_nginx() as nginx, nginx.client() as client:
        client.get("/search", params={"q": "unmistakable"})
    log = (tmp_path / "nginx" / "lectern.access.log").read_text()
    assert '"GET /search HTTP/1.1"' in log
    assert "unmistakable" not in log


# What is forwarded


def test_each_route_of_the_api_is_forwarded_or_kept_inside(visitor: httpx.Client) -> None:
    paths = paths_of_the_api()
    assert {path for path in paths if is_the_proxy_s_own(visitor.get(path))} == INSIDE


@pytest.mark.parametrize("path", METRICS)
def test_metrics_stay_inside(nginx: Proxy, path: str) -> None:
    assert status_of(nginx, path) == 404


def test_what_is_not_forwarded_is_answered_in_the_api_s_words(visitor: httpx.Client) -> None:
    assert_is_error(visitor.get("/x"), "NOT_FOUND")


def test_owner_s_routes_do_not_exist_for_others(nginx: Proxy, start_nginx: StartNginx) -> None:
    key = {"X-API-Key": ADMIN_KEY}
    with nginx.client("127.0.0.2") as stranger, nginx.client() as owner:
        assert stranger.get("/ingest/status", headers=key).status_code == 404
        assert owner.get("/ingest/status", headers=key).status_code == 200
        assert owner.get("/ingest/status").status_code == 401
    with (
        start_nginx({"deny all;": "allow 127.0.0.2; deny all;"}) as open_to_one,
        open_to_one.client("127.0.0.2") as two,
    ):
        assert two.get("/ingest/status", headers=key).status_code == 200


def test_a_code_host_s_webhook_is_let_through_with_a_larger_body(nginx: Proxy) -> None:
    with nginx.client("127.0.0.2") as host:
        reply = host.post("/ingest/webhook", content=b" " * 1_000_000, headers={"X-Hub-Signature-256": "sha256=00"})
    # The API's own words: what it was sent is not looked at, because no secret is set.
    assert_is_error(reply, "NOT_FOUND")
    assert not is_the_proxy_s_own(reply)


def test_the_chat_page_and_its_files_come_with_the_api_s_headers(visitor: httpx.Client) -> None:
    page = visitor.get("/")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert page.headers["Strict-Transport-Security"] == "max-age=31536000"
    file = visitor.get("/static/chat.js")
    assert file.headers["Cache-Control"] == "no-cache"
    assert file.headers["Content-Encoding"] == "gzip"
    again = visitor.get("/static/chat.js", headers={"If-None-Match": file.headers["ETag"]})
    assert again.status_code == 304


def test_plain_http_is_sent_to_https_with_its_method(nginx: Proxy) -> None:
    answer = httpx.post(f"{nginx.http}/chat?a=b", json=TWENTY_WORDS)
    assert answer.status_code == 308
    assert answer.headers["Location"] == "https://lectern.example.org/chat?a=b"


def test_another_site_may_ask_and_also_reads_the_proxy_s_own_errors(visitor: httpx.Client) -> None:
    preflight = {**WIDGET, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    allowed = visitor.options("/chat", headers=preflight)
    assert allowed.status_code == 200
    assert allowed.headers["Access-Control-Allow-Origin"] == WIDGET["Origin"]
    answer = visitor.post("/chat", json=QUICK, headers=WIDGET)
    assert answer.headers.get_list("Access-Control-Allow-Origin") == [WIDGET["Origin"]]
    refused = visitor.post("/chat", content=b"x" * 300_000, headers=WIDGET)
    assert refused.headers.get_list("Access-Control-Allow-Origin") == ["*"]


def test_a_body_over_the_limit_is_refused_by_the_proxy_in_the_api_s_words(visitor: httpx.Client) -> None:
    most = Settings.model_fields["max_body_bytes"].default
    assert f"client_max_body_size {most};" in NGINX_SITE.read_text()
    json_type = {"Content-Type": "application/json"}
    refused = visitor.post("/chat", content=b" " * (most + 1), headers=json_type)
    assert refused.status_code == 413
    assert_is_error(refused, "PAYLOAD_TOO_LARGE")
    assert refused.json()["request_id"] == refused.headers["X-Request-ID"]
    assert is_the_proxy_s_own(refused)
    passed = visitor.post("/chat", content=b" " * most, headers=json_type)
    assert passed.status_code == 422
    assert_is_error(passed, "VALIDATION_ERROR")


def test_too_many_answers_for_one_address_are_refused(start_nginx: StartNginx) -> None:
    with (
        start_nginx({"limit_conn lectern_answers 20;": "limit_conn lectern_answers 1;"}) as nginx,
        nginx.client() as client,
        nginx.client("127.0.0.2") as other,
        client.stream("POST", "/chat", json=WITHOUT_END) as first,
    ):
        lines = first.iter_lines()  # held: its end would be the answer's
        next(lines)
        refused = client.post("/chat", json=TWENTY_WORDS)
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == "2"
        assert_is_error(refused, "RATE_LIMIT")
        assert other.post("/chat", json=QUICK).status_code == 200


# Processes that die


def test_a_question_that_was_sent_is_never_sent_again(start_nginx: StartNginx, api: Api) -> None:
    before = len(api.noted("asked"))
    with closing(BreakingServer()) as breaking:
        with start_nginx(upstreams=[breaking.port, api.port]) as nginx, nginx.client() as client:
            answers = [client.post("/chat", json=QUICK) for _ in range(2)]
        assert len(breaking.requests) == 1
    assert len(api.noted("asked")) == before + 1
    broken, good = sorted(answers, key=lambda answer: -answer.status_code)
    assert (broken.status_code, good.status_code) == (503, 200)
    assert_is_error(broken, "RESTARTING")


def test_a_question_that_could_not_be_sent_goes_to_another_process(start_nginx: StartNginx, api: Api) -> None:
    with closing(BreakingServer()) as breaking:
        gone = breaking.port
    with start_nginx(upstreams=[gone, api.port]) as nginx, nginx.client() as client:
        answers = [client.post("/chat", json=QUICK) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200] * 4


def test_answers_go_on_while_one_process_lives_and_again_after_a_restart(
    stores: Stores, certificate: Certificate, tmp_path: Path
) -> None:
    with (
        running_apis(stores, tmp_path, 2) as apis,
        running_nginx(tmp_path / "nginx", certificate, [api.port for api in apis]) as nginx,
        nginx.client() as client,
    ):
        with client.stream("POST", "/chat", json=WITHOUT_END) as response:
            lines = response.iter_lines()
            next(line for line in lines if event_of(line).get("type") == "chunk")
            dying, living = sorted(apis, key=lambda api: -len(api.noted("asked")))
            dying.kill()
            with pytest.raises(httpx.RemoteProtocolError):
                list(lines)
        assert living.noted("asked") == []  # the half answer was not begun anew
        assert client.post("/chat", json=QUICK).status_code == 200
        living.kill()
        refused = client.post("/chat", json=QUICK)
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "2"
        assert_is_error(refused, "RESTARTING")
        dying.start()
        dying.wait()
        until(lambda: client.post("/chat", json=QUICK).status_code == 200, 10)


# What the tests above use


@contextmanager
def curl(nginx: Proxy, body: Any, *more: str) -> Iterator[tuple[subprocess.Popen[str], Iterator[str]]]:
    """A question by curl, and the lines of the answer as they come."""
    command = [program("curl"), "-sN", "--cacert", str(nginx.certificate.file), *more, "--json", json.dumps(body)]
    with subprocess.Popen([*command, f"{nginx.https}/chat"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, iter(process.stdout.readline, "")
        finally:
            process.kill()
