from __future__ import annotations

import pytest

from worker.ingestion.front_matter import MAX_BYTES, read_front_matter


def page(block: str) -> str:
    return f"---\n{block}\n---\n# Title\n\ntext\n"


def test_flat_values_are_kept_with_their_types() -> None:
    front = read_front_matter(
        page('title: "A: b"\nsidebar_position: 3\nliquid: false\nweight: 1.5\ntags: ["a", b]\nslug: /x\nnothing:')
    )
    assert dict(front.values) == {
        "title": "A: b",
        "sidebar_position": 3,
        "liquid": False,
        "weight": 1.5,
        "tags": ("a", "b"),
        "slug": "/x",
    }
    assert front.body == "# Title\n\ntext\n"
    assert front.fault is None


def test_what_stores_cannot_hold_becomes_text() -> None:
    front = read_front_matter(
        page("d: 2024-01-31\nt: 2024-01-31 10:00:00\nn: .nan\ni: .inf\nbig: 1180591620717411303424\nb: !!binary aGk=")
    )
    assert front.values["d"] == "2024-01-31"
    assert front.values["t"] == "2024-01-31T10:00:00"
    assert front.values["n"] == "nan"
    assert front.values["i"] == "inf"
    assert front.values["big"] == "1180591620717411303424"
    assert front.values["b"] == "hi"


def test_nested_values_are_dropped_and_their_neighbours_stay() -> None:
    front = read_front_matter(page("a: {b: {c: 1}}\ntags: [x, {y: z}, null]\ntitle: T"))
    assert dict(front.values) == {"tags": ("x",), "title": "T"}


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ("a: &x [1]\nb: *x", "anchors and aliases"),
        ("a: &a [x]\n" + "\n".join(f"{chr(98 + n)}: [{'*a,' * 9}]" for n in range(9)), "anchors and aliases"),
        ("a: " + "[" * 500 + "]" * 500, "nested deeper"),
        ("\n".join(" " * n + "a:" for n in range(100)), "nested deeper"),
        ("x: !!python/object/apply:os.system ['touch /tmp/owned']", "could not determine a constructor"),
        ("title: [unclosed", "expected"),
        ("title: a: b", "mapping values are not allowed"),
        ("d: 2024-13-45", "month must be in 1..12"),
        ("- just\n- a list", "not a list of `key: value` lines"),
        ("a: " + "x" * (MAX_BYTES + 1), "larger than 16 KiB"),
        ("\n".join(f"k{n}: 1" for n in range(201)), "more than 200 keys"),
    ],
)
def test_a_broken_block_is_named_and_the_body_is_kept(block: str, reason: str) -> None:
    front = read_front_matter(page(block))
    assert dict(front.values) == {}
    assert front.fault is not None
    assert reason in front.fault
    assert "\n" not in front.fault
    assert front.body == "# Title\n\ntext\n"


def test_a_fault_names_the_line_of_the_file() -> None:
    front = read_front_matter("---\ntitle: ok\nbad: [\n---\n")
    assert front.fault is not None
    assert "(line 4)" in front.fault


def test_front_matter_that_does_not_end_is_text() -> None:
    text = "---\ntitle: x\n\nAll of this is text.\n"
    front = read_front_matter(text)
    assert front.body == text
    assert front.fault == "the front matter is not closed; end it with a line of three dashes"


@pytest.mark.parametrize(
    "text", ["", "text\n---\na: b\n---\n", "----\nrule\n", "\n---\na: b\n---\n", "--- a\nb: c\n---\n"]
)
def test_dashes_elsewhere_are_no_front_matter(text: str) -> None:
    front = read_front_matter(text)
    assert front.body == text
    assert front.fault is None


@pytest.mark.parametrize("block", ["---\n---\nbody", "---\n\n---\nbody", "---\n# only a comment\n---\nbody"])
def test_an_empty_block_is_fine(block: str) -> None:
    front = read_front_matter(block)
    assert front.body == "body"
    assert front.fault is None
    assert dict(front.values) == {}


def test_values_are_read_as_text_or_as_flags() -> None:
    front = read_front_matter(page("id: 7\nblank: '  '\ndraft: true\nunlisted: 'true'\nparse: false\ntags: [a]"))
    assert (front.text("id"), front.text("blank"), front.text("tags"), front.text("none")) == ("7", None, None, None)
    assert front.flag("draft")
    assert front.flag("unlisted")
    assert not front.flag("parse", default=True)
    assert front.flag("absent", default=True)


def test_the_closing_dashes_may_end_the_file_or_carry_blanks() -> None:
    assert read_front_matter("---\na: b\n---").values == {"a": "b"}
    assert read_front_matter("---  \na: b\n---  \nx").body == "x"
