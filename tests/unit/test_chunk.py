from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.models import MAX_PLACE_BYTES, Chunk, Page
from shared.tokens import count_tokens, most_tokens
from tests.unit.test_tokens import HARD
from worker.ingestion.chunk import ChunkRules, make_chunks
from worker.ingestion.markup.markdown import Block, Section, parse_markdown
from worker.ingestion.measure import BYTES_PER_TOKEN

PAGE = Page("guide/a.md", "Page", "https://x.org/docs/guide/a", "r1")
RULES = ChunkRules()
SMALL = ChunkRules(size=100, overlap=20, minimum=10)
NO_JOINING = ChunkRules(size=100, overlap=20, minimum=0)

FENCE = re.compile(r"[ \t>]*(?:[-*+] )*(`{3,}|~{3,})")


def chunks_of(text: str, rules: ChunkRules = SMALL) -> tuple[Chunk, ...]:
    chunks = make_chunks(PAGE, parse_markdown(text), rules)
    for chunk in chunks:
        assert_sound(chunk, rules)
    for before, after in pairwise(chunks):
        assert_overlap_repeats(before, after, rules)
    return chunks


def assert_sound(chunk: Chunk, rules: ChunkRules) -> None:
    assert chunk.text.strip()
    assert chunk.text == chunk.text.strip("\n").rstrip()
    assert chunk.tokens == count_tokens(chunk.text)
    assert chunk.tokens <= rules.size
    assert len(chunk.text) <= rules.size * BYTES_PER_TOKEN
    assert listings_are_closed(chunk.text)
    assert chunk.url == PAGE.url + (f"#{chunk.anchor}" if chunk.anchor else "")


def assert_overlap_repeats(before: Chunk, after: Chunk, rules: ChunkRules) -> None:
    repeated = after.text[: after.overlap].strip()
    assert before.text.endswith(repeated)
    assert count_tokens(repeated) <= rules.overlap
    assert not after.overlap or after.trail == before.trail


def listings_are_closed(text: str) -> bool:
    opened = None
    for line in text.split("\n"):
        mark = FENCE.match(line)
        if mark is None:
            continue
        if opened is None:
            opened = mark[1]
        elif mark[1].startswith(opened) and line.endswith(mark[1]):
            opened = None
    return opened is None


def sentences(count: int, first: int = 0) -> str:
    """Sentences of ten tokens each, every one different."""
    return " ".join(f"Sentence {n:04} says one more new thing now." for n in range(first, first + count))


def unique_words(count: int, prefix: str = "w") -> str:
    return " ".join(f"{prefix}{n}" for n in range(count))


# Sections


def test_a_section_that_fits_is_one_chunk_under_its_heading() -> None:
    (chunk,) = chunks_of("# Book\n\n## Part\n\nSome text.\n\n- a\n- b\n")
    assert chunk == Chunk(
        path="guide/a.md",
        page_title="Page",
        url="https://x.org/docs/guide/a#part",
        anchor="part",
        trail=("Book", "Part"),
        text="Some text.\n\n- a\n- b",
        kind="prose",
        tokens=7,
    )


def test_text_before_the_first_heading_is_kept_without_an_anchor() -> None:
    first, second = chunks_of(f"{sentences(2)}\n\n## Part\n\n{sentences(3)}")
    assert (first.trail, first.anchor, first.url, first.heading) == ((), None, PAGE.url, "Page")
    assert second.trail == ("Part",)


def test_a_large_section_keeps_its_own_heading_beside_a_small_one() -> None:
    small, large = chunks_of(f"## Small\n\nTiny.\n\n## Large\n\n{sentences(5)}")
    assert (small.trail, small.text) == (("Small",), "Tiny.")
    assert large.trail == ("Large",)


def test_small_neighbours_are_joined_under_the_first_ones_heading() -> None:
    (chunk,) = chunks_of(
        "## Terms\n\n### Action\n\nWhat happens.\n\n### Reducer\n\nWhat changes.\n\n\n### Store {#s}\n\nIt."
    )
    assert chunk.trail == ("Terms", "Action")
    assert chunk.anchor == "action"
    assert chunk.text == "What happens.\n\n### Reducer\n\nWhat changes.\n\n### Store\n\nIt."


