"""The product as its users meet it: `lectern up`, then everything through the sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.system import System, descendants, docs_folder, until

DOCS = {
    "index": "# The Heron\n\nThe Heron is a small boat for two people.\n",
    "guide__rigging": (
        "# Rigging\n\nThe mast goes up first.\n\n## Setting the mainsail\n\n"
        "Hoist the mainsail with the red halyard, then cleat it at the foot of the mast.\n\n"
        "## Reefing\n\nTake in a reef when the wind is over twenty knots.\n"
    ),
    "guide__trailer": "# Trailer\n\nTie the boat to its trailer with two straps before you drive.\n",
}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("system")
    with docs_folder(folder / "docs", **DOCS) as docs, System(folder / "home", docs) as running:
        job = running.ingest()
        assert job["status"] == "completed", job
        yield running


def test_a_question_is_answered_with_a_link_to_its_heading(system: System) -> None:
    events = system.ask("How do I hoist the mainsail?")
    assert [events[0]["type"], events[-1]["type"]] == ["start", "done"]
    answer = "".join(event["content"] for event in events if event["type"] == "chunk")
    assert "red halyard" in answer
    cited = [event["citation"] for event in events if event["type"] == "citation"]
    assert cited[0]["path"] == "guide/rigging.md"
    assert cited[0]["url"].endswith("#setting-the-mainsail")
    assert cited[0]["source"]["heading"] == "Setting the mainsail"
    assert cited[0]["url"] in answer
    final = next(event for event in events if event["type"] == "final")
    assert final["model"] == "extractive"
    assert final["sources"][0]["url"] == cited[0]["url"]


def test_the_cited_address_shows_the_heading(system: System) -> None:
    events = system.ask("How do I hoist the mainsail?")
    url = next(event["citation"]["url"] for event in events if event["type"] == "citation")
    page = system.api.get(url)
    assert page.status_code == 200
    assert 'id="setting-the-mainsail"' in page.text


def test_what_the_docs_do_not_say_is_not_answered(system: System) -> None:
    events = system.ask("What is the boiling point of tungsten?")
    final = next(event for event in events if event["type"] == "final")
    assert final["no_results"] is True
    assert final["sources"] == []


def test_json_is_given_where_streaming_is_declined(system: System) -> None:
    response = system.api.post("/chat", json={"question": "When do I reef?", "stream": False})
    assert response.status_code == 200
    body = response.json()
    assert "twenty knots" in body["answer"]
    assert body["sources"][0]["heading"] == "Reefing"


def test_health_tells_the_true_number_of_pages(system: System) -> None:
    health = system.api.get("/health").json()
    assert health["status"] == "healthy"
    assert health["documents_count"] == 3
    assert health["chunks_count"] == sum(point["record"] == "chunk" for point in system.points().values())


def test_search_gives_passages_without_an_answer(system: System) -> None:
    found = system.api.get("/search", params={"q": "straps for the trailer"}).json()
    assert found["results"][0]["path"] == "guide/trailer.md"


def test_flower_shows_the_tasks_under_names_a_person_understands(system: System) -> None:
    assert system.state is not None
    password = (system.home / "secrets" / "flower.password").read_text().strip()
    with httpx.Client(base_url=system.state["flower_url"], auth=("lectern", password), timeout=10) as flower:
        until(lambda: _answers(flower), 30)
        expected = {"ingest.plan", "ingest.shard", "ingest.publish"}

        def shown() -> bool:
            # Flower shows what happens from the moment it listens, which is some time after it answers.
            system.ingest(force_reindex=True)
            return expected <= {task["name"] for task in flower.get("/api/tasks").json().values()}

        until(shown, 40, every=0.5)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/api/tasks").status_code == 200
    except httpx.HTTPError:
        return False


def test_a_restart_keeps_the_index_and_ingests_only_what_changed(system: System) -> None:
    before = system.points()
    assert system.stop() == 0
    system.start()
    assert system.points() == before
    assert "red halyard" in "".join(event.get("content", "") for event in system.ask("How do I hoist the mainsail?"))
    assert system.ingest()["reason"] == "nothing has changed"
    (system.docs / "guide" / "trailer.md").write_text("# Trailer\n\nUse three straps now.\n")
    job = system.ingest()
    assert (job["release"], job["totals"]["pages_changed"]) == (2, 1)
    assert len(before.keys() & system.points().keys()) == len(before) - 2


def test_stopping_leaves_no_process(tmp_path: Path) -> None:
    with docs_folder(tmp_path / "docs", index="# One page\n\nWith one sentence.\n") as docs:
        system = System(tmp_path / "home", docs)
        system.start()
        below = descendants(system.pid)
        assert len(below) >= 5
        assert system.stop() == 0
        assert [pid for pid in below if (Path("/proc") / str(pid)).exists()] == []
