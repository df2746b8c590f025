"""Passages found in a real engine: rare names, filters, slips of the finger, other languages, pieces of a section."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Final

import pytest
from qdrant_client import models as q

from api.chat.events import NO_FILTERS, Filters, Question, Turn
from api.chat.retrieve import find
from shared.bm25 import Bm25Encoder
from shared.chunk_collections import DENSE, SPARSE, CollectionSpec
from shared.chunk_search import Query
from shared.fusion import fuse
from shared.models import FOREVER, Chunk, Page, Passage, Release, StoredChunk, StoredPage, Vector
from shared.points import ChunkPoint, digest_of, page_id, text_hash_of
from shared.points import chunk_id as id_of
from shared.services import Services
from shared.tokens import count_tokens
from tests.conftest import OpenServices
from tests.passages import FakeEmbedder

SITE: Final = "https://site.example/docs"
BM25: Final = Bm25Encoder()
#: Passages around the one that is looked for.
CROWD: Final = 300


class Meanings(FakeEmbedder):
    """Knows what a few texts mean, whatever language they are in; every other text means nothing in particular."""

    def __init__(self, meanings: dict[str, Vector] | None = None) -> None:
        super().__init__()
        self.meanings = meanings or {}

    async def embed_query(self, text: str) -> Vector:
        return next((vector for words, vector in self.meanings.items() if words in text), [0.6, 0.8, 0.0])


def chunk(
    path: str, text: str, heading: str = "Part", *, overlap: int = 0, version: str = "", locale: str = ""
) -> Chunk:
    anchor = heading.lower().replace(" ", "-")
    url = f"{SITE}/{path.removesuffix('.md')}#{anchor}"
    tokens = count_tokens(text)
    return Chunk(path, "Manual", url, anchor, ("Manual", heading), text, "prose", tokens, overlap, (), version, locale)


async def stored(services: Services, chunks: Sequence[Chunk], embedder: Meanings | None = None) -> Release:
    """A release of these passages, in this order on their pages."""
    embedder = embedder or Meanings()
    collection = await services.store.ensure_collection(CollectionSpec(embedder.model, 3, None))
    points = []
    pages: dict[str, list[str]] = {}
    for number, each in enumerate(chunks):
        digest = digest_of(each)
        one = StoredChunk(id_of(each.path, digest, number, 1), each, digest, text_hash_of(each), 1, FOREVER)
        pages.setdefault(each.path, []).append(one.id)
        vector = await embedder.embed_query(each.text)
        points.append(ChunkPoint(one, [vector], BM25.encode_document(each.embedded_text)))
    records = [
        StoredPage(
            page_id(path, 1), Page(path, "Manual", f"{SITE}/{path.removesuffix('.md')}", "r"), tuple(ids), 1, FOREVER
        )
        for path, ids in pages.items()
    ]
    await services.store.write(collection, points, records)
    return Release(1, collection, len(pages), len(chunks), "job", "2026-01-01T00:00:00Z")


@pytest.fixture
async def services(opened: OpenServices) -> AsyncIterator[Services]:
    async with opened(site_url="https://site.example") as running:
        yield replace(running, embedder=Meanings())


async def found(services: Services, release: Release, question: Question | str) -> list[Passage]:
    asked = Question(question) if isinstance(question, str) else question
    return list((await find(asked, release, services)).passages)


async def texts(services: Services, release: Release, question: Question | str) -> list[str]:
    return [passage.chunk.chunk.text for passage in await found(services, release, question)]


def crowd_of(parts: str) -> list[Chunk]:
    """Passages that hold all the parts of a name, each as a word of its own."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", parts)
    return [
        chunk(f"crowd/{number}.md", f"Passage {number}: {', '.join(words[::-1])}; {words[number % len(words)]} again.")
        for number in range(CROWD)
    ]


