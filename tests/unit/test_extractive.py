"""Without a model the passages answer for themselves: the right sentences, word for word, each with its mark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from api.chat.arrange import MOST, MOST_IF_DOUBTFUL, arrange, choose, introduced
from api.chat.asked import Asked, read_question
from api.chat.candidates import VECTORS_REMEMBERED, find_candidates
from api.chat.candidates import Candidate as Scored
from api.chat.claims import facts_of
from api.chat.events import Question, Turn
from api.chat.extractive import DOUBTFUL, NO_PIECE, NOTICE, marked, quote
from api.chat.pieces import Kind, Piece
from api.chat.prompt import build_prompt
from api.chat.read_pieces import read_pieces
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
    text = "".join(await quote(prompt, services_with(embedder=embedder)))
    return text.removesuffix(f"\n\n{NOTICE}")


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


@pytest.mark.parametrize(
    "pointer", ["See the page on anchor depth.", "To find the depth an anchor holds in, see Anchor depth."]
)
async def test_a_sentence_that_sends_the_reader_elsewhere_does_not_lead(pointer: str) -> None:
    text = f"{pointer} An anchor holds in ten metres."
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
    assert (await quoted(question, [passage(f"Cabins are warm.\n\n{sentence}")])).startswith(f"{sentence} [1]")


async def test_each_paragraph_has_its_own_mark() -> None:
    text = "Anchor chain is galvanized. Anchor rope is not.\n\nAn anchor chain and rope are joined."
    answer = await quoted("Is anchor chain or rope galvanized?", [passage(text)])
    assert answer == "Anchor chain is galvanized. Anchor rope is not. [1]\n\nAn anchor chain and rope are joined. [1]"


async def test_a_question_on_another_subject_is_not_answered_about_the_last_one() -> None:
    history = (Turn("How is the main sail hoisted?", "..."),)
    text = await quoted(Question("Where is the anchor dropped?", history=history), [ANCHORING, SAILS])
    assert "main sail" not in text


# What a question asks for


async def test_what_a_thing_is_comes_before_what_else_is_said_of_it() -> None:
    text = "A kedge anchor saves boats. Each boat has a kedge anchor. A *kedge anchor* is a light second anchor."
    for question in ("What is a kedge anchor?", "kedge anchor", "what does kedge anchor mean"):
        assert (await quoted(question, [passage(text)])).startswith("A *kedge anchor* is a light second anchor.")


async def test_a_thing_asked_about_by_its_name_is_answered_from_the_section_of_that_name() -> None:
    passages = [
        passage("Range: 0 to 500, and at most `CHAIN_LENGTH`.", heading="MIN_CHAIN_LENGTH", score=1.0),
        passage("How much of it is let out, in metres.", heading="CHAIN_LENGTH", score=1.2),
    ]
    for question in ("CHAIN_LENGTH", "What does CHAIN_LENGTH do?"):
        assert (await quoted(question, passages)).startswith("How much of it is let out")


async def test_steps_are_preferred_where_it_is_asked_how_and_a_list_where_one_is_asked_for() -> None:
    text = "The pump of the boat is easy to clean.\n\nTo clean the pump of the boat:\n\n1. Stop it.\n2. Open it."
    assert (await quoted("How do I clean the pump of the boat?", [passage(text)])).startswith("To clean the pump of")
    options = "The pump has options for anyone.\n\nThe pump has these options:\n\n- `speed`\n- `depth`"
    assert (await quoted("List the options of the pump", [passage(options)])).startswith("The pump has these options")


async def test_both_sides_of_a_comparison_are_quoted() -> None:
    chain = "Anchor chain is heavy. Anchor chain lies flat. Anchor chain never chafes. Anchor chain needs a windlass."
    rope = "Some prefer nylon rope, which stretches."
    text = await quoted("What is the difference between anchor chain and nylon rope?", [passage(chain), passage(rope)])
    assert "nylon rope, which stretches. [2]" in text
    assert "Anchor chain" in text


async def test_both_parts_of_a_task_are_quoted() -> None:
    hoist = "You hoist the main sail first. The main sail is hoisted into the wind. Hoist the main sail slowly."
    stow = "For stowing, fold the spinnaker dry."
    text = await quoted("How do I hoist the main sail and stow the spinnaker?", [passage(hoist), passage(stow)])
    assert "fold the spinnaker dry. [2]" in text


async def test_a_side_is_told_by_what_stands_under_its_name_and_not_by_its_word_alone() -> None:
    chain = passage("Anchor chain is heavy. Anchor chain and rope lie on deck.", heading="Anchor chain", score=1.2)
    rope = passage("It stretches under load.", heading="Rope", score=0.6)
    assert "It stretches under load. [2]" in await quoted("Anchor chain vs. rope", [chain, rope])


async def test_a_task_gets_the_code_of_the_section_that_is_named_after_it() -> None:
    code = passage("```sh\nstow --all\n```", heading="Stow the spinnaker", score=1.2)
    other = passage("To stow the spinnaker takes two people, who stow the spinnaker by hand.", heading="Crew")
    text = await quoted("How do I stow the spinnaker?", [code, other])
    assert text.startswith("**Stow the spinnaker:**\n\n```sh\nstow --all\n```\n\n[1]")
    assert "takes two people" in text


async def test_a_value_is_quoted_with_the_name_of_what_it_is_a_value_of() -> None:
    passages = [
        passage("Default: `50`. In metres, too.", heading="MIN_CHAIN_LENGTH", score=1.0),
        passage("Chain length is given in metres.\n\nDefault: `60`.", heading="CHAIN_LENGTH", score=1.0),
    ]
    text = await quoted("What is the default chain length?", passages)
    assert text.startswith("**CHAIN_LENGTH:** Default: `60`. ")
    assert "**Anchoring:**" not in await quoted("Note: what about chain?", [passage("Note: chain rusts.")])


async def test_a_list_that_nothing_leads_to_stands_under_its_heading_and_its_items_by_themselves() -> None:
    items = (
        "- Tea is served at five, unless the wind has risen to more than thirty knots.\n"
        "- The anchor goes over the bow, where its chain is led through a roller.\n"
        "- Whoever is on watch wears a lifejacket, and calls the skipper if in doubt.\n"
        "- Lights are switched off at ten, apart from those of the ship itself.\n"
        "- Water is for drinking, and whoever washes uses that of the sea."
    )
    found = [passage(items, heading="On board")]
    text = await quoted("Where does the anchor go?", found)
    assert text.startswith("**On board:**\n\n- ")
    assert "The anchor goes over the bow" in text
    assert text.count("\n- ") < 5
    assert (await quoted("List everything on board", found)).count("\n- ") == 5


@pytest.mark.parametrize(
    "question", ["Is the cache safe?", "What is the cache?", "What is the difference between the cache and the store?"]
)
async def test_a_question_that_a_sentence_answers_gets_no_code_and_no_steps(question: str) -> None:
    text = (
        "1. Open the cache.\n2. Close the cache.\n\nThe cache is a safe place beside the store.\n\n"
        "```py\ncache = cache.safe(store)\n```"
    )
    answer = await quoted(question, [passage(text, heading="Cache")])
    assert answer.startswith("The cache is a safe place beside the store.")
    assert "```" not in answer
    assert "1. Open" not in answer


@pytest.mark.parametrize(
    "scene", ["Let's say that you drop an anchor, and want it to hold.", "Imagine that an anchor you drop does hold."]
)
async def test_a_sentence_that_sets_the_scene_does_not_lead(scene: str) -> None:
    text = f"{scene} An anchor holds once the boat has pulled at its chain."
    assert (await quoted("When does an anchor that you drop hold?", [passage(text)])).startswith("An anchor holds")


async def test_half_a_sentence_is_not_quoted_beside_better_ones() -> None:
    text = "Drop the anchor at the bow.\n\nor drop the anchor at the stern.\n\n...the anchor is dropped there:\n\n- bow"
    assert await quoted("Where do I drop the anchor?", [passage(text)]) == "Drop the anchor at the bow. [1]"


async def test_how_something_is_not_done_does_not_come_first() -> None:
    never = "You never drop the anchor with the engine ahead and the boat in motion."
    text = f"{never}\n\nDrop the anchor with the engine astern and the boat at rest."
    assert (await quoted("How do I drop the anchor with the engine?", [passage(text)])).startswith("Drop the anchor")


async def test_a_changelog_is_quoted_where_changes_are_asked_for_and_comes_last_elsewhere() -> None:
    notes = passage("- The anchor holds in mud, sand and clay now.", title="Release notes", score=1.1)
    found = [notes, passage("An anchor holds in sand and mud.", heading="Ground", score=1.0)]
    assert (await quoted("Does an anchor hold in mud?", found)).startswith("An anchor holds")
    assert "clay now" in (await quoted("Since which version does an anchor hold in mud?", found)).split("\n\n")[1]


async def test_words_that_stand_side_by_side_as_in_the_question_count_more() -> None:
    text = "The sail drops when the anchor is main.\n\nThe main anchor drops before the sail."
    assert (await quoted("When does the main anchor drop?", [passage(text)])).startswith("The main anchor")


def test_what_no_question_changes_is_read_once() -> None:
    text = "Anchors rust. Chains rust as well, and ropes fray."
    read_pieces.cache_clear()
    for question in ("Do anchors rust?", "Do ropes fray?", "rust"):
        find_candidates(read_question(question, BM25), [passage(text)], BM25)
    assert read_pieces.cache_info().misses == 1


# What visitors see


def test_the_page_leaves_it_to_the_answer_to_say_that_it_is_quoted() -> None:
    scripts = Path(__file__).parents[2] / "api" / "static"
    said = NOTICE.strip("*.").lower()
    assert not any(said in script.read_text().lower() for script in scripts.glob("*.js"))


async def test_the_answer_says_last_that_it_is_quoted() -> None:
    prompt = build_prompt(Question(QUESTION), [ANCHORING], 1000)
    parts = await quote(prompt, services_with())
    assert parts[0].startswith("Drop the anchor")
    assert parts[-1] == f"\n\n{NOTICE}"


def test_what_the_answer_says_of_itself_is_no_claim_about_the_docs() -> None:
    assert facts_of(NOTICE, BM25) is None
    assert facts_of(DOUBTFUL, BM25) is None


async def test_a_doubtful_answer_says_so_first_and_is_short() -> None:
    text = " ".join(f"Anchor number {n} has a shank of its own, called {name}." for n, name in enumerate(WORDS))
    prompt = build_prompt(Question("Which anchor has a shank of gold?"), [passage(text)], 1000, doubtful=True)
    parts = await quote(prompt, services_with())
    assert parts[0] == DOUBTFUL
    assert 1 <= "".join(parts).count("Anchor number") <= MOST_IF_DOUBTFUL
    assert await quote(build_prompt(Question("gold?"), [passage("# Gold")], 1000, doubtful=True), services_with()) == [
        NO_PIECE
    ]


async def test_a_sentence_of_two_passages_has_the_marks_of_both() -> None:
    sentence = "Drop the anchor in water that is three to ten metres deep."
    found = [passage(f"{sentence} Look for shelter."), passage(f"{sentence} Tea is at five.", path="other.md")]
    assert (await quoted(QUESTION, found)).startswith(f"{sentence} [1][2]")


async def test_an_entry_of_a_changelog_does_not_lead() -> None:
    text = "- Add a guide on anchor depth. PR #731 by @sailor.\n\nAn anchor holds at a depth of ten metres."
    assert (await quoted("What about anchor depth?", [passage(text)])).startswith("An anchor holds")


async def test_what_is_announced_elsewhere_is_led_to_and_nothing_else_dangles() -> None:
    text = "The anchor has these three parts:\n\n## Shank\n\nIt is long.\n\n## Stock\n\nIt is wide."
    answer = await quoted("Which three parts has the anchor?", [passage(text)])
    assert answer.startswith("The anchor has these three parts ... [1]")
    better = f"{text}\n\n## Parts\n\nThe anchor has three parts, which are shank, stock and fluke."
    assert "these three parts" not in await quoted(
        "Which three parts has an anchor, shank and what?", [passage(better)]
    )


async def test_code_comes_with_the_sentence_before_it() -> None:
    text = "## Cache\n\nA cache may be cleared.\n\nCall this at night.\n\n```py\nstore.flush()\n```"
    assert "Call this at night. [1]\n\n```py\nstore.flush()" in await quoted("How do I clear a cache?", [passage(text)])


async def test_the_same_question_is_not_embedded_again() -> None:
    embedder = MeaningEmbedder()
    assert await quoted(QUESTION, [ANCHORING], embedder) == await quoted(QUESTION, [ANCHORING], embedder)
    assert len(embedder.asked) == len(set(embedder.asked)) < VECTORS_REMEMBERED


# Choosing and arranging

WORDS = [f"word{letter}" for letter in "abcdefghijklmnop"]
ANY = read_question("anything", BM25)


def scored(number: int, place: int, score: float, text: str, *, kind: Kind = "sentence", above: str = "") -> Scored:
    terms = frozenset(BM25.encode_query(text).indices)
    piece = Piece(kind, text, above=above, part=bool(above))
    return Scored(number, place, piece, terms, frozenset(), 0.0, score, score)


def pick(
    candidates: Sequence[Scored], asked: Asked = ANY, most_tokens: int = 1000, doubtful: bool = False
) -> list[Scored]:
    return choose(candidates, asked, most_tokens=most_tokens, doubtful=doubtful)


def test_the_best_piece_leads_and_sentences_that_follow_each_other_stand_together() -> None:
    chosen = [
        scored(2, 5, 1.0, "best"),
        scored(1, 3, 0.9, "other late"),
        scored(2, 6, 0.8, "next"),
        scored(1, 1, 0.7, "other early"),
        scored(2, 1, 0.7, "early"),
        scored(2, 2, 0.7, "after early"),
    ]
    runs = [[candidate.piece.text for candidate in run] for run in arrange(chosen)]
    assert runs == [["best", "next"], ["other late"], ["other early"], ["early", "after early"]]


def test_a_sentence_that_goes_on_from_another_stands_after_it() -> None:
    chosen = [scored(1, 4, 1.0, "Then it holds."), scored(2, 0, 0.9, "other"), scored(1, 3, 0.8, "Drop it.")]
    runs = [[candidate.piece.text for candidate in run] for run in arrange(chosen)]
    assert runs == [["Drop it.", "Then it holds."], ["other"]]


def test_rows_of_one_table_stand_under_one_header_in_their_order() -> None:
    header = "| a | b |\n|---|---|\n"
    rows = [
        scored(1, 7, 1.0, "| 7 | x |", kind="table", above=header),
        scored(1, 2, 0.9, "| 2 | y |", kind="table", above=header),
    ]
    (run,) = arrange(rows)
    assert marked(run) == f"{header}| 2 | y |\n| 7 | x |\n\n[1]"


def test_pieces_that_say_the_same_or_much_worse_are_not_chosen() -> None:
    candidates = [
        scored(1, 0, 1.0, "anchor chain depth metres"),
        scored(2, 0, 0.95, "anchor chain depth metres!"),
        scored(2, 1, 0.8, "mooring buoy harbour master"),
        scored(3, 0, 0.3, "weather forecast radio channel"),
    ]
    assert [(c.number, c.place) for c in pick(candidates)] == [(1, 0), (2, 1)]


def test_an_answer_ends_when_it_is_long_enough_to_be_read() -> None:
    candidates = [scored(1, n, 1.0 - n / 100, " ".join(f"{word}{n}" for word in WORDS * 3)) for n in range(9)]
    assert len(pick(candidates)) == 3


def test_code_is_led_to_by_the_sentence_before_it_and_only_the_best_sentence_by_what_it_goes_on_from() -> None:
    text = [scored(1, 0, 0.1, "A lead."), scored(1, 1, 0.9, "It goes on."), scored(1, 2, 0.1, "Run this.")]
    code = scored(1, 3, 0.8, "```\nmake\n```", kind="code")
    places = [candidate.place for candidate in introduced([text[1], code], [*text, code])]
    assert places == [0, 1, 2, 3]
    assert introduced([code, text[1]], [text[0], text[1], code]) == [code, text[1]]


@pytest.mark.parametrize("tokens", [5, 12, 1000])
def test_the_answer_stays_within_its_tokens_but_is_never_empty(tokens: int) -> None:
    candidates = [scored(1, n, 1 - n / 100, f"harbour{n} island{n} river{n}") for n in range(20)]
    chosen = pick(candidates, most_tokens=tokens)
    assert 1 <= len(chosen) <= MOST
    assert len(chosen) == 1 or tokens > 5
    assert len(pick(candidates, doubtful=True)) <= MOST_IF_DOUBTFUL
