"""How the searches for a question, its context and a selection become one list, and what is said of its fit."""

from __future__ import annotations

import pytest

from api.chat.events import Question, Turn
from api.chat.follow_up import blend, leans, stands_alone
from api.chat.rank import Wanted, collapse, rank
from api.chat.retrieve import Findings, find, retrieve
from shared.errors import DependencyDown, ProviderError, ProviderUnavailable
from shared.models import Passage
from shared.services import Services
from tests.passages import BM25, RELEASE, FakeEmbedder, FakeReleases, FakeStore, passage, services_with

ANCHOR = passage("Drop the anchor over the bow.", heading="Anchoring", score=1.0, cosine=0.6)
SAILS = passage("Hoist the main sail first.", heading="Sails", score=0.9, cosine=0.5)
ENGINE = passage("Start the engine before you leave.", heading="Engine", score=0.8, cosine=0.4)
QUESTION = "Where exactly should the anchor chain be dropped?"


async def passages_for(question: Question, services: Services) -> tuple[Passage, ...]:
    return (await find(question, RELEASE, services)).passages


def texts(passages: list[Passage] | tuple[Passage, ...]) -> list[str]:
    return [p.chunk.chunk.heading for p in passages]


async def test_before_the_first_ingest_nothing_is_found() -> None:
    services = services_with(releases=FakeReleases(None))
    assert await retrieve(QUESTION, services, 5) == []


async def test_what_was_said_before_has_less_to_say_where_a_question_stands_alone() -> None:
    wide = f"{QUESTION}\nHow do I hoist the sails?\nBy hand."
    store, embedder = FakeStore({QUESTION: [ANCHOR, SAILS], wide: [SAILS, ENGINE]}), FakeEmbedder()
    history = (Turn("How do I hoist the sails?", "By hand."),)
    findings = await find(Question(QUESTION, history=history), RELEASE, services_with(store, embedder))
    assert texts(findings.passages) == ["Anchoring", "Sails", "Engine"]
    assert [passage.score for passage in findings.passages] == pytest.approx([0.75, 0.9, 0.2])
    assert texts(findings.judged) == ["Anchoring", "Sails"]


async def test_without_a_history_a_question_is_searched_alone() -> None:
    embedder = FakeEmbedder()
    found = await retrieve(QUESTION, services_with(FakeStore({QUESTION: [ANCHOR]}), embedder), 5)
    assert texts(found) == ["Anchoring"]
    assert embedder.asked == [QUESTION]


async def test_a_follow_up_is_searched_with_the_exchange_before_it_as_well() -> None:
    follow_up = "How deep should it be?"
    wide = f"{follow_up}\nWhere do I drop the anchor?\nOver the bow."
    store = FakeStore({follow_up: [ENGINE, ANCHOR], wide: [ANCHOR, SAILS]})
    history = (Turn("Unrelated?", "Yes."), Turn("Where do I drop the anchor?", "Over the [bow](https://site.example)."))
    found = await passages_for(Question(follow_up, history=history), services_with(store))
    assert texts(found) == ["Anchoring", "Sails", "Engine"]


async def test_a_selection_s_own_passage_comes_first_even_if_the_question_finds_others() -> None:
    selection = "Drop the anchor over the bow"
    store = FakeStore({QUESTION: [SAILS, ENGINE], selection: [ANCHOR, SAILS]})
    services = services_with(store)
    findings = await find(Question(QUESTION, selection=selection), RELEASE, services)
    assert texts(findings.passages) == ["Anchoring", "Sails", "Engine"]
    assert findings.selected


async def test_a_selection_that_no_passage_holds_only_adds_to_what_the_question_finds() -> None:
    selection = "something copied from elsewhere about hovercraft maintenance"
    store = FakeStore({QUESTION: [SAILS], selection: [ENGINE]})
    findings = await find(Question(QUESTION, selection=selection), RELEASE, services_with(store))
    assert texts(findings.passages) == ["Sails", "Engine"]
    assert not findings.selected


async def test_a_question_about_a_selection_is_searched_together_with_it() -> None:
    selection = "Drop the anchor over the bow"
    store = FakeStore({f"What does this mean?\n{selection}": [ENGINE]})
    found = await passages_for(Question("What does this mean?", selection=selection), services_with(store))
    assert texts(found) == ["Engine"]


async def test_as_many_passages_are_kept_as_were_asked_for() -> None:
    store = FakeStore({QUESTION: [ANCHOR, SAILS, ENGINE]})
    assert len(await retrieve(QUESTION, services_with(store), 2)) == 2


@pytest.mark.parametrize("error", [ProviderUnavailable("busy"), ProviderError("no such key")])
async def test_words_alone_decide_if_the_question_cannot_be_embedded(error: ProviderError) -> None:
    store = FakeStore({QUESTION: [ANCHOR]})
    found = await retrieve(QUESTION, services_with(store, FakeEmbedder(error)), 5)
    assert texts(found) == ["Anchoring"]
    assert store.vectors == [None]


async def test_words_alone_decide_if_the_release_was_made_with_another_model() -> None:
    store = FakeStore({QUESTION: [ANCHOR]}, model="another")
    assert texts(await retrieve(QUESTION, services_with(store), 5)) == ["Anchoring"]
    assert store.vectors == [None]


