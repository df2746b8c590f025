"""A visitor's stream against a chat model over HTTP: what ends, ends on both sides."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from shared.tokens import count_tokens
from tests.stand_in.fixtures import Provider
from tests.system import System, docs_folder, until


@pytest.fixture
def system(tmp_path: Path, provider: Provider) -> Iterator[System]:
    environment = {"OPENAI_BASE_URL": provider.base_url, "CHAT_MODEL": "stand-in", "MODEL_TIMEOUT": "3"}
    with (
        docs_folder(tmp_path / "docs", index="# Anchor\n\nDrop the anchor over the bow in shallow water.\n") as docs,
        System(tmp_path / "home", docs, **environment) as running,
    ):
        assert running.ingest()["status"] == "completed"
        yield running


def test_the_model_s_marks_become_links_to_headings(system: System) -> None:
    events = system.ask("Where do I drop the anchor?")
    assert [events[0]["type"], events[-1]["type"]] == ["start", "done"]
    cited = [event["citation"] for event in events if event["type"] == "citation"]
    final = next(event for event in events if event["type"] == "final")
    assert final["model"] == "stand-in"
    assert cited
    assert cited[0]["url"] in final["answer"]


def test_a_visitor_who_leaves_cancels_the_upstream_request(system: System, provider: Provider) -> None:
    provider.fault("chat", "slow_tokens", seconds=0.2)
    with system.api.stream("POST", "/chat", json={"question": "Where do I drop the anchor?"}) as response:
        for line in response.iter_lines():
            if line.startswith("data: ") and json.loads(line[6:])["type"] == "chunk":
                break
    until(lambda: provider.stats().streams_closed_early == 1, 5)
    assert provider.stats().open_streams == 0


def test_a_visitor_who_stops_an_answer_that_waits_for_them_cancels_it_too(system: System, provider: Provider) -> None:
    provider.fault("chat", "slow_tokens", seconds=0.2)
    asked = {"question": "Where do I drop the anchor?"}
    with system.api.stream("POST", "/chat", json=asked, headers={"Idempotency-Key": uuid4().hex}) as response:
        answer_id = response.headers["X-Answer-ID"]
        until(lambda: provider.stats().open_streams == 1, 5)
    time.sleep(0.5)
    assert provider.stats().streams_closed_early == 0
    stopped_at = time.monotonic()
    assert system.api.delete(f"/answers/{answer_id}").status_code == 204
    until(lambda: provider.stats().streams_closed_early == 1, 5)
    assert provider.stats().chat.left_early[0] - stopped_at < 2


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("cut", "UPSTREAM_TRUNCATED"),
        ("stall", "MODEL_UNAVAILABLE"),
        ("error_mid_stream", "MODEL_UNAVAILABLE"),
    ],
)
def test_a_broken_model_stream_ends_in_one_error_event(
    system: System, provider: Provider, fault: str, code: str
) -> None:
    provider.fault("chat", fault)
    events = system.ask("Where do I drop the anchor?")
    assert events[-1]["type"] == "error"
    assert events[-1]["code"] == code
    assert events[-2]["type"] == "chunk"  # a sentence that an old widget shows
    assert not any(event["type"] in ("final", "done") for event in events)


def test_the_log_has_the_tokens_of_rewriting_and_embedding_too(system: System) -> None:
    def logged(count: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = system.api.get("/questions", headers=system.admin).json()["questions"]
        return found if len(found) == count else []

    question, history = "Where do I drop the anchor?", [{"role": "user", "content": "What is an anchor?"}]
    history.append({"role": "assistant", "content": "A heavy thing that holds a boat."})
    system.ask(question)
    system.ask(question)
    system.ask("And why is that?", history=history)
    until(lambda: bool(logged(3)), 10)
    follow_up, again, first = logged(3)
    assert (first["rewrite_tokens"], first["embedding_tokens"]) == (0, count_tokens(question))
    assert (again["rewrite_tokens"], again["embedding_tokens"]) == (0, 0)  # its vector is remembered
    assert follow_up["rewrite_tokens"] > 80
    assert follow_up["embedding_tokens"] > 0
