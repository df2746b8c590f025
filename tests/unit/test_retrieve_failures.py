"""A search that fails says why, although several run at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest

from api.chat.events import Question, Turn
from api.chat.retrieve import find
from shared.bm25 import Bm25Encoder
from shared.errors import DependencyDown
from shared.models import Release
from shared.services import Services

RELEASE = Release(1, "c", 1, 1, "job_1", "2026-01-01T00:00:00Z")


class DeadStore:
    async def spec_of(self, collection: str) -> NoReturn:
        raise DependencyDown("Qdrant does not answer", retry_after=5)


@pytest.mark.parametrize("selection", [None, "the marked words"])
async def test_a_store_that_is_down_is_told_as_such(selection: str | None) -> None:
    services: Any = SimpleNamespace(store=DeadStore(), bm25=Bm25Encoder())
    question = Question("And how?", selection=selection, history=(Turn("What is it?", "A thing."),))
    with pytest.raises(DependencyDown, match="Qdrant"):
        await find(question, RELEASE, cast(Services, services))