def test_a_small_section_is_joined_to_the_one_before_it() -> None:
    (chunk,) = chunks_of(f"## Call\n\n{sentences(5)}\n\n### Returns\n\nNothing.")
    assert chunk.trail == ("Call",)
    assert chunk.text == f"{sentences(5)}\n\n### Returns\n\nNothing."


def test_small_sections_are_joined_to_each_other_rather_than_to_a_large_one() -> None:
    large, small = chunks_of(f"## Large\n\n{sentences(5)}\n\n## B\n\n{unique_words(3)}\n\n## C\n\n{unique_words(3)}")
    assert large.text == sentences(5)
    assert small.trail == ("B",)


def test_small_sections_under_different_parents_are_not_joined() -> None:
    chunks = chunks_of(f"# A\n\n## B\n\n{sentences(2)}\n\n### C\n\nc\n\n# D\n\nd\n")
    assert [chunk.trail for chunk in chunks] == [("A", "B"), ("D",)]


def test_joining_stops_at_the_limit() -> None:
    rules = ChunkRules(size=100, overlap=20, minimum=90)
    thirds = chunks_of("\n\n".join(f"## Term\n\n{sentences(3, n)}" for n in range(9)), rules)
    assert [chunk.text.count("## Term") + 1 for chunk in thirds] == [3, 3, 3]
    halves = chunks_of("\n\n".join(f"## Term\n\n{sentences(6, n)}" for n in range(4)), rules)
    assert [chunk.text for chunk in halves] == [sentences(6, n) for n in range(4)]


def test_a_heading_directly_above_another_one_lives_in_the_trail() -> None:
    (chunk,) = chunks_of(f"# Book\n\n## Part\n\n### Section\n\n{sentences(3)}")
    assert chunk.trail == ("Book", "Part", "Section")
    assert chunk.text == sentences(3)


def test_headings_in_front_of_a_joined_section_come_with_it() -> None:
    (chunk,) = chunks_of("Short start.\n\n# Book\n\n## Part\n\nShort end.")
    assert chunk.text == "Short start.\n\n# Book\n\n## Part\n\nShort end."


def test_a_heading_with_nothing_under_it_is_not_lost() -> None:
    (chunk,) = chunks_of("## Coming soon\n")
    assert (chunk.text, chunk.anchor) == ("Coming soon", "coming-soon")
    (joined,) = chunks_of("## One\n\nText.\n\n## Coming soon\n")
    assert joined.text == "Text.\n\n## Coming soon"


def test_no_sections_no_chunks() -> None:
    assert make_chunks(PAGE, (), SMALL) == ()


def test_ten_thousand_equal_headings_have_anchors_of_their_own() -> None:
    chunks = chunks_of("## Example\n\nText.\n\n" * 10_000, NO_JOINING)
    assert len({chunk.anchor for chunk in chunks}) == 10_000


# Prose


def test_prose_over_the_limit_is_cut_between_sentences_and_repeats_whole_ones() -> None:
    chunks = chunks_of(f"## Long\n\n{sentences(40)}")
    assert len(chunks) > 3
    for chunk in chunks:
        assert chunk.text.startswith("Sentence")
        assert chunk.text.endswith("now.")
    assert all(chunk.overlap for chunk in chunks[1:])
    assert "".join(chunk.text[chunk.overlap :] for chunk in chunks).count("Sentence") == 40
    assert {chunk.trail for chunk in chunks} == {("Long",)}


def test_without_overlap_nothing_is_repeated() -> None:
    chunks = chunks_of(sentences(40), ChunkRules(size=100, overlap=0, minimum=10))
    assert sum(chunk.overlap for chunk in chunks) == 0
    assert " ".join(chunk.text for chunk in chunks) == sentences(40)