@pytest.mark.parametrize(
    "name",
    [
        "--no-cache",
        "-x",
        "snake_case_names",
        "Client.connect",
        "httpx.codes.teapot()",
        "createSlice",
        "E0308",
        "ERR_MODULE_NOT_FOUND",
        "MAX_PAGE_BYTES",
        "$EDITOR",
        "/etc/hosts",
        "guide/foo.md",
        "3.11",
        "@scope/pkg",
        "std::vec",
        ".env",
        "C#",
    ],
)
async def test_a_name_that_stands_in_one_passage_of_hundreds_is_found(services: Services, name: str) -> None:
    right = f"Then there is {name} for those who want it."
    crowd = crowd_of(name)
    release = await stored(services, [*crowd[:150], chunk("right.md", right), *crowd[150:]])
    assert (await texts(services, release, f"What is {name} good for?"))[0] == right


async def test_an_error_s_number_is_found_among_others_of_its_kind(services: Services) -> None:
    right = "Then there is HTTP 418 for those who want it."
    others = [chunk(f"{n}.md", f"The server answers HTTP {n} and means it, say 418 people.") for n in range(500, 800)]
    release = await stored(services, [*others, chunk("right.md", right)])
    assert (await texts(services, release, "What is HTTP 418 good for?"))[0] == right


async def test_a_quoted_phrase_is_found_word_for_word(services: Services) -> None:
    right = "The log says: lost the way home again, and the boat turns."
    others = [chunk(f"{n}.md", f"Home again, lost; the way of log {n} says the boat turns.") for n in range(CROWD)]
    release = await stored(services, [*others, chunk("right.md", right)])
    assert (await texts(services, release, 'What does "lost the way home" mean in the log?'))[0] == right


VERSIONED = (
    chunk("v1/sails/reefing.md", "Reef the sail early, by hand.", version="1.0", locale="en"),
    chunk("v2/sails/reefing.md", "Reef the sail early, with the winch.", version="2.0", locale="en"),
    chunk("fr/sails/reefing.md", "Reef the sail: prenez un ris.", version="2.0", locale="fr"),
    chunk("v2/sailing.md", "Reef the sail or stay ashore.", version="2.0", locale="en"),
)


@pytest.mark.parametrize(
    ("filters", "paths"),
    [
        (NO_FILTERS, {"v1/sails/reefing.md", "v2/sails/reefing.md", "fr/sails/reefing.md", "v2/sailing.md"}),
        (Filters(version="1.0"), {"v1/sails/reefing.md"}),
        (Filters(locale="fr"), {"fr/sails/reefing.md"}),
        (Filters(version="2.0", locale="en"), {"v2/sails/reefing.md", "v2/sailing.md"}),
        (Filters(path="v2/"), {"v2/sails/reefing.md", "v2/sailing.md"}),
        (Filters(path="/v2/sail"), {"v2/sails/reefing.md", "v2/sailing.md"}),
        (Filters(path="v2/sails/"), {"v2/sails/reefing.md"}),
        (Filters(page="v2/sailing.md"), {"v2/sailing.md"}),
        (Filters(page="v2/sailing"), {"v2/sailing.md"}),
        (Filters(page=f"{SITE}/v2/sailing"), {"v2/sailing.md"}),
        (Filters(page="http://localhost:3000/docs/v2/sailing/?a=b#part"), {"v2/sailing.md"}),
        (Filters(page="/docs/v2/sailing.html"), {"v2/sailing.md"}),
        (Filters(version="3.0"), set()),
        (Filters(path="nowhere/"), set()),
        (Filters(page="nowhere.md"), set()),
        (Filters(page="v1/sails/reefing.md", version="2.0"), set()),
    ],
)
async def test_a_filter_lets_through_what_it_names(services: Services, filters: Filters, paths: set[str]) -> None:
    release = await stored(services, VERSIONED)
    passages = await found(services, release, Question("How do I reef the sail?", filters=filters))
    assert {passage.chunk.chunk.path for passage in passages} == paths


