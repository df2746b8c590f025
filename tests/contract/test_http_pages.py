"""What people open in a browser: the chat page, the reader's pages, the API's description."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator

import pytest

from shared.chunk_collections import CollectionSpec
from shared.models import FOREVER, Chunk, Page, Release, SparseVector, StoredChunk, StoredPage
from shared.points import ChunkPoint, chunk_id, digest_of, page_id, text_hash_of
from shared.services import open_services
from shared.settings import Settings
from tests.http_api import Client, NoEmbedder, serving, settings_on
from tests.stores import Stores

MakeSettings = Callable[..., Settings]


def stored(text: str, *trail: str, anchor: str | None = None, overlap: int = 0) -> StoredChunk:
    path = "guide/set up.mdx"
    chunk = Chunk(path, "Set up", f"/documents/guide/set%20up.mdx#{anchor}", anchor, trail, text, "prose", 9, overlap)
    digest = digest_of(chunk)
    return StoredChunk(chunk_id(path, digest, 0, 1), chunk, digest, text_hash_of(chunk), 1, FOREVER)


CHUNKS = (
    stored("Before.", "Set up"),
    stored("Run `make`. [Next](../index.md#top)", "Set up", "Linux", anchor="linux"),
    stored("Run `make`. <script>alert(1)</script>", "Set up", "Linux", anchor="linux", overlap=11),
    stored("[x](javascript:alert(1)) ![pixel](https://evil.example/p.png)", "Set up", "macOS", anchor="macos"),
)


def publish(settings: Settings) -> None:
    """Put one page into the index and make it live."""

    async def work() -> None:
        async with open_services(settings) as services:
            collection = await services.store.ensure_collection(
                CollectionSpec(NoEmbedder.model, NoEmbedder.dimensions, None)
            )
            page = Page("guide/set up.mdx", "Set up", "/documents/guide/set%20up.mdx", "r")
            ids = tuple(chunk.id for chunk in CHUNKS)
            points = [ChunkPoint(chunk, [[1.0, 0.0]], SparseVector([1], [1.0])) for chunk in CHUNKS]
            whole = StoredPage(page_id(page.path, 1), page, ids, 1, FOREVER)
            await services.store.write(collection, points, [whole])
            await services.releases.publish(Release(1, collection, 1, len(CHUNKS), "job_1", "2026-01-01T00:00:00Z"))

    asyncio.run(work())


@pytest.fixture(scope="module")
def client(stores: Stores) -> Iterator[Client]:
    settings = settings_on(stores, rate_limit_requests=100_000)
    publish(settings)
    with serving(settings) as client:
        yield client


# The reader


def test_a_page_of_the_docs_is_shown_with_its_anchors(client: Client) -> None:
    response = client.get("/documents/guide/set%20up.mdx")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert "<title>Set up</title>" in response.text
    assert response.text.count("<h1>Set up</h1>") == 1
    assert response.text.count('<h2 id="linux">Linux</h2>') == 1
    assert '<h2 id="macos">macOS</h2>' in response.text
    assert response.text.count("<code>make</code>") == 1  # what two chunks share is shown once
    order = [response.text.index(word) for word in ("Before.", 'id="linux"', "make", "&lt;script&gt;", 'id="macos"')]
    assert order == sorted(order)


def test_nothing_on_a_page_can_run_load_or_lead_astray(client: Client) -> None:
    response = client.get("/documents/guide/set%20up.mdx")
    article = response.text.partition("<article")[2]
    assert not re.search(r"<(script|img|iframe|style|form|object)", article)
    assert "javascript:alert" not in re.sub(r">[^<]*<", "><", article)
    assert "pixel" in article
    assert 'href="../index.md#top"' in article
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    "path", ["nowhere.md", "../../etc/passwd", "guide", "guide/set%20up.mdx/", "%00", "guide/set up.mdx%0d%0aX: y", ""]
)
def test_a_page_that_is_not_there_is_not_found(client: Client, path: str) -> None:
    response = client.get(f"/documents/{path}")
    assert response.status_code == 404
    assert response.json()["code"] == "NOT_FOUND"


def test_before_the_first_ingest_no_page_is_there(make_settings: MakeSettings) -> None:
    with serving(make_settings()) as client:
        assert client.get("/documents/guide/set%20up.mdx").status_code == 404


# Search


def test_a_search_shows_whole_passages_with_their_scores(client: Client) -> None:
    reply = client.get("/search", params={"q": "How do I run make?", "k": 3}).json()
    assert reply["query"] == "How do I run make?"
    assert reply["release"] == 1
    assert reply["total"] == len(reply["results"])
    assert 1 <= reply["total"] <= 3
    first = reply["results"][0]
    assert first["url"].startswith("/documents/guide/set%20up.mdx#")
    assert {"text", "chapter", "section", "heading", "path", "relevance_score", "rank_score", "bm25"} <= set(first)
    assert [result["number"] for result in reply["results"]] == list(range(1, reply["total"] + 1))


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"path": "guide/"}, True),
        ({"path": "elsewhere/"}, False),
        ({"page": "guide/set up.mdx"}, True),
        ({"page": "https://preview.example/documents/guide/set%20up.mdx?a=b#c"}, True),
        ({"page": "elsewhere.md"}, False),
        ({"version": "9.9"}, False),
        ({"locale": "tlh"}, False),
    ],
)
def test_a_search_can_be_limited_to_pages(client: Client, params: dict[str, str], found: bool) -> None:
    results = client.get("/search", params={"q": "How do I run make?", **params}).json()["results"]
    assert bool(results) is found
    if found:
        assert {result["path"] for result in results} == {"guide/set up.mdx"}


def test_a_search_before_the_first_ingest_finds_nothing(make_settings: MakeSettings) -> None:
    with serving(make_settings()) as client:
        reply = client.get("/search", params={"q": "anything"}).json()
    assert (reply["results"], reply["release"]) == ([], None)


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({}, "q: is missing"),
        ({"q": " "}, "q: must not be empty"),
        ({"q": "x" * 10_001}, "q: must be at most 10,000 characters; it has 10,001"),
        ({"q": "x", "k": 0}, "k: should be greater than or equal to 1"),
        ({"q": "x", "k": "many"}, "k: should be a valid integer"),
        ({"q": "x", "page": " "}, "page: must not be empty"),
    ],
)
def test_a_wrong_search_is_refused_by_name(client: Client, params: dict[str, str], sentence: str) -> None:
    response = client.get("/search", params=params)
    assert response.status_code == 422
    assert response.json()["error"].startswith(sentence)


# The chat page


def test_the_chat_page_loads_from_its_own_origin_alone(client: Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'")
    assert "unsafe" not in policy
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", page.text)


def test_every_file_that_the_chat_page_names_is_there(client: Client) -> None:
    names = set(re.findall(r"""(?:src|href)=["'](static/[^"']+)""", client.get("/").text))
    assert {"static/style.css", "static/chat.js"} <= names
    for name in names:
        response = client.get(f"/{name}")
        assert response.status_code == 200, name
        assert response.headers["cache-control"] == "no-cache"
        assert "default-src 'self'" in response.headers["content-security-policy"]


def test_a_file_that_has_not_changed_is_not_sent_again(client: Client) -> None:
    first = client.get("/static/style.css")
    assert client.get("/static/style.css", headers={"If-None-Match": first.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("path", ["nowhere.js", "../main.py", "%2e%2e/main.py", "..%2fmain.py", "", "/etc/passwd"])
def test_nothing_else_is_served_as_a_file(client: Client, path: str) -> None:
    response = client.get(f"/static/{path}")
    assert response.status_code == 404
    assert response.json()["code"] == "NOT_FOUND"


# The description of the API


def test_the_api_describes_its_routes_and_its_request_bodies(client: Client) -> None:
    description = client.get("/openapi.json").json()
    assert {"/chat", "/ingest", "/ingest/status", "/health", "/search"} <= set(description["paths"])
    chat = description["paths"]["/chat"]["post"]
    fields = chat["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert {"question", "query", "message", "selection", "history", "session_id", "k", "stream"} <= set(fields)
    assert "$defs" not in str(chat)
    assert "text/event-stream" in chat["responses"]["200"]["content"]
    assert "ErrorBody" in description["components"]["schemas"]


def test_the_page_of_the_api_s_docs_loads_from_its_own_origin_alone(client: Client) -> None:
    page = client.get("/docs").text
    assert not re.search(r"https?://", page)
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(addresses) == 3
    assert [client.get(f"/{address}").status_code for address in addresses] == [200] * 3