def test_overlap_does_not_run_away_over_long_sentences() -> None:
    text = " ".join(f"{unique_words(60, f's{n}w')} ends." for n in range(30))
    chunks = chunks_of(text, ChunkRules(size=300, overlap=50, minimum=10))
    assert sum(chunk.tokens for chunk in chunks) <= 1.2 * count_tokens(text)


def test_what_is_repeated_begins_where_a_sentence_begins() -> None:
    sentence = "Beginning " + "information " * 17 + "end."
    assert not any(chunk.overlap for chunk in chunks_of(f"{sentence} " * 20, SMALL))
    chunks = chunks_of(f"{sentence} {sentences(1)} " * 20, SMALL)
    assert {chunk.text[: chunk.overlap].strip() for chunk in chunks} == {"", sentences(1)}


def test_a_line_that_announces_something_is_not_the_last_of_its_chunk() -> None:
    text = f"{sentences(5)}\n\n{sentences(1, 5)[:-1]}:\n\n{sentences(2, 6)}\n\n{sentences(3, 8)}"
    first, second = chunks_of(text, ChunkRules(size=100, overlap=0, minimum=10))
    assert first.text.endswith(sentences(2, 6))
    assert second.text == sentences(3, 8)


def test_paragraphs_are_kept_together_where_they_fit() -> None:
    paragraphs = [sentences(3, first) for first in range(0, 60, 3)]
    chunks = chunks_of("\n\n".join(paragraphs), ChunkRules(size=100, overlap=0, minimum=10))
    assert [part for chunk in chunks for part in chunk.text.split("\n\n")] == paragraphs


def test_chunks_of_one_section_are_about_equally_large() -> None:
    chunks = chunks_of(sentences(11), ChunkRules(size=100, overlap=0, minimum=10))
    assert len(chunks) == 2
    assert min(chunk.tokens for chunk in chunks) >= 40


def test_a_list_is_cut_between_items() -> None:
    items = [f"- item {n} {unique_words(8)}" for n in range(30)]
    chunks = chunks_of("\n".join(items), ChunkRules(size=100, overlap=0, minimum=10))
    assert "\n".join(chunk.text for chunk in chunks).split("\n") == items


def test_a_sentence_over_the_limit_is_cut_between_words() -> None:
    words = unique_words(500)
    chunks = chunks_of(words)
    assert " ".join(chunk.text[chunk.overlap :] for chunk in chunks) == words


def test_a_word_over_the_limit_is_cut_wherever_it_must() -> None:
    chunks = chunks_of("before " + "x" * 200_000 + " after", RULES)
    assert "".join(chunk.text for chunk in chunks).replace(" ", "") == "before" + "x" * 200_000 + "after"


@pytest.mark.parametrize(
    "text", ["ab1" * 20_000, "한국어" * 1_000, "文" * 5_000, "👩‍👩‍👧‍👦" * 500, "a" + "\u0301" * 50_000]
)
def test_endless_words_of_any_script_stay_within_tokens_and_bytes(text: str) -> None:
    chunks = chunks_of(text, RULES)
    assert "".join(chunk.text for chunk in chunks) == text
    assert max(len(chunk.text.encode()) for chunk in chunks) <= RULES.size * BYTES_PER_TOKEN * 4


def test_parts_of_one_word_are_not_put_together_again() -> None:
    chunks_of("a\u200b" * 300 + "文" * 1_500, SMALL)
    chunks_of("é\u200b" * 300 + "文" * 1_500, SMALL)


def test_scripts_without_blanks_are_cut_between_sentences() -> None:
    text = "これは長い文です。" * 300
    chunks = chunks_of(text, RULES)
    assert "".join(chunk.text[chunk.overlap :] for chunk in chunks) == text
    assert all(chunk.text.endswith("。") for chunk in chunks)


def test_blanks_do_not_make_chunks_large_or_empty() -> None:
    chunks = chunks_of("a" + " " * 200_000 + "b\n\n" + "\n" * 100_000 + "c", RULES)
    assert [word for chunk in chunks for word in chunk.text.split()] == ["a", "b", "c"]


