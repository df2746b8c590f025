"""Each sentence of an answer is held against the passages: what they say passes, what they do not say is noticed."""

from __future__ import annotations

import time

import pytest

from api.chat.events import Claim
from api.chat.evidence import Evidence
from shared.models import Passage
from tests.passages import BM25, passage

MOORING = passage(
    "A ship ties up with four lines. Each line holds 30 tonnes, and lines are replaced after 2,500 hours.\n\n"
    "The harbour master Petersen enables mooring before sunset. Visitors must not enter the pier at night.\n\n"
    "| option | default |\n|---|---|\n| `--line-count` | 4 |\n| `--max-load` | 30 |",
    heading="Mooring",
)
WEATHER = passage(
    "The coast guard is asked for the forecast every 10 minutes. `HARBOR_FORECAST_URL` says where it is read from. "
    "About 2 million people live at the coast.",
    heading="Weather",
    path="weather.md",
)
CODE = passage("```py\nfrom harbor import Berth\n\nberth = Berth(depth=4)\nberth.tie_up(lines=2)\n```", path="api.md")
PASSAGES = [MOORING, WEATHER, CODE]


def check(sentence: str, *cited: int, passages: list[Passage] = PASSAGES, code: bool = False) -> Claim | None:
    return Evidence(passages, BM25).check(sentence, cited, code=code)


def support(sentence: str, *cited: int) -> str:
    claim = check(sentence, *cited)
    assert claim is not None, sentence
    return claim.support


@pytest.mark.parametrize(
    "sentence",
    [
        "A ship ties up with four lines.",
        "Ships are tied up with 4 lines, each of which holds 30 tonnes.",
        "Lines are replaced after 2500 hours.",
        "Petersen, the harbour master, enables mooring before sunset.",
        "Visitors must not enter the pier at night.",
        "The default of `--line-count` is 4.",
        "The forecast is read from the address in `HARBOR_FORECAST_URL`, every 10 min.",
        "About 2,000,000 people live at the coast.",
        "Mooring takes four lines, and the coast guard is asked for the forecast every 10 minutes.",
    ],
)
def test_what_the_passages_say_in_other_words_is_supported(sentence: str) -> None:
    assert support(sentence) == "supported"


@pytest.mark.parametrize(
    ("sentence", "missing"),
    [
        ("Each line holds 45 tonnes.", "45"),
        ("Lines are replaced after 2500 minutes.", "2500 minute"),
        ("A ship ties up with six lines.", "6"),
        ("The harbour master Johansson enables mooring before sunset.", "Johansson"),
        ("The default of `--line-counts` is 4.", "--line-counts"),
        ("The forecast is read from the address in `HARBOR_WEATHER_URL`.", "HARBOR_WEATHER_URL"),
        ("The coast guard is asked for the forecast every 30 minutes.", "30 minute"),
    ],
)
def test_a_number_name_or_identifier_that_is_not_theirs_is_noticed(sentence: str, missing: str) -> None:
    claim = check(sentence)
    assert claim is not None
    assert claim.support != "supported"
    assert missing in claim.missing


@pytest.mark.parametrize(
    "sentence",
    [
        "Visitors must enter the pier at night.",
        "The harbour master Petersen disables mooring before sunset.",
        "The harbour master Petersen enables mooring after sunset.",
        "Each line does not hold 30 tonnes, and lines are not replaced after 2,500 hours.",
    ],
)
def test_the_contrary_of_what_they_say_is_weak(sentence: str) -> None:
    assert support(sentence) == "weak"


def test_what_no_passage_says_is_unsupported() -> None:
    assert support("Penguins breed on the ice shelves of Antarctica in the winter.") == "unsupported"
    assert support("The lines cost 99 crowns.") == "unsupported"


@pytest.mark.parametrize(
    "sentence",
    [
        "Here is how:",
        "Sure!",
        "How many lines do you have?",
        "The passages do not say how deep the harbour is.",
        "There is no information on prices in these docs.",
        "I could not find anything on penguins.",
        "See the following section for more details.",
        "For example, follow these steps.",
        "Let me know if you have another question about penguins.",
    ],
)
def test_a_sentence_that_says_nothing_of_the_subject_is_no_claim(sentence: str) -> None:
    assert check(sentence) is None


def test_the_passage_that_supports_a_sentence_is_named() -> None:
    claim = check("The coast guard is asked for the forecast.")
    assert claim is not None
    assert claim.numbers == (2,)


def test_a_wrong_citation_gives_way_to_the_passage_that_says_it() -> None:
    claim = check("The coast guard is asked for the forecast.", 1)
    assert claim == Claim("The coast guard is asked for the forecast.", "supported", (2,))


