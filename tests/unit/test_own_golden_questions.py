"""The questions about this product's own manual: what they expect must be there."""

from __future__ import annotations

from pathlib import Path

from shared.golden import read_golden
from worker.ingestion.markup.markdown import parse_markdown

ROOT = Path(__file__).parents[2]


def test_each_place_that_the_questions_expect_is_in_the_manual() -> None:
    golden = read_golden(ROOT / "benchmarks" / "golden.yaml")
    assert golden.faults == ()
    for place in {place for question in golden.questions for place in question.expected}:
        page = ROOT / "docs" / place.path
        assert page.is_file(), place
        sections = parse_markdown(page.read_text(encoding="utf-8"))
        anchors = {section.heading.anchor for section in sections if section.heading}
        assert place.anchor is None or place.anchor in anchors, place