# Listings


def listing(lines: int, opener: str = '```python title="a.py"') -> str:
    functions = (f"def f{n}(x):\n    y = x + {n}\n    return y\n" for n in range(lines // 4))
    return opener + "\n" + "\n".join(functions) + "\n```"


def test_a_listing_that_fits_is_never_cut_nor_repeated() -> None:
    code = listing(12)
    chunks = chunks_of(f"{sentences(6)}\n\n{code}\n\n{sentences(6)}")
    assert sum(code in chunk.text for chunk in chunks) == 1
    assert "".join(chunk.text for chunk in chunks).count("def f0") == 1


def test_a_listing_over_the_limit_is_cut_into_listings_where_the_code_pauses() -> None:
    chunks = chunks_of(f"## Code\n\n{listing(120)}")
    assert len(chunks) > 5
    for chunk in chunks:
        assert chunk.kind == "code"
        first, second, *_ = chunk.text.split("\n")
        assert first == '```python title="a.py"'
        assert second.startswith("def f")
        assert chunk.overlap == 0
    assert re.findall(r"def f(\d+)", "".join(chunk.text for chunk in chunks)) == [str(n) for n in range(30)]


def test_a_listing_is_not_cut_before_a_closing_bracket() -> None:
    end = "}  // and this is where the function ends"
    functions = "\n".join(f"function f{n}() {{\n{'  call();' * (n % 5 + 1)}\n{end}" for n in range(60))
    for chunk in chunks_of(f"```js\n{functions}\n```"):
        assert chunk.text.count("{") == chunk.text.count("}")


def test_a_line_that_introduces_a_listing_stays_with_it() -> None:
    chunks = chunks_of(f"## Code\n\nLike this:\n\n{listing(120)}")
    assert chunks[0].text.startswith("Like this:\n\n```python")


@pytest.mark.parametrize(
    ("opener", "indent", "closer"),
    [("> ```js", "> ", "> ```"), ("- ```js", "  ", "  ```"), ("    ~~~~js", "    ", "    ~~~~")],
)
def test_a_listing_in_a_quote_or_item_is_cut_in_its_place(opener: str, indent: str, closer: str) -> None:
    lines = "\n".join(f"{indent}call_number({n});" for n in range(60))
    chunks = chunks_of(f"Text.\n\n{opener}\n{lines}\n{closer}")
    assert len(chunks) > 3
    for chunk in chunks:
        assert chunk.text.split("\n")[-1].strip() == closer.strip()
        assert opener.strip() in chunk.text


def test_a_line_of_code_over_the_limit_is_cut_within_listings() -> None:
    chunks = chunks_of("```\nshort\n" + unique_words(400) + "\n" + "y" * 3_000 + "\n```")
    code = [line for chunk in chunks for line in chunk.text.split("\n") if not line.startswith("```")]
    assert " ".join(code).split()[:401] == ["short", *unique_words(400).split()]
    assert "".join(code).count("y") == 3_000


def test_an_opening_line_over_the_limit_is_cut_as_text() -> None:
    text = "```js " + unique_words(300) + "\ncode\n```"
    section = Section(None, (), (Block("code", f"\n{text}"),))
    words = [word for chunk in make_chunks(PAGE, [section], SMALL) for word in chunk.text.split()]
    assert [word for word in words if word != "```"] == text.replace("```", "").split()


def test_an_unclosed_listing_of_any_length_is_cut_into_closed_ones() -> None:
    chunks = chunks_of("```js\n" + "\n".join(f"call({n})" for n in range(20_000)), RULES)
    assert "".join(chunk.text for chunk in chunks).count("call(") == 20_000


def test_a_listing_of_empty_lines_gives_no_empty_chunks() -> None:
    chunks = chunks_of("```\na\n" + "\n" * 100_000 + "b\n```", RULES)
    assert [word for chunk in chunks for word in chunk.text.split() if word != "```"] == ["a", "b"]


def test_the_paragraph_before_a_listing_goes_with_it() -> None:
    code = listing(16)
    first, second = chunks_of(f"{sentences(5)}\n\n{sentences(2, 5)}\n\n{code}")
    assert first.text == sentences(5)
    assert second.text == f"{sentences(2, 5)}\n\n{code}"


def test_a_listing_stays_with_its_paragraph_where_both_fit_though_the_chunk_has_its_share() -> None:
    code = "```\n" + "call()\n" * 8 + "```"
    first, second = chunks_of(f"{sentences(6)}\n\n{code}\n\n{sentences(3, 6)}")
    assert first.text == f"{sentences(6)}\n\n{code}"
    assert second.text == sentences(3, 6)


@settings(max_examples=100, deadline=None)
@given(functions=st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=5), min_size=12, max_size=40))
def test_code_is_cut_before_outer_lines_alone(functions: list[list[int]]) -> None:
    bodies = ("\n".join("  " * depth + f"call({depth});" for depth in depths) for depths in functions)
    chunks = chunks_of(
        "```js\n" + "\n".join(f"function f{n}() {{\n{body}\n}}" for n, body in enumerate(bodies)) + "\n```"
    )
    assert len(chunks) > 1
    assert all(chunk.text.startswith("```js\nfunction ") for chunk in chunks)