async def test_a_question_that_is_asked_again_is_not_embedded_again() -> None:
    embedder = FakeEmbedder()
    services = services_with(FakeStore({}), embedder)
    for _ in range(3):
        await retrieve(QUESTION, services, 5)
    assert embedder.asked == [QUESTION]


async def test_an_endless_question_is_searched_by_its_beginning_and_end() -> None:
    embedder = FakeEmbedder()
    await retrieve(f"start {'x ' * 5000} end", services_with(FakeStore({}), embedder), 5)
    (asked,) = embedder.asked
    assert len(asked) <= 2001
    assert asked.startswith("start")
    assert asked.endswith("end")


def test_blending_adds_half_of_each_score_and_averages_the_cosines() -> None:
    other = passage("Drop the anchor over the bow.", heading="Anchoring", score=0.5, cosine=0.2)
    blended = blend([ANCHOR], [other, SAILS], 0.5)
    assert [(p.chunk.chunk.heading, p.score) for p in blended] == [("Anchoring", 0.75), ("Sails", 0.45)]
    assert blended[0].cosine == pytest.approx(0.4)


def test_a_heading_in_the_question_s_words_moves_its_passage_up() -> None:
    close = passage("Text.", heading="Anchoring", score=0.9)
    ahead = passage("Text, too.", heading="Rigging", score=1.0)
    assert texts(rank(Wanted("What about anchoring?"), [ahead, close], BM25)) == ["Anchoring", "Rigging"]
    far = passage("Text.", heading="Anchoring", score=0.5)
    assert texts(rank(Wanted("What about anchoring?"), [ahead, far], BM25)) == ["Rigging", "Anchoring"]


def test_a_text_that_stands_on_two_pages_is_shown_once() -> None:
    twin = passage(ANCHOR.chunk.chunk.text.upper(), path="other.md")
    assert collapse([ANCHOR, twin, SAILS], 5) == [ANCHOR, SAILS]


def test_texts_that_differ_in_a_word_are_both_shown() -> None:
    linux, windows = passage("Run install on Linux now."), passage("Run install on Windows now.")
    assert collapse([linux, windows], 5) == [linux, windows]


@pytest.mark.parametrize(
    ("question", "leaning"),
    [
        ("How deep should it be?", True),
        ("And then?", True),
        ("Why?", True),
        ("What about Redis?", True),
        ("How do I configure the rate limit of the public API?", False),
    ],
)
def test_a_question_leans_on_what_was_said_if_it_points_back_or_says_little(question: str, leaning: bool) -> None:
    assert leans(question, services_with()) is leaning


HISTORY = (Turn("Where do I drop the anchor?", "Over the bow."),)


async def asked_after(question: str, plain: Passage, cosine: float = 0.7) -> Findings:
    """What is found for a question after one about anchors, whose passage comes close to both together."""
    wide = f"{question}\n{HISTORY[0].question}\n{HISTORY[0].answer}"
    about_anchors = passage("Drop the anchor over the bow.", heading="Anchoring", cosine=cosine)
    store = FakeStore({question: [plain], wide: [about_anchors]})
    return await find(Question(question, history=HISTORY), RELEASE, services_with(store))


async def test_what_was_said_before_does_not_vouch_for_something_that_the_docs_do_not_know() -> None:
    findings = await asked_after("What is the capital of Mongolia?", passage("Cabins.", heading="Cabins", cosine=0.1))
    assert texts(findings.judged) == ["Cabins"]
    assert findings.cosine == 0.1


async def test_a_question_that_points_back_is_judged_together_with_what_was_said_before() -> None:
    findings = await asked_after("Who is it named after?", passage("Cabins.", heading="Cabins", cosine=0.1))
    assert findings.cosine == 0.7


async def test_a_new_subject_that_one_passage_speaks_of_leaves_the_old_one_behind() -> None:
    findings = await asked_after("How is a sail hoisted?", passage("A sail is hoisted by hand.", heading="Sails"))
    assert texts(findings.passages) == ["Sails", "Anchoring"]
    assert texts(findings.judged) == ["Sails"]


@pytest.mark.parametrize(
    ("question", "alone"),
    [
        ("Where is the anchor dropped?", True),
        ("Where is it dropped?", False),  # points back
        ("Which anchor?", False),  # one word may well be about the last subject
        ("Is the anchor galvanized?", False),  # no passage knows the word
        ("How do I configure the rate limit of the public API?", True),  # says enough
    ],
)
def test_a_question_stands_alone_if_a_passage_speaks_of_all_that_it_names(question: str, alone: bool) -> None:
    assert stands_alone(question, [passage("The anchor is dropped.")], services_with()) is alone


async def test_an_index_that_does_not_answer_is_one_plain_failure() -> None:
    class Down(FakeStore):
        async def search(self, *_: object) -> list[Passage]:
            raise DependencyDown("Qdrant does not answer")

    question = Question("What does this mean?", selection="the anchor")
    with pytest.raises(DependencyDown):
        await find(question, RELEASE, services_with(Down({})))
