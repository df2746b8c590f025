"""What probes and people are told about the parts, whichever of them is down."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from shared.models import Release
from shared.services import open_services
from shared.settings import Settings
from tests.http_api import ADMIN, serving
from tests.stores import Stores

MakeSettings = Callable[..., Settings]
NO_REDIS = {"redis_url": "redis://127.0.0.1:9/0"}
NO_QDRANT = {"qdrant_url": "http://127.0.0.1:9"}


def publish(settings: Settings, number: int, documents: int, chunks: int) -> None:
    async def work() -> None:
        async with open_services(settings) as services:
            release = Release(number, "somewhere", documents, chunks, "job_1", "2026-01-01T00:00:00.000+00:00")
            await services.releases.publish(release)

    asyncio.run(work())


def heartbeat(stores: Stores) -> None:
    """What a worker does."""
    with redis.Redis.from_url(stores.redis_url) as connection:
        connection.set("lectern:worker:test", "1", ex=60)


def test_a_whole_system_is_healthy_and_its_numbers_are_true(make_settings: MakeSettings, stores: Stores) -> None:
    settings = make_settings()
    publish(settings, number=4, documents=12, chunks=345)
    heartbeat(stores)
    with serving(settings) as client:
        client.post("/ingest", headers=ADMIN)
        response = client.get("/health")
    assert response.status_code == 200
    report = response.json()
    assert report["status"] == "healthy"
    assert (report["documents_count"], report["chunks_count"], report["release"]) == (12, 345, 4)
    assert report["metrics"]["documents_count"] == 12
    assert report["metrics"]["chunks_count"] == 345
    assert (report["qdrant_connected"], report["redis_connected"]) == (True, True)
    assert report["uptime"] == report["uptime_seconds"] >= 0
    assert report["version"]
    assert report["timestamp"].endswith("+00:00")
    assert set(report["services"]) == {"qdrant", "redis", "openai", "task_manager"}
    assert report["services"]["task_manager"]["details"]["workers"] == 1


OWN = {"chat_base_url": "https://user:secret@llm.example:8443/v1?k=secret", "openai_chat_model": "llama3.2"}


@pytest.mark.parametrize(
    ("settings", "status", "details"),
    [
        ({}, "not_configured", {"model": "extractive", "provider": "local", "host": None, "api_key_configured": False}),
        ({"openai_api_key": "sk-secret", "fallback_model": "other"}, "configured",
         {"provider": "openai", "host": "api.openai.com", "api_key_configured": True, "fallback_model": "other",
          "embedding_provider": "openai", "embedding_host": "api.openai.com"}),
        ({"gemini_api_key": "secret"}, "configured",
         {"provider": "gemini", "host": "generativelanguage.googleapis.com", "embedding_provider": "gemini",
          "embedding_host": "generativelanguage.googleapis.com"}),
        ({**OWN, "chat_api_key": "secret"}, "configured",
         {"provider": "openai", "model": "llama3.2", "host": "llm.example", "api_key_configured": True,
          "embedding_provider": "local", "embedding_host": None, "fallback_model": None}),
        (OWN, "configured", {"host": "llm.example", "api_key_configured": False}),
        ({**OWN, "gemini_api_key": "secret"}, "configured",
         {"provider": "openai", "host": "llm.example", "embedding_provider": "gemini", "api_key_configured": True}),
        ({**OWN, "model_provider": "local", "fallback_model": "other"}, "not_configured",
         {"provider": "local", "model": "extractive", "host": None, "fallback_model": None}),
        ({"openai_base_url": "http://llm.example/v1", "openai_chat_model": "m"}, "configured",
         {"provider": "openai", "model": "m", "host": "llm.example", "api_key_configured": False,
          "embedding_provider": "local", "embedding_model": "all-MiniLM-L6-v2"}),
        ({"openai_base_url": "http://llm.example/v1", "openai_embedding_model": "e"}, "configured",
         {"provider": "local", "model": "extractive", "host": None, "embedding_provider": "openai",
          "embedding_model": "e", "embedding_host": "llm.example"}),
    ],
)  # fmt: skip
def test_the_report_says_who_answers_and_who_embeds_and_where_and_no_key(
    make_settings: MakeSettings, settings: dict[str, Any], status: str, details: dict[str, Any]
) -> None:
    with serving(make_settings(**settings)) as client:
        response = client.get("/health")
    openai = response.json()["services"]["openai"]
    assert {name: openai["details"][name] for name in details} == details
    assert (openai["status"], response.json()["openai_connected"]) == (status, status == "configured")
    assert "secret" not in response.text


def test_before_the_first_ingest_the_counts_are_zero(make_settings: MakeSettings) -> None:
    with serving(make_settings()) as client:
        report = client.get("/health").json()
    assert (report["documents_count"], report["chunks_count"], report["release"]) == (0, 0, None)


def test_without_a_worker_the_system_is_degraded(make_settings: MakeSettings) -> None:
    with serving(make_settings()) as client:
        response = client.get("/health")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")


def test_without_redis_the_system_is_degraded_and_answers(make_settings: MakeSettings) -> None:
    with serving(make_settings(**NO_REDIS)) as client:
        response = client.get("/health")
        assert (response.status_code, response.json()["status"]) == (200, "degraded")
        assert response.json()["redis_connected"] is False
        assert client.get("/readyz").status_code == 503
        assert client.get("/readyz").json()["checks"] == {"qdrant": True, "redis": False}
        assert client.get("/healthz").status_code == 200


def test_without_qdrant_the_system_is_unhealthy_and_alive(make_settings: MakeSettings) -> None:
    with serving(make_settings(**NO_QDRANT)) as client:
        response = client.get("/health")
        assert (response.status_code, response.json()["status"]) == (503, "unhealthy")
        assert response.json()["qdrant_connected"] is False
        assert client.get("/readyz").json()["checks"] == {"qdrant": False, "redis": True}
        assert client.get("/healthz").status_code == 200


def test_a_refused_qdrant_key_is_a_report_and_no_crash(make_settings: MakeSettings) -> None:
    with serving(make_settings(qdrant_api_key="wrong")) as client:
        assert client.get("/health").status_code == 503
        assert client.get("/readyz").json()["checks"]["qdrant"] is False


@contextmanager
def silent_port() -> Iterator[int]:
    """A server that accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("part", ["qdrant", "redis"])
