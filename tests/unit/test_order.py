"""Names that have changed places are noticed, however right each of them is by itself."""

from __future__ import annotations

import time

import pytest

from api.chat.evidence import Evidence
from api.chat.order import denies_as, misplaced, order_of
from shared.models import Passage
from tests.passages import BM25, passage

STORES = passage(
    "Qdrant stores the vectors, and Redis holds the queue. A job is planned by the worker before `plan_job` returns. "
    "The API reads `QDRANT_URL` at its start; the worker reads `REDIS_URL` for each job. "
    "The harbour of Hamburg freezes in winter, while the harbour of Genoa stays open. "
    "A backup is not needed for Redis, but a copy of Qdrant is. The Elbe flows past Hamburg to Cuxhaven.\n\n"
    "| option | default |\n|---|---|\n| `--retries` | 3 |\n| `--timeout` | 30 |",
    heading="Stores",
)
OTHERS = passage(
    "Celery runs the worker. For a queue Valkey may take the place of Redis in each of these.", path="other.md"
)
SHOWN = [STORES, OTHERS]


def missing(sentence: str, shown: list[Passage] = SHOWN) -> tuple[str, ...] | None:
    """What is said to be missing; None if the sentence is supported."""
    claim = Evidence(shown, BM25).check(sentence)
    assert claim is not None
    return None if claim.support == "supported" else claim.missing


@pytest.mark.parametrize(
    "sentence",
    [
        "Qdrant stores the vectors, and Redis holds the queue.",
        "Redis holds the queue, and Qdrant stores the vectors.",
        "The vectors are stored by Qdrant, the queue by Redis.",
        "The queue is held by Redis.",
        "Redis holds the queue.",
        "The worker plans a job before `plan_job` returns.",
        "The worker reads `REDIS_URL` for each job, and the API `QDRANT_URL` at its start.",
        "In winter the harbour of Hamburg freezes, while Genoa stays open.",
        "A copy of Qdrant is needed, but a backup is not needed for Redis.",
        "No backup is needed for Redis.",
        "The default of `--retries` is 3 and that of `--timeout` is 30.",
        "The Elbe flows past Hamburg to Cuxhaven.",
    ],
)
def test_a_true_sentence_stays_supported_however_it_is_turned(sentence: str) -> None:
    assert missing(sentence) is None


@pytest.mark.parametrize(
    ("sentence", "name"),
    [
        ("Redis stores the vectors, and Qdrant holds the queue.", "Qdrant"),
        ("Redis stores the vectors.", "Redis"),
        ("Qdrant holds the queue.", "Qdrant"),
        ("Valkey stores the vectors.", "Valkey"),
        ("The API reads `REDIS_URL` at its start.", "REDIS_URL"),
        ("The worker reads `QDRANT_URL` for each job.", "QDRANT_URL"),
        ("The harbour of Genoa freezes in winter, while the harbour of Hamburg stays open.", "Genoa"),
        ("The Elbe flows past Cuxhaven to Hamburg.", "Cuxhaven"),
        ("A backup is needed for Redis, but a copy of Qdrant is not.", "not"),
    ],
)
def test_a_name_number_or_not_in_another_one_s_place_is_noticed(sentence: str, name: str) -> None:
    found = missing(sentence)
    assert found is not None
    assert name in found


def test_names_of_a_list_may_change_places() -> None:
    shown = [passage("Set `alpha`, `beta` and `gamma` before the start. The start needs Anna and Berta on deck.")]
    assert missing("Set `gamma`, `alpha` and `beta` before the start.", shown) is None
    assert missing("The start needs Berta and Anna on deck.", shown) is None


def test_a_name_stays_at_home_where_another_sentence_says_the_same_of_it() -> None:
    shown = [passage("The north pier closes at nine in winter for Anna. The north pier closes at nine for Berta.")]
    assert missing("The north pier closes at nine for Berta.", shown) is None
    assert missing("The north pier closes at nine in winter for Anna.", shown) is None


def test_a_pronoun_s_name_takes_nobody_s_place() -> None:
    shown = [passage("Petersen is the harbour master. He opens the north gate at dawn with the keys of the watch.")]
    assert missing("Petersen opens the north gate at dawn with the keys of the watch.", shown) is None


def test_the_order_of_a_sentence_puts_a_list_in_one_place_and_parts_clauses() -> None:
    order = order_of("Anna and Berta row north, but Carla does not row.", (), frozenset({"Anna"}), BM25)
    assert [(word.text, word.place, word.clause) for word in order.words] == [
        ("Anna", 1, 0), ("Berta", 1, 0), ("row", 2, 0), ("north", 3, 0), ("Carla", 5, 1), ("not", 6, 1), ("row", 7, 1),
    ]  # fmt: skip
    assert [word.text for word in order.names] == ["Anna", "Berta", "Carla"]
    assert order_of("It is rowed by Anna.", (), frozenset(), BM25).agents == {order.names[0].key}


def test_without_a_sentence_to_compare_with_nothing_is_misplaced_and_nothing_denied() -> None:
    claim = order_of("Anna does not row Berta.", (), frozenset({"Anna"}), BM25)
    assert misplaced(claim, [], []) == []
    assert denies_as(claim, []) is None


def test_an_endless_sentence_full_of_names_takes_no_longer_than_any() -> None:
    long = "Anna of Berta by Carla to Dora not " * 3000
    began = time.process_time()
    claim = order_of(long, (), frozenset(), BM25)
    misplaced(claim, [claim] * 4, [claim] * 20)
    assert time.process_time() - began < 0.5
