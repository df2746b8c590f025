"""Which process has a text embedded, where the same text stands on pages of several shards: the others read its vectors
from the index as soon as they are there, so that it is sent to the model once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, cast

from redis.asyncio import Redis

from shared.claims import Claim
from shared.errors import DependencyDown
from shared.redis_errors import redis_errors

#: Take the texts that are free, or whose holder has lost its shard's claim; which of them others hold, by position.
#: A holder is written as its claim's key and owner: it holds its texts for as long as the claim stands.
_TAKE: Final = """
local mine = ARGV[1] .. '\\n' .. ARGV[2]
local alive, held = {}, {}
for i = 4, #ARGV do
  local holder = redis.call('HGET', KEYS[1], ARGV[i])
  if holder and holder ~= mine then
    if alive[holder] == nil then
      local key, owner = string.match(holder, '^(.*)\\n(.*)$')
      alive[holder] = redis.call('GET', key) == owner
    end
  end
  if holder and holder ~= mine and alive[holder] then
    held[#held + 1] = i - 4
  else
    redis.call('HSET', KEYS[1], ARGV[i], mine)
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return held
"""
_LET_GO: Final = """
local mine = ARGV[1] .. '\\n' .. ARGV[2]
for i = 3, #ARGV do
  if redis.call('HGET', KEYS[1], ARGV[i]) == mine then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
"""
#: What a crash has left is of no use after an hour, in seconds.
KEPT_SECONDS: Final = 3600
#: Texts a call: Redis does nothing else meanwhile, and a script takes no more than some thousand arguments.
AT_ONCE: Final = 1000
#: Characters of a hash that tell texts apart.
SHORT: Final = 32


class TextClaims:
    """The texts that one shard's process has in hand."""

    def __init__(self, redis: Redis, collection: str, claim: Claim) -> None:
        self._redis = redis
        self._key = f"lectern:texts:{collection}"
        self._claim = claim
        self._taken: set[str] = set()

    async def take(self, text_hashes: Sequence[str]) -> frozenset[str]:
        """Claim these texts. Those that another process has in work."""
        held: set[str] = set()
        for start in range(0, len(text_hashes), AT_ONCE):
            part = text_hashes[start : start + AT_ONCE]
            found = await self._call(_TAKE, str(KEPT_SECONDS), *(text_hash[:SHORT] for text_hash in part))
            held |= {part[position] for position in found}
            self._taken |= set(part) - held
        return frozenset(held)

    async def let_go(self) -> None:
        """Leave the texts to whoever needs them. With Redis gone they are free as soon as the shard's claim is."""
        taken = [text_hash[:SHORT] for text_hash in self._taken]
        self._taken.clear()
        with suppress(DependencyDown):
            for start in range(0, len(taken), AT_ONCE):
                await self._call(_LET_GO, *taken[start : start + AT_ONCE])

    async def _call(self, script: str, *arguments: str) -> Any:
        with redis_errors():
            call = self._redis.eval(script, 1, self._key, self._claim.key, self._claim.owner, *arguments)
            return await cast(Any, call)