def test_a_part_that_hangs_makes_probes_wait_no_longer_than_they_may(make_settings: MakeSettings, part: str) -> None:
    with silent_port() as port:
        hanging: dict[str, Any] = {
            "qdrant": {"qdrant_url": f"http://127.0.0.1:{port}"}, "redis": {"redis_url": f"redis://127.0.0.1:{port}/0"},
        }[part]  # fmt: skip
        with serving(make_settings(**hanging)) as client:
            client.get("/healthz")  # the first request pays for finding out that limits cannot be counted
            began = time.monotonic()
            reply = client.get("/readyz")
            assert time.monotonic() - began < 0.9
    assert reply.status_code == 503
    assert reply.json()["checks"][part] is False


def test_everything_ready_is_ready(make_settings: MakeSettings) -> None:
    with serving(make_settings()) as client:
        reply = client.get("/readyz")
    assert (reply.status_code, reply.json()["status"]) == (200, "ready")


def test_metrics_label_by_template_and_not_by_what_visitors_type(make_settings: MakeSettings) -> None:
    with serving(make_settings()) as client:
        client.get("/documents/some/private/page.md")
        client.get("/auth/anonymous-session/private-id")
        client.get("/private-nowhere")
        client.request("PROPFIND", "/chat")
        response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert "private" not in response.text
    assert 'route="/documents/{path:path}"' in response.text
    assert 'http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in response.text
    assert 'method="other"' in response.text
    for name in ("chat_requests_total", "chat_duration_seconds", "active_connections"):
        assert f"# TYPE {name.removesuffix('_total')}" in response.text
