"""What Redis knows of a running job: its plan, the results of its shards, their sums, and the stream of its events.

All of it can be made anew from the job's record and the content; losing it costs time, never a page. Each shard's part
of plan and results is a field of its own, so that the bookkeeping of a shard costs the same in a job of any size.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, cast

from redis.asyncio import Redis

from shared.clock import now
from shared.models import PageFault, Progress, ShardResult
from shared.plans import Plan, PlannedShard, faults_of, head_text, plan_of, result_of, result_text, shard_of, shard_text
from shared.redis_errors import redis_errors

#: Progress outlives its job by this much, for whoever looks the next day.
PROGRESS_SECONDS: Final = 7 * 24 * 3600
#: Events kept a job: more than any job of a thousand shards writes.
EVENTS_KEPT: Final = 2000
#: Fields that one command writes.
FIELDS_AT_ONCE: Final = 500

#: Set a shard's result, and change the sums by what differs from its earlier one: a second delivery changes nothing.
#: An empty result takes the earlier one back. Returns how many shards have a result.
_SET_RESULT: Final = """
local old = redis.call('HGET', KEYS[1], ARGV[1])
local before = old and cjson.decode(old) or {}
local after = ARGV[2] ~= '' and cjson.decode(ARGV[2]) or {}
for position = 5, #ARGV do
  local name = ARGV[position]
  local change = (after[name] or 0) - (before[name] or 0)
  if change ~= 0 then redis.call('HINCRBY', KEYS[2], name, string.format('%d', change)) end
end
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) else redis.call('HDEL', KEYS[1], ARGV[1]) end
if ARGV[3] ~= '' then redis.call('HSET', KEYS[3], ARGV[1], ARGV[3]) else redis.call('HDEL', KEYS[3], ARGV[1]) end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[4]) end
return redis.call('HLEN', KEYS[1])
"""
#: The counts of a result: what is summed.
COUNTS: Final = tuple(field.name for field in fields(ShardResult) if field.name not in ("shard_id", "faults"))


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened in a job. `id` orders the events of one job, as Redis's streams do."""

    id: str
    kind: str
    #: ISO 8601, UTC.
    at: str
    data: Mapping[str, str]