# Tables


def test_a_table_over_the_limit_is_cut_between_rows_with_its_header() -> None:
    rows = [f"| key{n} | value {n} |" for n in range(100)]
    header = "| Name | What |\n|---|---|"
    chunks = chunks_of("## Options\n\n" + "\n".join((header, *rows)))
    assert len(chunks) > 5
    assert all(chunk.text.startswith(header) and chunk.kind == "table" for chunk in chunks)
    assert [row for chunk in chunks for row in chunk.text.split("\n")[2:]] == rows


def test_a_row_over_the_limit_does_not_cost_the_others_their_header() -> None:
    rows = ["| a | b |", f"| long | {unique_words(150)} |", "| c | d |"]
    header = "| Name | What |\n|---|---|"
    chunks = chunks_of("\n".join((header, *rows)))
    assert all(chunk.text.startswith(header) and chunk.kind == "table" for chunk in chunks)
    words = [word for chunk in chunks for line in chunk.text.split("\n")[2:] for word in line.split()]
    assert words == " ".join(rows).split()


def test_sixty_thousand_rows_are_cut_with_their_header() -> None:
    chunks = chunks_of("| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 60_000, RULES)
    assert sum(chunk.text.count("| 1 | 2 |") for chunk in chunks) == 60_000


def test_a_table_that_is_wider_than_a_chunk_keeps_every_cell() -> None:
    columns = 2_000
    header = " | ".join(f"h{n}" for n in range(columns))
    row = " | ".join(f"c{n}" for n in range(columns))
    text = f"{header}\n{' | '.join(['---'] * columns)}\n{row}\n"
    words = {word for chunk in chunks_of(text, RULES) for word in chunk.text.split()}
    assert {f"c{n}" for n in range(columns)} | {f"h{n}" for n in range(columns)} <= words


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("A word.\n\n```\n" + "code()\n" * 10 + "```", "code"),
        (sentences(5) + "\n\n```\ncode()\n```", "prose"),
        ("A word.\n\n| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 5, "table"),
    ],
)
def test_a_chunks_kind_is_that_of_most_of_it(text: str, kind: str) -> None:
    assert [chunk.kind for chunk in chunks_of(text)] == [kind]


# Any page


