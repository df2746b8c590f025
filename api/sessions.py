"""Short-term memory: the last exchanges of a conversation, kept in Redis for some minutes.

A conversation is known by whatever its client sends: a session id that stays the same, or, where that is new with every
message, the id of the browser. Losing it all costs a follow-up its context and nothing else, so no failure gets out.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.chat.events import Turn
from shared.settings import Settings

log = structlog.get_logger(__name__)

KEY_PREFIX: Final = "lectern:session:"
#: Longest that an answer waits for its memory.
PATIENCE_SECONDS: Final = 0.5
#: Characters kept of an answer: what "and how do I undo that?" can refer to.
ANSWER_KEPT: Final = 4000


@dataclass(frozen=True, slots=True)
class Conversation:
    """The names that one conversation goes by, the more particular first."""

    #: What the client is told to go on with.
    session_id: str
    browser_id: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        names = [f"id:{self.session_id}"] + ([f"browser:{self.browser_id}"] if self.browser_id else [])
        return tuple(KEY_PREFIX + _digest(name) for name in names)


class Sessions:
    """Remembers and recalls exchanges."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._most = settings.max_context_messages
        self._seconds = settings.session_minutes * 60

    async def recall(self, conversation: Conversation) -> tuple[Turn, ...]:
        """The last exchanges, oldest first, under the first of the conversation's names that has any."""
        if not self._most:
            return ()
        for turns in await self._read(conversation.keys):
            if turns:
                return turns
        return ()

    async def remember(self, conversation: Conversation, turn: Turn) -> None:
        """Add an exchange under each of the conversation's names."""
        if not self._most:
            return
        entry = json.dumps([turn.question, turn.answer[:ANSWER_KEPT]])
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._redis.pipeline(transaction=True) as pipe:
                for key in conversation.keys:
                    pipe.rpush(key, entry)
                    pipe.ltrim(key, -self._most, -1)
                    pipe.expire(key, self._seconds)
                await pipe.execute()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("session.not_remembered", reason=type(error).__name__)

    async def count(self, browser_id: str) -> int:
        """Exchanges remembered of a browser."""
        return len((await self._read((KEY_PREFIX + _digest(f"browser:{browser_id}"),)))[0])

    async def _read(self, keys: Sequence[str]) -> list[tuple[Turn, ...]]:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._redis.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.lrange(key, -self._most, -1)
                found = await pipe.execute()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("session.not_recalled", reason=type(error).__name__)
            return [() for _ in keys]
        return [tuple(Turn(*json.loads(entry)) for entry in entries) for entries in found]


def _digest(name: str) -> str:
    """Of one length whatever was sent, and nobody who reads Redis can take over a conversation."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