class LiveJobs:
    """Reads and writes what Redis knows of jobs."""

    _redis: Redis

    # The plan

    async def start_plan(self, job_id: str) -> None:
        with redis_errors():
            await self._set(job_id, stage="planning", started=str(time.time()))
            await self._event(job_id, "planning")

    async def save_plan(self, job_id: str, plan: Plan) -> None:
        """Set what is to be done. Results of shards that are in the new plan too stay valid."""
        wanted = {shard.id: shard_text(shard) for shard in plan.shards}
        with redis_errors():
            for stale in set(await self.done(job_id)) - wanted.keys():
                await self._set_result(job_id, stale, "", "")
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.delete(_key(job_id, "plan"))
                pairs = list(wanted.items())
                for start in range(0, len(pairs), FIELDS_AT_ONCE):
                    pipe.hset(_key(job_id, "plan"), mapping=cast(Any, dict(pairs[start : start + FIELDS_AT_ONCE])))
                pipe.expire(_key(job_id, "plan"), PROGRESS_SECONDS)
                await pipe.execute()
            planned = sum(len(shard.pages) + len(shard.removed) for shard in plan.shards)
            await self._set(
                job_id, stage="indexing", plan=head_text(plan), pages_total=str(plan.pages_total),
                pages_planned=str(planned), shards_total=str(len(plan.shards)),
            )  # fmt: skip
            await self._event(job_id, "indexing", pages=plan.pages_total, shards=len(plan.shards))
            for fault in plan.faults:
                await self._event(job_id, "warning", path=fault.path, reason=fault.reason)

    async def plan(self, job_id: str) -> Plan | None:
        """All of it: for who needs every shard."""
        with redis_errors():
            head = await cast(Any, self._redis.hget(_key(job_id), "plan"))
            found = await cast(Any, self._redis.hgetall(_key(job_id, "plan"))) if head else {}
        return plan_of(head, [shard_of(id_, text) for id_, text in found.items()]) if head else None

    async def shard(self, job_id: str, shard_id: str) -> tuple[Plan, PlannedShard] | None:
        """One shard and its plan, which holds no other; None if the plan has no such shard."""
        with redis_errors():
            head = await cast(Any, self._redis.hget(_key(job_id), "plan"))
            text = await cast(Any, self._redis.hget(_key(job_id, "plan"), shard_id))
        if head is None or text is None:
            return None
        shard = shard_of(shard_id, text)
        return plan_of(head, [shard]), shard

    # Results

    async def save_result(self, job_id: str, result: ShardResult) -> bool:
        """Set what a shard has done. True if with it every shard of the plan has a result."""
        faults = json.dumps([asdict(fault) for fault in result.faults]) if result.faults else ""
        with redis_errors():
            done = await self._set_result(job_id, result.shard_id, result_text(result), faults)
            total = int(await cast(Any, self._redis.hget(_key(job_id), "shards_total")) or 0)
            await self._event(job_id, "shard", shard=result.shard_id, pages=result.pages, chunks=result.chunks_written)
            for fault in result.faults:
                await self._event(job_id, "warning", path=fault.path, reason=fault.reason)
        return done >= total

    async def _set_result(self, job_id: str, shard_id: str, result: str, faults: str) -> int:
        keys = [_key(job_id, part) for part in ("shards", "sums", "faults")]
        arguments = (shard_id, result, faults, str(PROGRESS_SECONDS), *COUNTS)
        return int(await cast(Any, self._redis.eval(_SET_RESULT, len(keys), *keys, *arguments)))

    async def is_done(self, job_id: str, shard_id: str) -> bool:
        with redis_errors():
            return bool(await cast(Any, self._redis.hexists(_key(job_id, "shards"), shard_id)))

    async def done(self, job_id: str) -> Sequence[str]:
        """The shards that have a result."""
        with redis_errors():
            return list(await cast(Any, self._redis.hkeys(_key(job_id, "shards"))))

    async def results(self, job_id: str) -> dict[str, ShardResult]:
        """Every shard's own result: for who closes the books."""
        with redis_errors():
            found = await cast(Any, self._redis.hgetall(_key(job_id, "shards")))
        return {name: result_of(text) for name, text in found.items()}

    async def save_part(self, job_id: str, path: str, result: ShardResult) -> None:
        """Set what was done of a shard whose pages are taken one by one."""
        key = _key(job_id, f"parts:{result.shard_id}")
        with redis_errors():
            await cast(Any, self._redis.hset(key, path, result_text(result)))
            await self._redis.expire(key, PROGRESS_SECONDS)

    async def parts(self, job_id: str, shard_id: str) -> dict[str, ShardResult]:
        """What was done of such a shard, by page."""
        with redis_errors():
            found = await cast(Any, self._redis.hgetall(_key(job_id, f"parts:{shard_id}")))
        return {path: result_of(text) for path, text in found.items()}

    async def faults(self, job_id: str) -> tuple[PageFault, ...]:
        """What the shards have found wrong so far."""
        with redis_errors():
            found = await cast(Any, self._redis.hvals(_key(job_id, "faults")))
        return tuple(fault for text in found for fault in faults_of(json.loads(text)))

    # Progress

    async def stage(self, job_id: str, stage: str) -> None:
        with redis_errors():
            await self._set(job_id, stage=stage)
            await self._event(job_id, stage)

    async def report(self, job_id: str, pages_total: int, pages_done: int, chunks_done: int) -> None:
        """Set the progress of a job that has no shards."""
        counts = {"pages_total": pages_total, "pages_done": pages_done, "chunks_done": chunks_done}
        with redis_errors():
            await self._set(job_id, **{name: str(count) for name, count in counts.items()})

    async def progress(self, job_id: str) -> Progress | None:
        """What Redis knows of a job's progress; None before its plan, or once it is forgotten."""
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hgetall(_key(job_id))
                pipe.hgetall(_key(job_id, "sums"))
                pipe.hlen(_key(job_id, "shards"))
                facts, sums, shards_done = await pipe.execute()
        if "stage" not in facts:
            return None
        return _progress(facts, {name: int(sums.get(name, 0)) for name in COUNTS}, shards_done)

    async def put_off(self, job_id: str, until: float, reason: str) -> None:
        """Nobody has to ring for the job before that time (seconds since the epoch)."""
        with redis_errors():
            await self._set(job_id, put_off=str(until), put_off_for=reason)
            await self._event(job_id, "waiting", until=round(until), reason=reason)

    async def put_off_until(self, job_id: str) -> float | None:
        """Until when the job is put off, and None once that has passed."""
        with redis_errors():
            until = await cast(Any, self._redis.hget(_key(job_id), "put_off"))
        return float(until) if until is not None and float(until) > time.time() else None

    async def end_put_off(self, job_id: str) -> bool:
        """Whether the job was put off, and its plan still stands: then it goes on with that. Not a second time."""
        with redis_errors():
            was_put_off = await cast(Any, self._redis.hdel(_key(job_id), "put_off", "put_off_for"))
            return bool(was_put_off) and bool(await self._redis.exists(_key(job_id, "plan")))

    async def ring_allowed(self, job_id: str, seconds: int, work: str = "") -> bool:
        """At most one new message for a job, or a piece of its work, in this time, however many look after it."""
        with redis_errors():
            return bool(await self._redis.set(_key(job_id, f"rung:{work}"), "1", nx=True, ex=seconds))

    async def waiting_messages(self, queue: str) -> int:
        """Messages that no worker has taken yet."""
        with redis_errors():
            return int(await cast(Any, self._redis.llen(f"lectern:{queue}")))

    # Events

    async def event(self, job_id: str, kind: str, **data: str | int) -> None:
        with redis_errors():
            await self._event(job_id, kind, **data)

    async def events(self, job_id: str, after: str = "") -> AsyncIterator[JobEvent]:
        """The job's events that are there, oldest first, beyond the one whose id is `after`."""
        with redis_errors():
            found = await cast(Any, self._redis.xrange(_key(job_id, "events"), min=f"({after}" if after else "-"))
        for id_, data in found:
            rest = {name: value for name, value in data.items() if name not in ("event", "at")}
            yield JobEvent(id_, data["event"], data["at"], rest)

    async def last_event_at(self, job_id: str) -> str | None:
        """When the job last gave a sign of life, as ISO 8601."""
        with redis_errors():
            found = await cast(Any, self._redis.xrevrange(_key(job_id, "events"), count=1))
        return found[0][1]["at"] if found else None

    async def _event(self, job_id: str, kind: str, **data: str | int) -> None:
        key = _key(job_id, "events")
        entry: dict[Any, Any] = {"event": kind, "at": now(), **data}
        await self._redis.xadd(key, entry, maxlen=EVENTS_KEPT, approximate=True)
        await self._redis.expire(key, PROGRESS_SECONDS)

    async def _set(self, job_id: str, **facts: str) -> None:
        await cast(Any, self._redis.hset(_key(job_id), mapping=cast(Any, facts)))
        await self._redis.expire(_key(job_id), PROGRESS_SECONDS)


