"""What a question takes beside its prompt and its answer: the tokens of being rewritten and of being embedded.

These are spent deep in the search, by steps that know nothing of each other; they add to what the question's task, and
every task that this one has begun, finds here.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Spending:
    """Tokens as `shared.tokens` counts them."""

    #: Of the requests that make a question stand by itself, and of the replies to them.
    rewrite_prompt: int = 0
    rewrite_reply: int = 0
    #: Of the texts that were embedded to search for; one that is remembered is not embedded again.
    embedding: int = 0


_current: ContextVar[Spending] = ContextVar("spending")


def begin_spending() -> Spending:
    """What this task and those that it begins spend from now on is counted in the result."""
    spending = Spending()
    _current.set(spending)
    return spending


def spending() -> Spending:
    """Where to add to. Where nobody has begun to count, that is for nothing."""
    return _current.get(None) or Spending()
