"""What is said where the docs do not say."""

from __future__ import annotations

from api.chat.citations import link_to
from api.chat.judge import Verdict
from api.chat.refusal import note_on_missing, refuse
from shared.models import Passage
from tests.passages import passage

ANCHOR = passage("The anchor goes over the bow.", heading="Anchoring")
SAILS = passage("Hoist the main sail first.", heading="Sails")


def verdict(*, nearest: tuple[Passage, ...] = (), missing: tuple[str, ...] = ()) -> Verdict:
    return Verdict(answerable=False, confidence=0.1, missing=missing, nearest=nearest)


def test_a_refusal_says_what_was_looked_for_and_where_to_look_instead() -> None:
    text = refuse("How do I polish brass?", verdict(nearest=(ANCHOR, SAILS)))
    assert text == (
        'I could not find anything in these docs that answers "How do I polish brass?". '
        f"The nearest sections are {link_to(ANCHOR)}, {link_to(SAILS)}."
    )
    assert refuse("a", verdict(nearest=(SAILS,))).endswith(f"The nearest section is {link_to(SAILS)}.")
    assert refuse("Who asks?", verdict()).endswith('answers "Who asks?".')


def test_a_refusal_names_what_stands_nowhere_in_the_docs() -> None:
    text = refuse("Does the sail fit a Beneteau 40?", verdict(nearest=(SAILS,), missing=("Beneteau", "40")))
    assert text.endswith(f"They cover {link_to(SAILS)}, but nothing in them mentions `Beneteau` or `40`.")
    assert refuse("a", verdict(missing=("Beneteau",))).endswith("Nothing in them mentions `Beneteau`.")


def test_what_was_looked_for_is_repeated_harmlessly_and_shortened() -> None:
    text = refuse("[x](https://evil.example) <img src=x> https://evil.example " + "a" * 200, verdict(nearest=(SAILS,)))
    assert "](https://evil.example" not in text.replace("\\](", "")
    assert "<img" not in text
    assert "`https://evil.example`" in text
    assert text.endswith(f"The nearest section is {link_to(SAILS)}.")
    assert len(refuse("a" * 5000, verdict())) < 300


def test_the_part_of_a_question_that_stays_open_is_named_after_the_answer() -> None:
    known = Verdict(answerable=True, confidence=0.8)
    assert note_on_missing(known) == ""
    one = Verdict(answerable=True, confidence=0.8, missing=("Kubernetes",))
    assert note_on_missing(one) == "\n\nNothing in these docs mentions `Kubernetes`."
    other = Verdict(answerable=True, confidence=0.8, uncovered=("who [won](https://evil.example)",))
    assert note_on_missing(other).startswith('\n\nThese docs do not say anything on "who')
    assert "](https://evil.example" not in note_on_missing(other).replace("\\](", "")


def test_a_name_or_a_command_is_no_question_that_could_be_answered() -> None:
    assert refuse("make brass", verdict()) == "I could not find anything in these docs about `make brass`."
    assert "`x`" in refuse("`x`", verdict())


def test_filters_that_nothing_matches_are_named_and_not_the_question() -> None:
    one = Verdict(answerable=False, confidence=0.0, unmatched={"version": "9.9"})
    assert refuse("How do I reef?", one) == (
        "Nothing in these docs matches the filter version `9.9`, so there is nothing to answer from."
    )
    two = Verdict(answerable=False, confidence=0.0, unmatched={"locale": "de", "path": "`![x](https://evil.example)"})
    assert "the filters locale `de` and path `" in refuse("How do I reef?", two)
    assert refuse("How do I reef?", two).count("`") == 4


def test_marked_text_that_the_docs_do_not_speak_of_is_what_was_looked_for() -> None:
    strange = Verdict(answerable=False, confidence=0.0, strange_selection=True)
    assert refuse("explain", strange) == "I could not find anything in these docs about the text that you marked."
