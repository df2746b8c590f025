"""A claim from a passage of several small sections links to the heading that it is from."""

from __future__ import annotations

import pytest

from api.chat.citations import CitationWriter, citation, plain_text
from api.chat.places import place_of, places_of
from shared.models import Chunk, Part, Passage, StoredChunk

URL = "https://site.example/docs/rigging"
INTRO = "The mast goes up first."
SAIL = "## Setting the mainsail\n\nHoist the mainsail with the red halyard."
REEF = "## Reefing\n\nTake in a reef when the wind is over twenty knots."
TEXT = f"{INTRO}\n\n{SAIL}\n\n{REEF}"
CHUNK = Chunk(
    path="rigging.md", page_title="Rigging", url=URL, anchor=None, trail=("Rigging",), text=TEXT, kind="prose",
    tokens=40,
    parts=(
        Part(TEXT.index(SAIL), "sail", f"{URL}#sail", ("Rigging", "Setting the mainsail")),
        Part(TEXT.index(REEF), "reefing", f"{URL}#reefing", ("Rigging", "Reefing")),
    ),
)  # fmt: skip
PASSAGE = Passage(StoredChunk("id-1", CHUNK, "digest", "hash", 1, 2), 1.0, 0.5, 3.0)


def test_a_passage_has_a_place_for_each_of_its_headings() -> None:
    assert [(place.heading, place.text.strip()) for place in places_of(CHUNK)] == [
        ("Rigging", INTRO),
        ("Setting the mainsail", SAIL),
        ("Reefing", REEF),
    ]


@pytest.mark.parametrize(
    ("claim", "anchor"),
    [
        ("Hoist the mainsail with the red halyard.", "sail"),
        ("Above twenty knots of wind you should reef.", "reefing"),
        ("The mast goes up first.", None),
        ("", None),
        ("Nothing of this stands there.", None),
    ],
)
def test_a_claim_is_from_the_place_whose_words_it_shares(claim: str, anchor: str | None) -> None:
    assert place_of(CHUNK, claim).anchor == anchor


def test_marks_of_one_passage_link_to_the_heading_of_each_claim() -> None:
    writer = CitationWriter([PASSAGE])
    text = writer.feed("Raise the mast first [1]. Then hoist the mainsail by its red halyard [1].").text
    text += writer.feed(" Reef above twenty knots of wind [1].").text + writer.finish().text
    assert f"[Rigging]({URL})." in text
    assert f"[Rigging - Setting the mainsail]({URL}#sail)." in text
    assert f"[Rigging - Reefing]({URL}#reefing)." in text
    assert [cited.heading for cited in writer.cited] == ["Rigging", "Setting the mainsail", "Reefing"]
    assert len({cited.id for cited in writer.cited}) == 3


def test_marks_side_by_side_are_about_the_same_claim() -> None:
    writer = CitationWriter([PASSAGE, PASSAGE])
    text = writer.feed("Reef above twenty knots of wind [1][2].").text + writer.finish().text
    assert text.count("#reefing") == 2


def test_a_link_that_the_model_writes_to_a_joined_heading_cites_it() -> None:
    writer = CitationWriter([PASSAGE])
    writer.feed(f"See [reefing]({URL}#reefing).")
    writer.finish()
    assert [cited.heading for cited in writer.cited] == ["Reefing"]


def test_a_source_shows_the_words_under_its_own_heading() -> None:
    assert citation(1, PASSAGE, places_of(CHUNK)[2]).text == "Take in a reef when the wind is over twenty knots."


@pytest.mark.parametrize(
    ("markdown", "plain"),
    [
        ("Use **bold** and `code` in _text_.", "Use bold and code in text."),
        ("## Title\n\n### Sub\n\nText", "Text"),
        ("```python title=x\nrun(snake_case)\n```", "run(snake_case)"),
        ("See [the guide](https://a.example/b) now", "See the guide now"),
        ("| a | b |\n|---|:--|\n| 1 | 2 |", "a b 1 2"),
        ("> quoted\n> text", "quoted text"),
        ("2 * 3 * 4 and a_b_c", "2 * 3 * 4 and a_b_c"),
        (":::note\nMind the gap\n:::", "Mind the gap"),
    ],
)
def test_a_snippet_is_plain_text(markdown: str, plain: str) -> None:
    assert plain_text(markdown) == plain
