"""Against llama-cpp-python's server, which is not ours, with a model whose words are known: `make test-llama`."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from api.chat.events import Question
from api.chat.model import Ending
from api.chat.openai_model import OpenAIChatModel
from api.chat.prompt import Message, Prompt, build_prompt
from embedded.ports import pick_free
from shared.errors import LecternError
from shared.services import Services
from shared.settings import load_settings
from tests.passages import passage
from tests.system import System, docs_folder, until

SENTENCE = "Drop the anchor over bow in shallow water [1]."
FOR_EVER = "Where do I drop the anchor, for ever?"
START_SECONDS = 60
NO_SERVICES = cast(Services, None)


@dataclass(frozen=True)
class Server:
    """The model server as a process; its log says what it did."""

    base_url: str
    log: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    python = os.environ.get("LLAMA_PYTHON")
    if not python:
        pytest.skip(
            "LLAMA_PYTHON names no Python with llama-cpp-python[server] and gguf; `make test-llama` installs one"
        )
    folder = tmp_path_factory.mktemp("llama")
    model, log = folder / "model.gguf", folder / "server.log"
    subprocess.run([python, str(Path(__file__).with_name("write_model.py")), str(model)], check=True)
    (port,) = pick_free(1)
    # A request that is not cancelled goes on to its end before the next one is served.
    command = [
        python, "-m", "llama_cpp.server", "--model", str(model), "--n_ctx", "16384", "--port", str(port),
        "--interrupt_requests", "false", "--n_threads", "1",
    ]  # fmt: skip
    base_url = f"http://127.0.0.1:{port}/v1"
    with log.open("wb") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        try:
            until(lambda: process.poll() is not None or _answers(f"{base_url}/models"), START_SECONDS)
            assert process.poll() is None, log.read_text()
            yield Server(base_url, log)
        finally:
            process.kill()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
async def model(server: Server) -> AsyncIterator[OpenAIChatModel]:
    opened = OpenAIChatModel(load_settings(None, openai_base_url=server.base_url, openai_chat_model="tiny"), "tiny")
    yield opened
    await opened.close()


def prompt(question: str = "Where do I drop the anchor?", answer_tokens: int = 1000) -> Prompt:
    found = passage("Drop the anchor over the bow, in shallow water.")
    return build_prompt(Question(question, context_window=4 * answer_tokens + 2000), [found], answer_tokens)


async def test_words_come_one_by_one_to_a_proper_end_and_are_counted(model: OpenAIChatModel) -> None:
    parts = [part async for part in model.stream(prompt(), NO_SERVICES)]
    *words, ending = parts
    assert "".join(cast(list[str], words)) == SENTENCE
    assert isinstance(ending, Ending)
    assert ending.finish_reason == "stop"
    assert (ending.prompt_tokens or 0) > 100
    assert (ending.answer_tokens or 0) > 5


async def test_an_answer_that_is_too_long_ends_so(model: OpenAIChatModel) -> None:
    parts = [part async for part in model.reply([Message("user", "Where?")], 3)]
    assert "".join(part for part in parts if isinstance(part, str)) == "Drop the anchor"
    ending = parts[-1]
    assert isinstance(ending, Ending)
    assert ending.finish_reason == "length"


async def test_leaving_midway_frees_the_server_for_the_next(model: OpenAIChatModel) -> None:
    heard = ""
    async with aclosing(model.reply([Message("user", FOR_EVER)], 12_000)) as parts:
        async for part in parts:
            assert isinstance(part, str)
            heard += part
            if len(heard) > 50:
                break
    left = time.monotonic()
    assert await model.complete([Message("user", "Where?")], 100, seconds=10) == SENTENCE
    assert time.monotonic() - left < 2


async def test_a_late_reply_frees_the_server_too(model: OpenAIChatModel) -> None:
    with pytest.raises(TimeoutError):
        await model.complete([Message("user", FOR_EVER)], 12_000, seconds=0.5)
    assert await asyncio.wait_for(model.complete([Message("user", "Where?")], 100, seconds=5), 2) == SENTENCE


async def test_a_prompt_that_is_too_long_is_refused_in_one_line(model: OpenAIChatModel) -> None:
    with pytest.raises(LecternError) as raised:
        async for _ in model.reply([Message("user", "word " * 20_000)], 100):
            pass
    assert "model provider at 127.0.0.1" in raised.value.message
    assert "\n" not in raised.value.message


@pytest.fixture(scope="module")
def system(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("system")
    settings = {
        "OPENAI_BASE_URL": server.base_url, "CHAT_MODEL": "tiny", "MAX_ANSWER_TOKENS": "8000",
        "CONTEXT_WINDOW_SIZE": "40000", "ANSWER_CACHE_MINUTES": "0",
    }  # fmt: skip
    with (
        docs_folder(folder / "docs", index="# Anchor\n\nDrop the anchor over the bow, in shallow water.\n") as docs,
        System(folder / "home", docs, **settings) as running,
    ):
        assert running.ingest()["status"] == "completed"
        yield running


def test_a_visitor_gets_its_words_with_a_link_for_the_mark(system: System) -> None:
    events = system.ask("Where do I drop the anchor?")
    final: dict[str, Any] = next(event for event in events if event["type"] == "final")
    assert events[-1]["type"] == "done"
    assert (final["model"], final["finish_reason"]) == ("tiny", "stop")
    assert final["answer"].startswith("Drop the anchor over bow in shallow water")
    assert [source["heading"] for source in final["sources"]] == ["Anchor"]
    assert final["tokens_used"] > 100


def test_a_visitor_who_leaves_does_not_keep_the_next_one_waiting(system: System) -> None:
    with system.api.stream("POST", "/chat", json={"question": FOR_EVER}) as response:
        chunks = (line for line in response.iter_lines() if line.startswith("data: "))
        assert any(json.loads(line[6:])["type"] == "chunk" for line in chunks)
    left = time.monotonic()
    assert system.ask("Where do I drop the anchor?")[-1]["type"] == "done"
    assert time.monotonic() - left < 3
