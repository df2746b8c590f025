"""A follow-up made into a question that stands by itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from api.chat.events import Question, Turn
from api.chat.model import Ending
from api.chat.prompt import Message, Prompt
from api.chat.rewrite import standalone, usable
from api.chat.spending import begin_spending
from shared.services import Services
from shared.tokens import count_tokens
from tests.passages import services_with

HISTORY = (Turn("How do I reef the mainsail?", "Lower the [halyard](https://site.example/a#b) first."),)
FOLLOW_UP = Question("And how do I undo that?", history=HISTORY)


@dataclass(eq=False)
class Rewriter:
    """Says what it is told to, and notes what it was shown."""

    reply: str | None = "How do I shake out the reef in the mainsail?"
    name: str = "rewriter"
    shown: list[list[Message]] = field(default_factory=list)

    def stream(self, prompt: Prompt, services: Services) -> AsyncGenerator[str | Ending, None]:
        raise NotImplementedError

    async def complete(self, messages: Sequence[Message], most_tokens: int, seconds: float) -> str | None:
        assert most_tokens <= 100
        assert seconds <= 3
        self.shown.append(list(messages))
        return self.reply

    async def close(self) -> None:
        return


async def test_a_follow_up_is_rewritten_with_what_was_said_before() -> None:
    model = Rewriter()
    assert await standalone(FOLLOW_UP, services_with(), model) == model.reply
    system, user = model.shown[0]
    assert system.role == "system"
    assert "How do I reef the mainsail?" in user.content
    assert user.content.endswith("Last question: And how do I undo that?")
    assert "https://" not in user.content


async def test_the_same_follow_up_is_rewritten_once() -> None:
    model = Rewriter()
    for _ in range(3):
        await standalone(FOLLOW_UP, services_with(), model)
    assert len(model.shown) == 1
    await standalone(replace(FOLLOW_UP, history=(Turn("How do I anchor?", "Drop it."),)), services_with(), model)
    assert len(model.shown) == 2


@pytest.mark.parametrize(
    "question",
    [
        Question("And how do I undo that?"),
        Question("How is the diesel engine winterised with antifreeze?", history=HISTORY),
        Question("What does this mean?", selection="Lower the halyard.", history=HISTORY),
    ],
    ids=["no history", "stands by itself", "about a selection"],
)
async def test_a_question_that_needs_no_rewriting_costs_no_request(question: Question) -> None:
    model = Rewriter()
    assert await standalone(question, services_with(), model) == ""
    assert model.shown == []


async def test_a_model_that_fails_or_is_late_leaves_the_question_and_is_asked_again_the_next_time() -> None:
    model = Rewriter(reply=None)
    assert await standalone(FOLLOW_UP, services_with(), model) == ""
    assert await standalone(FOLLOW_UP, services_with(), model) == ""
    assert len(model.shown) == 2


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        ('"How do I unreef?"\n', "How do I unreef?"),
        ("\n\n**How do I unreef?**\nBecause ...", "How do I unreef?"),
        ("", ""),
        ("   ", ""),
        ("and how do I UNDO that?", ""),
        ("word " * 200, ""),
    ],
)
def test_only_one_line_that_is_a_question_is_used(reply: str, kept: str) -> None:
    assert usable(reply, "And how do I undo that?") == kept


async def test_what_a_rewrite_takes_is_counted_once_and_only_if_there_was_a_reply() -> None:
    model = Rewriter()
    spent = begin_spending()
    for _ in range(2):
        await standalone(FOLLOW_UP, services_with(), model)
    shown = sum(count_tokens(message.content) for message in model.shown[0])
    assert (spent.rewrite_prompt, spent.rewrite_reply) == (shown, count_tokens(model.reply or ""))
    assert shown > 50
    spent = begin_spending()
    await standalone(FOLLOW_UP, services_with(), Rewriter(None))
    assert (spent.rewrite_prompt, spent.rewrite_reply) == (0, 0)