async def test_a_collection_of_an_earlier_version_gets_the_indexes_that_filters_want(services: Services) -> None:
    client, spec = services.store._client, CollectionSpec("fake", 3, None)
    name = await services.store.ensure_collection(spec)
    for field in ("version", "locale", "url", "path"):
        await client.delete_payload_index(name, field)
    await client.create_payload_index(name, "path", field_schema=q.PayloadSchemaType.KEYWORD)
    await services.store.ensure_collection(spec)
    indexes = (await client.get_collection(name)).payload_schema
    assert {"record", "path", "url", "version", "locale", "text_hash", "since", "until"} == set(indexes)
    assert isinstance(indexes["path"].params, q.KeywordIndexParams)
    assert indexes["path"].params.prefix


async def test_passages_of_an_earlier_version_are_found_by_path_and_not_by_a_version_they_do_not_have(
    services: Services,
) -> None:
    release = await stored(services, VERSIONED)
    every = q.Filter(must=[])
    await services.store._client.delete_payload(release.collection, ["version", "locale"], points=every, wait=True)
    by_path = Question("How do I reef the sail?", filters=Filters(path="v1/"))
    assert len(await found(services, release, by_path)) == 1
    assert not await found(services, release, Question("How do I reef the sail?", filters=Filters(version="1.0")))


async def test_the_page_that_the_visitor_is_on_comes_first_among_equals_and_is_no_filter(services: Services) -> None:
    release = await stored(services, VERSIONED)
    for path in ("v1/sails/reefing", "v2/sails/reefing"):
        question = Question("How do I reef the sail early?", page=f"https://preview.example/docs/{path}/#part")
        passages = await found(services, release, question)
        assert passages[0].chunk.chunk.path == f"{path}.md"
        assert len(passages) == len(VERSIONED)
    elsewhere = Question("How do I reef the sail with the winch?", page="/docs/v2/sailing")
    assert "winch" in (await texts(services, release, elsewhere))[0]


async def test_fusing_here_is_fusing_in_qdrant(services: Services) -> None:
    chunks = [chunk(f"{n}.md", "anchor " * (n % 7) + f"chain {'bow ' * (n % 3)}{n}") for n in range(120)]
    embedder = Meanings({f" {n}": [n / 120, 1 - n / 120, 0.1] for n in range(10, 120)})
    release = await stored(services, chunks, embedder)
    sparse = BM25.encode_query("anchor bow chain")
    dense = [0.3, 0.7, 0.2]
    (ours,) = await services.store.search_all(release.collection, 1, [Query(dense, sparse)], 50)
    words = q.SparseVector(indices=sparse.indices, values=sparse.values)
    theirs = await services.store._client.query_points(
        release.collection,
        prefetch=[
            q.Prefetch(query=dense, using=DENSE, limit=50), q.Prefetch(query=words, using=SPARSE, limit=50),
        ],
        query=q.FusionQuery(fusion=q.Fusion.DBSF),
        limit=50,
    )  # fmt: skip
    scores = {passage.chunk.id: passage.score for passage in ours}
    assert len(theirs.points) == 50
    for point in theirs.points:
        assert scores[str(point.id)] == pytest.approx(point.score, abs=1e-4)
    raw = {passage.chunk.id: (passage.cosine, passage.bm25) for passage in ours}
    sides = [{id_: side for id_, pair in raw.items() if (side := pair[n]) is not None} for n in (0, 1)]
    assert {len(side) for side in sides} <= {*range(51)}
    assert any(fuse(*sides))


async def test_a_slip_of_the_finger_still_finds(services: Services) -> None:
    right = "The windlass is greased every spring."
    others = [chunk(f"{n}.md", f"Item {n} is oiled every autumn and spring.") for n in range(60)]
    release = await stored(services, [*others, chunk("right.md", right)], Meanings({"windlass": [1.0, 0.0, 0.0]}))
    slipped = replace(services, embedder=Meanings({"windlas": [0.9, 0.1, 0.0], "widnlass": [0.9, 0.1, 0.0]}))
    for question in (
        "When is the widnlass greased?",
        "When is the windlasss greased?",
        "When is the windlaas greased?",
    ):
        findings = await find(Question(question), release, slipped)
        assert findings.passages[0].chunk.chunk.text == right
        assert findings.asked == "When is the windlass greased?"