def test_an_unsupported_sentence_keeps_what_it_cites() -> None:
    claim = check("Penguins breed on the ice shelves in the winter.", 1)
    assert claim is not None
    assert (claim.support, claim.numbers) == ("unsupported", (1,))


def test_a_sentence_that_stands_in_the_cited_passage_is_supported_however_odd_its_names_are() -> None:
    odd = "Training data cut-offEarly 2023Early 2023Early 2023 for Claude 2.1Claude 2."
    table = passage(f"What follows lost its columns on the way. {odd} So it is quoted.")
    assert check(odd, 1, passages=[table]) == Claim(odd, "supported", (1,), ())
    changed = check(odd.replace("2.1", "3.1"), 1, passages=[table])
    assert changed is not None
    assert changed.support != "supported"


def test_a_number_that_names_no_passage_is_no_citation() -> None:
    claim = check("A ship ties up with four lines.", 9)
    assert claim is not None
    assert claim.numbers == (1,)


def test_code_is_supported_by_the_code_it_is_taken_from() -> None:
    taken = check("berth = Berth(depth=4)\nberth.tie_up(lines=2)\n", code=True)
    assert taken is not None
    assert (taken.support, taken.numbers) == ("supported", (3,))
    own = check("window.open('penguin')\nwindow.close_all()\n", code=True)
    assert own is not None
    assert own.support == "weak"


@pytest.mark.parametrize(
    ("sentence", "cited", "expected"),
    [
        ("Ein Schiff wird mit vier Leinen festgemacht, und jede hält 30 Tonnen.", (1,), "supported"),
        ("Jede Leine wird nach 9999 Stunden ersetzt und dann verbrannt.", (1,), "weak"),
        ("Pinguine brüten im Winter auf dem Eis der Antarktis.", (), "weak"),
    ],
)
def test_an_answer_in_another_language_is_held_to_what_no_translation_changes(
    sentence: str, cited: tuple[int, ...], expected: str
) -> None:
    assert support(sentence, *cited) == expected


def test_no_passage_supports_nothing() -> None:
    claim = check("A ship ties up with four lines.", passages=[])
    assert claim is None or claim.support != "supported"


REAL = [
    "Each line holds 30 tonnes, and lines are replaced after 2,500 hours.",
    "The harbour master Petersen enables mooring before sunset.",
    "Visitors must not enter the pier at night.",
    "The coast guard is asked for the forecast every 10 minutes.",
    "`HARBOR_FORECAST_URL` says where it is read from.",
    "About 2 million people live at the coast.",
]


def test_sentences_of_the_passages_and_pairs_of_them_raise_no_alarm() -> None:
    pairs = [f"{one.rstrip('.')}, and {other}" for one in REAL for other in REAL if one != other]
    assert [text for text in (*REAL, *pairs) if support(text) == "unsupported"] == []
    assert [text for text in REAL if support(text) != "supported"] == []


SWAPS = [
    ("30", "35"), ("2,500", "3,500"), ("Petersen", "Lindqvist"), ("10", "15"), ("minutes", "hours"),
    ("HARBOR_FORECAST_URL", "HARBOR_FORECAST_HOST"), ("2 million", "7 million"), ("2,500", "250"),
]  # fmt: skip


def test_a_swapped_number_name_or_flag_is_noticed_whether_its_passage_is_cited_or_not() -> None:
    bad = [text.replace(old, new) for text in REAL for old, new in SWAPS if old in text]
    verdicts = [support(text, *cited) for text in bad for cited in ((), (1,), (2,))]
    assert len(verdicts) >= 24
    assert "supported" not in verdicts


def test_a_sentence_takes_less_than_half_a_millisecond() -> None:
    evidence = Evidence(PASSAGES * 2, BM25)
    times = []
    for _ in range(20):
        began = time.process_time()
        for text in REAL:
            evidence.check(text)
        times.append((time.process_time() - began) / len(REAL))
    assert min(times) < 0.0005


def test_a_quote_is_the_sentence_that_the_claim_rests_on() -> None:
    evidence = Evidence(PASSAGES, BM25)
    url = MOORING.chunk.chunk.url
    quote = evidence.quote(1, url, "Replace the lines after 2500 hours")
    assert quote is not None
    assert quote.text == "Each line holds 30 tonnes, and lines are replaced after 2,500 hours."
    row = evidence.quote(1, url, "`--max-load` is 30 by default")
    assert row is not None
    assert row.text == "--max-load | 30"
    assert evidence.quote(1, url, "Penguins breed on the ice") is None
