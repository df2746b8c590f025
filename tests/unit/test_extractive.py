"""Without a model the passages answer for themselves: the right sentences, word for word, each with its mark."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from api.chat.events import Question, Turn
from api.chat.extractive import MOST, NO_PIECE, arrange, choose, quote
from api.chat.extractive import Candidate as Scored
from api.chat.pieces import Kind, Piece
from api.chat.prompt import build_prompt
from shared.embeddings import EmbeddingBatch
from shared.models import Passage
from shared.settings import LOCAL_EMBEDDING_MODEL
from tests.passages import BM25, FakeEmbedder, passage, services_with

QUESTION = "How deep should the water be where I drop the anchor?"
ANCHORING = passage(
    "Look for shelter first. Drop the anchor in water that is three to ten metres deep. Let out chain five times the "
    "depth. Most people are tired by then.",
    heading="Anchoring",
    score=1.2,
)
SAILS = passage("The main sail goes up first. Water on deck is normal.", heading="Sails", score=0.8)


async def quoted(question: str | Question, passages: Sequence[Passage], embedder: FakeEmbedder | None = None) -> str:
    asked = Question(question) if isinstance(question, str) else question
    prompt = build_prompt(asked, passages, 1000)
    return "".join(await quote(prompt, services_with(embedder=embedder)))


async def test_the_sentence_with_the_answer_comes_first_with_the_mark_of_its_passage() -> None:
    text = await quoted(QUESTION, [SAILS, ANCHORING])
    assert text.startswith("Drop the anchor in water that is three to ten metres deep.")
    assert text.split("[2]")[0].count("[1]") == 0


async def test_each_piece_stands_word_for_word_in_the_passage_that_its_mark_names() -> None:
    text = await quoted(QUESTION, [SAILS, ANCHORING])
    passages = {"1": SAILS, "2": ANCHORING}
    for part in text.split("\n\n"):
        words, _, mark = part.rpartition(" [")
        assert words in passages[mark.rstrip("]")].chunk.chunk.text


async def test_what_adds_nothing_is_left_out() -> None:
    text = await quoted(QUESTION, [ANCHORING, SAILS])
    assert "tired" not in text
    assert "main sail" not in text


async def test_steps_are_quoted_whole_with_what_announces_them() -> None:
    steps = "Some talk. To install the pump:\n\n1. Switch off the mains.\n2. Screw it on.\n3. Open the valve."
    text = await quoted("How do I install the pump?", [passage(steps), SAILS])
    assert text.startswith(
        "To install the pump:\n\n1. Switch off the mains.\n2. Screw it on.\n3. Open the valve.\n\n[1]"
    )


async def test_a_how_to_question_gets_code_from_the_passages_that_are_quoted() -> None:
    text = "The cache is cleared with one call. It is fast.\n\n```py\nstore.flush()\n```\n\nIt is safe, too."
    assert "```py\nstore.flush()\n```\n\n[1]" in await quoted("How do I clear the cache?", [passage(text), SAILS])
    assert "flush" not in await quoted("Is the cache safe to clear?", [passage(text), SAILS])


async def test_marks_that_stand_in_the_docs_are_not_taken_for_ours() -> None:
    text = await quoted(QUESTION, [passage("Drop the anchor in deep water [4], see `depth[0]`.")])
    assert text == "Drop the anchor in deep water \\[4], see `depth[0]`. [1]"


async def test_a_sentence_that_stands_on_two_pages_is_quoted_once() -> None:
    text = await quoted(QUESTION, [ANCHORING, passage(ANCHORING.chunk.chunk.text, path="other.md")])
    assert text.count("three to ten metres") == 1


async def test_a_follow_up_is_answered_with_its_predecessor_in_mind() -> None:
    history = (Turn("Where do I drop the anchor, in what depth of water?", "..."),)
    text = await quoted(Question("Why there?", history=history), [SAILS, ANCHORING])
    assert text.startswith("Drop the anchor")


async def test_passages_without_a_sentence_are_linked_to() -> None:
    assert await quoted(QUESTION, [passage("# Only a heading\n\n<Image />")]) == NO_PIECE


class MeaningEmbedder(FakeEmbedder):
    """Understands that a hook is an anchor."""

    model = LOCAL_EMBEDDING_MODEL

    async def embed(self, texts: Sequence[str]) -> EmbeddingBatch:
        self.asked += texts
        vectors = ([1.0, 0.0, 0.0] if "anchor" in t or "hook" in t else [0.0, 1.0, 0.0] for t in texts)
        return EmbeddingBatch(tuple(vectors), requests=0, tokens=0)


async def test_meaning_counts_as_much_as_words_where_the_model_is_at_hand() -> None:
    found = [passage("Tea is served at five. The hook goes over the bow.")]
    assert (await quoted("Which end does the anchor leave from?", found, MeaningEmbedder())).startswith("The hook")


async def test_a_provider_s_model_is_not_asked_for_every_sentence() -> None:
    embedder = FakeEmbedder()
    await quoted(QUESTION, [ANCHORING], embedder)
    assert embedder.asked == []


async def test_only_the_likeliest_sentences_are_embedded() -> None:
    embedder = MeaningEmbedder()
    long = passage(" ".join(f"Anchor number {n} is heavy." for n in range(200)))
    await quoted(QUESTION, [long], embedder)
    assert len(embedder.asked) <= 21


# What is no answer


async def test_a_title_or_an_example_that_asks_the_question_is_not_its_answer() -> None:
    text = (
        "**How do I change the port?**\n\n```sh\nask 'How do I change the port?'\n```\n\n"
        "The port is changed with `API_PORT` in the settings."
    )
    assert await quoted("How do I change the port?", [passage(text)]) == (
        "The port is changed with `API_PORT` in the settings. [1]"
    )


async def test_a_list_of_questions_answers_none() -> None:
    text = "- How deep is the anchor?\n- Where is the anchor dropped?\n\nDrop the anchor where it is ten metres deep."
    assert (await quoted("Where is the anchor dropped?", [passage(text)])).startswith("Drop the anchor")


async def test_words_of_the_question_alone_answer_a_question_of_yes_or_no_and_no_other() -> None:
    text = "Drop the anchor chain.\n\nThe anchor goes over the bow, where its chain is led through a roller."
    assert (await quoted("How do I drop the anchor chain?", [passage(text)])).startswith("The anchor goes over")
    assert (await quoted("Is chain required?", [passage("Chain is required. Ropes fray.")])).startswith("Chain is")


async def test_a_sentence_that_sends_the_reader_elsewhere_does_not_lead() -> None:
    text = "See the page on anchor depth. An anchor holds in ten metres."
    assert (await quoted("What depth does an anchor hold in?", [passage(text)])).startswith("An anchor holds")


async def test_a_number_is_preferred_where_one_is_asked_for() -> None:
    text = "The chain has a length that suits the boat.\n\nThe chain has a length of 60 metres."
    assert (await quoted("How long is the chain?", [passage(text)])).startswith("The chain has a length of 60")


async def test_a_block_with_the_words_scattered_over_it_is_not_about_them() -> None:
    text = "- stop the engine\n- wash the deck\n- feed the crew\n- call the server\n\nA server is stopped with Ctrl-C."
    assert (await quoted("How do I stop the server?", [passage(text)])).startswith("A server is stopped")


async def test_code_of_another_section_is_left_out_and_that_of_the_same_is_quoted() -> None:
    text = (
        "## Cache\n\nClear the cache with one call.\n\n```py\nstore.flush()\n```\n\n"
        "## Other\n\n```py\nclear(cache)  # another cache to clear\n```"
    )
    answer = await quoted("How do I clear the cache?", [passage(text), SAILS])
    assert "store.flush()" in answer
    assert "another" not in answer


async def test_a_sentence_that_goes_on_from_another_is_quoted_with_it() -> None:
    question, sentence = "Which hold an anchor at any depth?", "They hold an anchor of forty kilos at any depth."
    answer = await quoted(question, [passage(f"Chains rust in salt water. {sentence}")])
    assert answer == f"Chains rust in salt water. {sentence} [1]"
    assert await quoted(question, [passage(f"Cabins are warm.\n\n{sentence}")]) == f"{sentence} [1]"


async def test_each_paragraph_has_its_own_mark() -> None:
    text = "Anchor chain is galvanized. Anchor rope is not.\n\nAn anchor chain and rope are joined."
    answer = await quoted("Is anchor chain or rope galvanized?", [passage(text)])
    assert answer == "Anchor chain is galvanized. Anchor rope is not. [1]\n\nAn anchor chain and rope are joined. [1]"


async def test_a_question_on_another_subject_is_not_answered_about_the_last_one() -> None:
    history = (Turn("How is the main sail hoisted?", "..."),)
    text = await quoted(Question("Where is the anchor dropped?", history=history), [ANCHORING, SAILS])
    assert "main sail" not in text


# Choosing and arranging


def scored(number: int, place: int, score: float, text: str, kind: Kind = "sentence") -> Scored:
    return Scored(number, place, Piece(kind, text), frozenset(BM25.encode_query(text).indices), score, score)


def test_the_best_piece_leads_and_sentences_that_follow_each_other_stand_together() -> None:
    chosen = [
        scored(2, 5, 1.0, "best"),
        scored(1, 3, 0.9, "other late"),
        scored(2, 1, 0.8, "early"),
        scored(2, 6, 0.8, "next"),
        scored(1, 1, 0.7, "other early"),
        scored(2, 4, 0.7, "just before"),
    ]
    runs = [[candidate.piece.text for candidate in run] for run in arrange(chosen)]
    assert runs == [["just before", "best", "next"], ["early"], ["other early"], ["other late"]]


def test_pieces_that_say_the_same_or_much_worse_are_not_chosen() -> None:
    candidates = [
        scored(1, 0, 1.0, "anchor chain depth metres"),
        scored(2, 0, 0.95, "anchor chain depth metres!"),
        scored(2, 1, 0.8, "mooring buoy harbour master"),
        scored(3, 0, 0.3, "weather forecast radio channel"),
    ]
    chosen = choose(candidates, wants_code=False, most_tokens=1000)
    assert [(c.number, c.place) for c in chosen] == [(1, 0), (2, 1)]


@pytest.mark.parametrize("tokens", [5, 12, 1000])
def test_the_answer_stays_within_its_tokens_but_is_never_empty(tokens: int) -> None:
    candidates = [scored(1, n, 1 - n / 100, f"harbour{n} island{n} river{n}") for n in range(20)]
    chosen = choose(candidates, wants_code=False, most_tokens=tokens)
    assert 1 <= len(chosen) <= MOST
    assert len(chosen) == 1 or tokens > 5