def _key(job_id: str, part: str = "") -> str:
    return f"lectern:job:{job_id}:{part}" if part else f"lectern:job:{job_id}"


def _progress(facts: Mapping[str, str], sums: Mapping[str, int], shards_done: int) -> Progress:
    pages_total = int(facts.get("pages_total", 0))
    planned = int(facts.get("pages_planned", pages_total))
    pages_done = sums["pages"] + int(facts.get("pages_done", 0))
    done = facts["stage"] == "done"
    share = 1.0 if done else (pages_done / planned if planned else 0.0)
    elapsed = time.time() - float(facts.get("started", time.time()))
    return Progress(
        stage=cast(Any, facts["stage"]),
        pages_total=pages_total,
        # Pages that had not changed are done from the start.
        pages_done=pages_total if done else pages_total - planned + pages_done,
        chunks_done=sums["chunks_written"] + sums["chunks_kept"] + int(facts.get("chunks_done", 0)),
        shards_total=int(facts.get("shards_total", 0)),
        shards_done=shards_done,
        percent=round(100 * share, 1),
        seconds_left=round(elapsed * (1 - share) / share, 1) if 0 < share < 1 else None,
        detail={name: sums[name] for name in ("texts_embedded", "texts_reused", "requests", "tokens")},
        chunks_written=sums["chunks_written"],
    )
