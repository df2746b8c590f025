"""Releases over HTTP: the listing, one release with its changes, and making one live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.chunk_collections import CollectionSpec
from shared.models import Release
from shared.services import Services, open_services
from shared.settings import Settings
from tests.http_api import ADMIN, Client, serving

MakeSettings = Callable[..., Settings]
SPEC = CollectionSpec("stand-in", 4, None)
GATE = {
    "file": "golden.yaml", "asked": 2, "answered": 1, "answered_before": 2, "lost_total": 1, "allowed": 0, "faults": [],
    "lost": [{"question": "Which port?", "expected": ["run.md#ports"], "line": 1}],
    "unanswered": [{"question": "Which port?", "expected": ["run.md#ports"], "line": 1}],
}  # fmt: skip


def changes(base: int | None, **lists: list[str]) -> dict[str, Any]:
    named = {kind: lists.get(kind, []) for kind in ("added", "changed", "moved", "removed")}
    pages = {kind: [{"path": path, "reason": "because"} for path in paths] for kind, paths in named.items()}
    return {"base": base, **pages, "totals": {kind: len(paths) for kind, paths in named.items()}, "note": None}


def with_services(settings: Settings, work: Callable[[Services], Any]) -> Any:
    """Run async work on the same stores."""

    async def run() -> Any:
        async with open_services(settings) as services:
            return await work(services)

    return asyncio.run(run())


def release(number: int, collection: str, **more: Any) -> Release:
    return Release(
        number, collection, 10 * number, 100 * number, f"job_{number}", f"2026-01-0{number}T00:00:00Z", **more
    )


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings()


@pytest.fixture
def collection(settings: Settings) -> str:
    """Releases 1 to 3 are published, 4 is held back, and 2 is of a collection that is gone."""

    async def work(services: Services) -> str:
        name = await services.store.ensure_collection(SPEC)
        await services.releases.publish(release(1, name))
        await services.releases.publish(release(2, f"{name}-gone"), changes(1, changed=["a.md"]))
        await services.releases.publish(release(3, name), changes(2, added=["a.md", "b.md"], moved=["c.md"]))
        await services.releases.hold(release(4, name), {**changes(3, removed=["a.md"]), "gate": GATE})
        return name

    return str(with_services(settings, work))


@pytest.fixture
def client(settings: Settings, collection: str) -> Iterator[Client]:
    with serving(settings) as client:
        yield client


def get(client: Client, path: str, status: int = 200) -> Any:
    response = client.get(path, headers=ADMIN)
    assert response.status_code == status, response.text
    return response.json()


def activate(client: Client, number: object, status: int = 200) -> Any:
    response = client.post(f"/releases/{number}/activate", headers=ADMIN)
    assert response.status_code == status, response.text
    return response.json()


def test_before_the_first_ingest_there_is_none(make_settings: MakeSettings) -> None:
    with serving(make_settings()) as client:
        assert get(client, "/releases") == {"releases": [], "total": 0, "live": None}
        assert "nothing is indexed yet" in get(client, "/releases/1", 404)["message"]
        assert activate(client, 1, 404)["code"] == "NOT_FOUND"


def test_releases_are_listed_newest_first_with_what_they_are(client: Client, collection: str) -> None:
    listing = get(client, "/releases")
    assert (listing["total"], listing["live"]) == (4, 3)
    assert [(each["number"], each["state"]) for each in listing["releases"]] == [
        (4, "held"), (3, "live"), (2, "kept"), (1, "kept"),
    ]  # fmt: skip
    held, live, gone, first = listing["releases"]
    assert live == {
        "number": 3, "state": "live", "live": True, "held": False, "documents": 30, "chunks": 300, "job_id": "job_3",
        "created_at": "2026-01-03T00:00:00Z", "collection": collection, "model": "stand-in", "dimensions": 4,
        "changes": {"added": 2, "changed": 0, "moved": 1, "removed": 0},
    }  # fmt: skip
    assert (held["live"], held["held"]) == (False, True)
    assert (gone["model"], gone["dimensions"]) == (None, None)
    assert first["changes"] is None


def test_one_release_shows_its_pages_with_their_reasons(client: Client) -> None:
    shown = get(client, "/releases/3")
    assert shown["base"] == 2
    assert shown["added"] == [{"path": "a.md", "reason": "because"}, {"path": "b.md", "reason": "because"}]
    assert [page["path"] for page in shown["moved"]] == ["c.md"]
    assert (shown["changed"], shown["removed"], shown["gate"]) == ([], [], None)


def test_a_held_release_shows_what_got_worse(client: Client) -> None:
    gate = get(client, "/releases/4")["gate"]
    assert (gate["lost_total"], gate["lost"][0]["question"]) == (1, "Which port?")


def test_a_release_without_a_record_of_its_changes_is_shown_all_the_same(client: Client) -> None:
    shown = get(client, "/releases/1")
    assert (shown["changes"], shown["added"], shown["base"]) == (None, [], None)


@pytest.mark.parametrize("path", ["/releases/9", "/releases/9007199254740991"])
def test_an_unknown_release_is_refused_with_those_there_are(client: Client, path: str) -> None:
    body = get(client, path, 404)
    assert body["code"] == "NOT_FOUND"
    assert "kept: 1, 2, 3, 4" in body["message"]


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", "99999999999999999999", "1" * 5000, "%00", "٣٣x"])
def test_what_is_no_number_is_refused(client: Client, number: str) -> None:
    assert get(client, f"/releases/{number}", 422)["code"] == "VALIDATION_ERROR"
    assert activate(client, number, 422)["code"] == "VALIDATION_ERROR"


def test_activating_moves_the_live_release_at_once_for_every_route(client: Client) -> None:
    started = time.monotonic()
    body = activate(client, 1)
    assert time.monotonic() - started < 1
    assert (body["previous"], body["changed"], body["message"]) == (3, True, "release 1 is live")
    assert body["release"]["state"] == "live"
    assert get(client, "/releases")["live"] == 1
    assert client.get("/health").json()["release"] == 1
    again = activate(client, 1)
    assert (again["previous"], again["changed"]) == (1, False)
    assert activate(client, 3)["previous"] == 1


def test_other_processes_see_it_at_once(client: Client, settings: Settings) -> None:
    with serving(settings) as other:
        assert other.get("/health").json()["release"] == 3
        activate(client, 1)
        assert other.get("/health").json()["release"] == 1


def test_a_held_release_is_published_by_activating_it(client: Client) -> None:
    assert activate(client, 4)["release"]["held"] is False
    assert [each["state"] for each in get(client, "/releases")["releases"]] == ["live", "kept", "kept", "kept"]


def test_a_release_whose_collection_is_gone_is_refused(client: Client) -> None:
    body = activate(client, 2, 409)
    assert body["code"] == "RELEASE_GONE"
    assert "not in Qdrant any more" in body["message"]
    assert get(client, "/releases")["live"] == 3


def test_a_release_of_another_model_is_activated_with_a_warning(client: Client) -> None:
    warning = activate(client, 1)["warning"]
    assert warning is not None
    assert "stand-in" in warning
    assert "EMBEDDING_MODEL" in warning


def test_releases_are_shown_and_activated_without_redis(settings: Settings, collection: str) -> None:
    with serving(
        settings.model_copy(update={"redis_url": type(settings.redis_url)("redis://127.0.0.1:9/0")})
    ) as client:
        assert get(client, "/releases")["live"] == 3
        assert activate(client, 1)["changed"] is True


def test_without_qdrant_the_answer_is_503(make_settings: MakeSettings) -> None:
    with serving(make_settings(qdrant_url="http://127.0.0.1:9")) as client:
        for body in (get(client, "/releases", 503), get(client, "/releases/1", 503), activate(client, 1, 503)):
            assert (body["code"], body["retryable"]) == ("VECTOR_STORE_ERROR", True)
