from __future__ import annotations

import pytest

from shared.models import FOREVER, Chunk, Page, Part, StoredChunk, StoredPage
from shared.points import chunk_of, chunk_payload, digest_of, page_of, page_payload, text_hash_of

CHUNK = Chunk(
    path="a.md", page_title="A", url="https://x.org/a#b", anchor="b", trail=("A", "B"), text="Text.", kind="prose",
    tokens=2, overlap=1, parts=(Part(0, "c", "https://x.org/a#c", ("A", "C")),), version="2.1", locale="fr",
)  # fmt: skip
STORED_CHUNK = StoredChunk("id", CHUNK, "digest", "hash", 1, FOREVER)
STORED_PAGE = StoredPage("id", Page("a.md", "A", "https://x.org/a", "r", "2.1", "fr"), ("id",), 1, FOREVER)


def test_a_point_holds_all_of_a_chunk_and_of_a_page() -> None:
    assert chunk_of("id", chunk_payload(STORED_CHUNK)) == STORED_CHUNK
    assert page_of("id", page_payload(STORED_PAGE)) == STORED_PAGE


def test_points_of_the_time_before_versions_and_locales_are_read() -> None:
    payloads = [chunk_payload(STORED_CHUNK), page_payload(STORED_PAGE)]
    chunk, page = ({key: payload[key] for key in payload if key not in ("version", "locale")} for payload in payloads)
    assert (chunk_of("id", chunk).chunk.version, chunk_of("id", chunk).chunk.locale) == ("", "")
    assert (page_of("id", page).page.version, page_of("id", page).page.locale) == ("", "")


def test_a_change_of_the_terms_writes_passages_anew_and_embeds_none_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest_of(CHUNK), text_hash_of(CHUNK)
    monkeypatch.setattr("shared.points.TERMS_VERSION", 0)
    assert digest_of(CHUNK) != before[0]
    assert text_hash_of(CHUNK) == before[1]
