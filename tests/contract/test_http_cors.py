"""Which sites' scripts may use the API: the configured origins, exactly, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.http_api import Client, ScriptedAnswer, serving, settings_on
from tests.stores import Stores

ALLOWED = "https://docs.example.org"


@pytest.fixture(scope="module")
def client(stores: Stores) -> Iterator[Client]:
    origins = (ALLOWED, "http://localhost:3000")
    settings = settings_on(stores, allowed_origins=origins, rate_limit_requests=100_000, max_body_bytes=1024)
    with serving(settings, ScriptedAnswer(RuntimeError("x"))) as client:
        yield client


def preflight(client: Client, origin: str, method: str = "POST", headers: str = "content-type") -> dict[str, str]:
    response = client.options(
        "/api/chat",
        headers={
            "Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers,
        },
    )  # fmt: skip
    return {"status": str(response.status_code), **response.headers}


@pytest.mark.parametrize("origin", [ALLOWED, "http://localhost:3000"])
def test_an_allowed_origin_may_send_everything_that_front_ends_send(client: Client, origin: str) -> None:
    wanted = (
        "content-type,authorization,x-api-key,x-anonymous-session-id,x-user-id,x-stream-response,x-request-id,"
        "last-event-id"
    )
    reply = preflight(client, origin, headers=wanted)
    assert reply["status"] == "200"
    assert reply["access-control-allow-origin"] == origin
    assert reply["access-control-allow-credentials"] == "true"
    assert {"GET", "POST", "DELETE"} <= set(reply["access-control-allow-methods"].split(", "))
    allowed = {name.strip().lower() for name in reply["access-control-allow-headers"].split(",")}
    assert set(wanted.split(",")) <= allowed


@pytest.mark.parametrize(
    "origin",
    [
        "null", "https://evil.example", "http://docs.example.org", "https://docs.example.org:8443",
        "https://evil-docs.example.org", "https://docs.example.org.evil.example", "https://sub.docs.example.org",
        "https://docs.example.org/", "HTTPS://DOCS.EXAMPLE.ORG", "http://localhost:3001", "http://127.0.0.1:3000", "*",
    ],
)  # fmt: skip
def test_any_other_origin_may_not(client: Client, origin: str) -> None:
    reply = preflight(client, origin)
    assert reply["status"] == "400"
    assert "access-control-allow-origin" not in reply
    response = client.post("/chat", json={"question": "x"}, headers={"Origin": origin})
    assert "access-control-allow-origin" not in response.headers


def test_other_methods_and_headers_may_not_be_sent(client: Client) -> None:
    assert preflight(client, ALLOWED, method="PUT")["status"] == "400"
    assert preflight(client, ALLOWED, headers="x-evil")["status"] == "400"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/chat", b'{"question":"x"}'),
        ("POST", "/chat", b'{"question":"x","stream":false}'),
        ("POST", "/chat", b"{"),
        ("POST", "/chat", b"x" * 2000),
        ("POST", "/ingest", b""),
        ("GET", "/nowhere", b""),
        ("GET", "/chat", b""),
        ("GET", "/healthz", b""),
    ],
)
def test_whatever_the_reply_is_an_allowed_origin_can_read_it(
    client: Client, method: str, path: str, body: bytes
) -> None:
    headers = {"Origin": ALLOWED, "Content-Type": "application/json"}
    response = client.request(method, path, content=body, headers=headers)
    assert response.headers["access-control-allow-origin"] == ALLOWED
    assert response.headers["access-control-allow-credentials"] == "true"
    exposed = set(response.headers["access-control-expose-headers"].split(", "))
    assert exposed == {"X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy", "X-Answer-ID"}
    assert "Origin" in response.headers["vary"]