@pytest.mark.parametrize("question", ["How are nails mended?", "How are snails mended?", "How is a hawser mended?"])
async def test_a_word_that_the_docs_know_or_the_language_has_is_no_slip(services: Services, question: str) -> None:
    crowd = [chunk(f"{n}.md", f"Sails are mended, {n} a year.") for n in range(60)]
    release = await stored(services, [*crowd, chunk("b.md", "Nails are bent. A hawser is long.")])
    assert (await find(Question(question), release, services)).asked == question


async def test_a_question_in_another_language_is_found_by_meaning_alone(services: Services) -> None:
    right = "Drop the anchor over the bow."
    meanings = Meanings({"anchor": [0.0, 0.0, 1.0], "Anker": [0.0, 0.1, 1.0]})
    others = [chunk(f"{n}.md", f"Die in the war was hat {n}.") for n in range(60)]
    release = await stored(services, [*others, chunk("right.md", right)], meanings)
    speaking = replace(services, embedder=meanings)
    for question in ("Wo werfe ich den Anker?", "Was hat der Anker?"):  # "was" and "hat" are English words too
        findings = await find(Question(question), release, speaking)
        assert right in [passage.chunk.chunk.text for passage in findings.passages[:3]]
        assert findings.cosine is not None
        assert findings.cosine > 0.9


CUT = (
    chunk("guide.md", f"To lower the mast, {'first loosen every stay on deck. ' * 40}Then untie the halyard.", "Mast"),
    chunk("guide.md", "Then untie the halyard. At last pull the bolt, and the crane lifts it.", "Mast", overlap=23),
    chunk("guide.md", "The mast is painted white.", "Paint"),
)


async def test_an_answer_that_was_cut_in_two_is_put_together(services: Services) -> None:
    release = await stored(services, [*CUT, *(chunk(f"{n}.md", f"Cranes and masts {n}.") for n in range(20))])
    (first, *others) = await found(services, release, "How do I lower the mast and pull the bolt with the crane?")
    text = first.chunk.chunk.text
    assert text.startswith("To lower the mast")
    assert text.endswith("Then untie the halyard. At last pull the bolt, and the crane lifts it.")
    assert text.count("Then untie the halyard.") == 1
    assert first.chunk.chunk.url == f"{SITE}/guide#mast"
    assert first.chunk.chunk.tokens == count_tokens(text)
    assert not any(passage.chunk.chunk.heading == "Mast" for passage in others)


async def test_a_long_selection_s_own_page_comes_first(services: Services) -> None:
    pages = [
        chunk(f"{n}.md", " ".join(f"word{n}x{part}x{m} sail" for m in range(80)), f"Part {part}")
        for n in range(30) for part in range(2)
    ]  # fmt: skip
    release = await stored(services, pages)
    marked = "\n\n".join(page.text for page in pages if page.path == "7.md") * 5
    question = Question("What does this say about the sail?", selection=marked[:20_000])
    findings = await find(question, release, services)
    assert findings.selected
    assert [passage.chunk.chunk.path for passage in findings.passages[:2]] == ["7.md", "7.md"]


async def test_a_follow_up_is_found_together_with_what_was_said(services: Services) -> None:
    release = await stored(
        services,
        [
            chunk("anchor.md", "In a storm the anchor holds with eight times the depth of chain.", "Anchor"),
            chunk("sails.md", "In a storm take down the sails.", "Sails"),
            *(chunk(f"{n}.md", f"Storm number {n}.") for n in range(20)),
        ],
    )
    history = (Turn("How much chain does the anchor need?", "Five times the depth."),)
    passages = await found(services, release, Question("And in a storm?", history=history))
    assert passages[0].chunk.chunk.heading == "Anchor"
