"""A visitor's stream against a chat model over HTTP: what ends, ends on both sides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

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