@st.composite
def pages(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A page of which every word is different, and those words in order."""
    words: list[str] = []

    def some(least: int, most: int) -> list[str]:
        fresh = [f"w{len(words) + n}" for n in range(draw(st.integers(least, most)))]
        words.extend(fresh)
        return fresh

    def lines(mark: str, most: int, most_words: int) -> str:
        return "\n".join(mark + " ".join(some(1, most_words)) for _ in range(draw(st.integers(1, most))))

    def listing() -> str:
        depths = draw(st.lists(st.integers(0, 3), min_size=1, max_size=40))
        return "```js\n" + "\n".join("  " * depth + " ".join(some(0, 6)) for depth in depths) + "\n```"

    blocks: dict[str, Callable[[], str]] = {
        "heading": lambda: "#" * draw(st.integers(1, 4)) + " " + " ".join(some(1, 4)),
        "prose": lambda: " ".join(" ".join(some(1, 30)) + "." for _ in range(draw(st.integers(1, 12)))),
        "list": lambda: lines("- ", 20, 20),
        "quote": lambda: lines("> ", 5, 10),
        "code": listing,
        "table": lambda: (
            "k | v\n--- | ---\n" + "\n".join(" | ".join(some(2, 2)) for _ in range(draw(st.integers(0, 30))))
        ),
        "word": lambda: some(1, 1)[0] + "y" * draw(st.integers(0, 3_000)),
    }
    kinds = draw(st.lists(st.sampled_from(sorted(blocks)), max_size=12))
    return "\n\n".join(blocks[kind]() for kind in kinds), words


@settings(max_examples=100, deadline=None)
@given(page=pages(), minimum=st.sampled_from([0, 10, 40]), overlap=st.sampled_from([0, 20, 50]))
def test_each_word_of_a_page_is_in_its_chunks_once_and_in_order(
    page: tuple[str, list[str]], minimum: int, overlap: int
) -> None:
    text, words = page
    chunks = chunks_of(text, ChunkRules(size=100, overlap=overlap, minimum=minimum))
    own = [word for chunk in chunks for word in re.findall(r"w\d+", chunk.text[chunk.overlap :])]
    carried = {word for chunk in chunks for heading in chunk.trail for word in re.findall(r"w\d+", heading)}
    assert max(Counter(own).values(), default=1) == 1
    assert own == [word for word in words if word in set(own)]
    assert set(words) == set(own) | carried


@settings(max_examples=250, deadline=None)
@given(text=st.text(max_size=2_000), rules=st.sampled_from([SMALL, NO_JOINING, RULES]))
def test_no_text_makes_an_unsound_chunk(text: str, rules: ChunkRules) -> None:
    for chunk in make_chunks(PAGE, parse_markdown(text), rules):
        assert chunk.text.strip()
        assert chunk.tokens == count_tokens(chunk.text) <= rules.size


@settings(max_examples=100, deadline=None)
@given(page=pages(), minimum=st.sampled_from([10, 40]))
def test_a_chunk_is_small_only_where_its_section_is_or_no_neighbour_has_room(
    page: tuple[str, list[str]], minimum: int
) -> None:
    rules = ChunkRules(size=100, overlap=0, minimum=minimum)
    chunks = chunks_of(page[0], rules)
    for before, after in pairwise(chunks):
        inside_word = re.match(r"y+\b", after.text)
        if before.trail == after.trail and before.anchor == after.anchor and not inside_word:
            assert min(before.tokens, after.tokens) >= minimum or before.tokens + after.tokens > rules.size


@settings(max_examples=100, deadline=None)
@given(page=pages())
def test_lines_of_code_and_rows_of_tables_that_fit_stay_whole(page: tuple[str, list[str]]) -> None:
    lines = {line for chunk in chunks_of(page[0]) for line in chunk.text.split("\n")}
    for block in re.findall(r"```js\n(.*?)\n```|k \| v\n--- \| ---\n((?:[^\n]+\n?)*)", page[0], re.DOTALL):
        for line in "".join(block).split("\n"):
            assert line in lines or not line.strip()


@settings(max_examples=60, deadline=None)
@given(
    text=st.one_of(st.text(max_size=3_000), pages().map(lambda page: page[0])),
    trail=st.lists(st.text(min_size=1, max_size=300).filter(str.strip), max_size=6),
    limit=st.sampled_from([512, 2_048, 8_191]),
    size=st.sampled_from([100, 600, 2_000]),
)
def test_no_embedded_text_is_longer_than_the_model_reads(text: str, trail: list[str], limit: int, size: int) -> None:
    section = Section(None, tuple(trail), tuple(block for part in parse_markdown(text) for block in part.blocks))
    for chunk in make_chunks(PAGE, [section] if section.blocks else [], ChunkRules(size, 20, 10, limit)):
        assert most_tokens(chunk.embedded_text) <= limit
        assert chunk.tokens == count_tokens(chunk.text) <= size


@pytest.mark.parametrize("limit", [512, 2_048, 8_191])
@pytest.mark.parametrize("name", HARD)
def test_what_other_tokenizers_find_hard_fits_their_models_too(name: str, limit: int) -> None:
    text = HARD[name][0]
    section = Section(None, (text[:200],), (Block("prose", text),))
    chunks = make_chunks(PAGE, [section], ChunkRules(2_000, 100, 50, limit))
    assert all(most_tokens(chunk.embedded_text) <= limit for chunk in chunks)
    letters = re.sub(r"\s", "", "".join(chunk.text[chunk.overlap :] for chunk in chunks))
    assert len(letters) >= len(re.sub(r"\s", "", text))


def test_usual_text_at_the_usual_size_is_not_cut_shorter_for_any_provider() -> None:
    text = "\n\n".join(sentences(4, first) for first in range(0, 400, 4))
    of_any = make_chunks(PAGE, parse_markdown(text), RULES)
    assert make_chunks(PAGE, parse_markdown(text), ChunkRules(limit=2_048)) == of_any


@settings(max_examples=200, deadline=None)
@given(title=st.text(max_size=2_000), trail=st.lists(st.text(max_size=300), max_size=6))
def test_a_passage_is_embedded_behind_its_place_whose_end_is_kept(title: str, trail: list[str]) -> None:
    chunk = Chunk("a.md", title, PAGE.url, None, tuple(trail), "Text.", "prose", 2)
    assert chunk.embedded_text == f"{chunk.place}\n\nText."
    assert len(chunk.place.encode()) <= MAX_PLACE_BYTES
    assert " > ".join(dict.fromkeys((title, *trail))).endswith(chunk.place) or chunk.heading.startswith(chunk.place)


@settings(max_examples=100, deadline=None)
@given(words=st.lists(st.text(min_size=1, max_size=2_000).filter(lambda word: not word.isspace()), max_size=5))
def test_hard_cuts_of_strange_words_stay_within_the_limit(words: list[str]) -> None:
    for chunk in make_chunks(PAGE, parse_markdown(" ".join(words)), SMALL):
        assert chunk.tokens == count_tokens(chunk.text) <= SMALL.size


# Pages that are hard to cut


@pytest.mark.parametrize("limit", [None, 512])
@pytest.mark.parametrize(
    "text",
    [
        "x" * 1_000_000,
        "aB3+" * 100_000,
        "文" * 200_000,
        "word " * 100_000,
        "a\n" * 100_000,
        "a. " * 100_000,
        "- item\n" * 50_000,
        "a\n \n" * 50_000,
        "1,2,3,abc\n" * 30_000,
        "".join("  " * depth + "- x\n" for depth in range(600)),
        "```\n" + ("y" * 100_000 + "\n") * 4 + "```",
        "|a|b|\n|-|-|\n|" + "x " * 200_000 + "|1|\n|c|d|",
    ],
    ids=["line", "base64", "ideographs", "words", "lines", "sentences", "items", "blank lines", "csv", "nested list",
         "code", "row"],
)  # fmt: skip
def test_time_grows_with_the_size_of_a_page_whatever_is_in_it(text: str, limit: int | None) -> None:
    section = Section(None, (), tuple(block for part in parse_markdown(text) for block in part.blocks))
    started = time.process_time()
    chunks = make_chunks(PAGE, [section], ChunkRules(limit=limit))
    seconds = time.process_time() - started
    # A tenth of that on an idle machine; what grows with the square takes minutes.
    assert seconds < 10
    assert len("".join("".join(chunk.text.split()) for chunk in chunks)) >= len("".join(text.split())) - 12
