"""Jobs: the durable record in Qdrant, and live progress, claims and events in Redis.

Everything in Redis can be made anew from the record and the content; losing it costs time, never a page.
Shard results are set by shard id and never added up, so that a message delivered twice changes nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, cast
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.errors import DependencyDown, LeaseLost, NotFound
from shared.models import Job, JobKind, JobState, PageFault, Progress, ShardResult
from shared.releases import Records

#: A claim that is not renewed for this long is anybody's: what a killed worker was doing goes on after it.
CLAIM_SECONDS: Final = 10
RENEW_SECONDS: Final = 3
#: Progress outlives its job by this much, for whoever looks the next day.
PROGRESS_SECONDS: Final = 7 * 24 * 3600
#: Events kept a job: more than any job of a thousand shards writes.
EVENTS_KEPT: Final = 2000
#: Jobs that have ended and are remembered: half a year of three a day.
JOBS_KEPT: Final = 500
#: A shard whose worker died this often is named and given up.
MOST_STARTS: Final = 5

#: Take a claim that is free, or was ours before this message was delivered again.
_CLAIM: Final = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""
_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """A job's unit of queued work. `removed` pages are closed; the others read, cut and compared."""

    id: str
    pages: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job will do, as a pure function of the content and of the release it builds upon."""

    release: int
    #: Release number that is compared with; 0 for nothing.
    base: int
    collection: str
    #: Size of the collection's vectors.
    dimensions: int
    pages_total: int
    #: Chunks and pages that a reader of the base sees.
    base_chunks: int
    base_pages: int
    shards: tuple[PlannedShard, ...]
    faults: tuple[PageFault, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do one piece of a job's work, held by one process at a time."""

    key: str
    owner: str


def now() -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def new_job_id() -> str:
    """Unique, and in order of time to the second for people who look at it."""
    return f"job_{int(time.time())}_{uuid4().hex[:8]}"


class Jobs:
    """Creates, reads and moves jobs along."""

    def __init__(self, records: Records, redis: Redis) -> None:
        """`redis` decodes what it reads (`shared.services.open_redis`)."""
        self._records = records
        self._redis = redis

    # The record

    async def create(
        self, content_path: str, *, force: bool, kind: JobKind = "ingest", job_id: str | None = None
    ) -> Job:
        """Write a queued job. It exists from here on, whether or not a message reaches a worker."""
        job = Job(
            id=job_id or new_job_id(), state=JobState.QUEUED, content_path=content_path, force=force,
            created_at=now(), kind=kind,
        )  # fmt: skip
        await self.save(job)
        return job

    async def save(self, job: Job) -> Job:
        await self._records.put(("job", job.id, asdict(job)))
        return job

    async def get(self, job_id: str) -> Job:
        record = await self._records.get("job", job_id)
        if record is None:
            raise NotFound(f"there is no job {job_id!r}; GET /ingest/status lists the jobs there are")
        return _job(record)

    async def list(self) -> list[Job]:
        """Every job, newest first."""
        found = [_job(record) for record in await self._records.all("job")]
        return sorted(found, key=lambda job: (job.created_at, job.id), reverse=True)

    async def unfinished(self) -> Sequence[Job]:
        """The jobs that have not ended, oldest first."""
        records = await self._records.all("job", state=[state for state in JobState if not state.terminal])
        return sorted(map(_job, records), key=lambda job: (job.created_at, job.id))

    async def next(self) -> Job | None:
        """The job that runs, else the oldest: the only one that may be worked on, because releases are numbered."""
        unfinished = await self.unfinished()
        running = (job for job in unfinished if job.state is JobState.RUNNING)
        return next(running, next(iter(unfinished), None))

    async def begin(self, job: Job) -> Job | None:
        """Take a job's turn: from here on it runs. None if another one runs.

        Two jobs that are created at one instant may each have seen itself as the oldest. Both then see the other one
        run, both wait again, and by then both know which is older.
        """
        started = job.started_at or now()
        begun = await self.save(replace(job, state=JobState.RUNNING, started_at=started, attempts=job.attempts + 1))
        if any(other.state is JobState.RUNNING and other.id != job.id for other in await self.unfinished()):
            await self.save(job)
            return None
        return begun

    async def finish(self, job: Job, state: JobState, reason: str | None, **changes: Any) -> Job:
        """Put a job into a terminal state, with a reason that a person can act on."""
        done = await self.save(replace(job, state=state, reason=reason, finished_at=now(), **changes))
        with redis_errors():
            await self._set(job.id, stage="done")
            await self.event(job.id, state.value, reason=reason or "")
        await self._forget_oldest()
        return done

    async def _forget_oldest(self) -> None:
        ended = [job.id for job in await self.list() if job.state.terminal]
        if len(ended) > JOBS_KEPT:
            await self._records.delete("job", ended[JOBS_KEPT:])

    # Claims

    async def claim(self, job_id: str, work: str, owner: str) -> Claim | None:
        """Take a piece of work, or None while another process is at it. `owner` is the message's id."""
        claim = Claim(f"lectern:job:{job_id}:claim:{work}", owner)
        with redis_errors():
            taken = await self._redis.eval(_CLAIM, 1, claim.key, owner, str(CLAIM_SECONDS))
        return claim if taken else None

    async def renew(self, claim: Claim) -> None:
        """Keep a claim. Raises LeaseLost if it has passed to another process: stop writing then."""
        with redis_errors():
            kept = await self._redis.eval(_CLAIM, 1, claim.key, claim.owner, str(CLAIM_SECONDS))
        if not kept:
            raise LeaseLost(f"{claim.key} is now held by another process")

    async def release(self, claim: Claim) -> None:
        with redis_errors():
            await self._redis.eval(_RELEASE, 1, claim.key, claim.owner)

    async def alive(self, job_id: str) -> bool:
        """Whether any process is at work on this job."""
        with redis_errors():
            async for _ in self._redis.scan_iter(match=f"lectern:job:{job_id}:claim:*", count=1000):
                return True
        return False

    async def ring_allowed(self, job_id: str, seconds: int) -> bool:
        """At most one new message for a job in this time, however many processes look after it."""
        with redis_errors():
            return bool(await self._redis.set(f"lectern:job:{job_id}:rung", "1", nx=True, ex=seconds))

    async def waiting_messages(self, queue: str) -> int:
        """Messages that no worker has taken yet."""
        with redis_errors():
            return int(await cast(Any, self._redis.llen(f"lectern:{queue}")))

    async def count_start(self, job_id: str, work: str, by: int = 1) -> int:
        """Starts of a piece of work less its orderly ends: how often a process died on it, plus this time."""
        key = f"lectern:job:{job_id}:starts"
        with redis_errors():
            starts = int(await cast(Any, self._redis.hincrby(key, work, by)))
            await self._redis.expire(key, PROGRESS_SECONDS)
        return starts

    # Progress

    async def start_plan(self, job_id: str) -> None:
        with redis_errors():
            await self._set(job_id, stage="planning", started=str(time.time()))
            await self.event(job_id, "planning")

    async def save_plan(self, job_id: str, plan: Plan) -> None:
        """Set what is to be done. Results of shards that are in the new plan too stay valid."""
        key = f"lectern:job:{job_id}:shards"
        with redis_errors():
            known = set(await cast(Any, self._redis.hkeys(key)))
            stale = known - {shard.id for shard in plan.shards}
            if stale:
                await cast(Any, self._redis.hdel(key, *stale))
            await self._set(job_id, stage="indexing", plan=json.dumps(asdict(plan)))
            await self.event(job_id, "indexing", pages=plan.pages_total, shards=len(plan.shards))

    async def plan(self, job_id: str) -> Plan | None:
        with redis_errors():
            text = await cast(Any, self._redis.hget(f"lectern:job:{job_id}", "plan"))
        if text is None:
            return None
        raw = json.loads(text)
        shards = tuple(PlannedShard(s["id"], tuple(s["pages"]), tuple(s["removed"])) for s in raw.pop("shards"))
        return Plan(shards=shards, faults=_faults(raw.pop("faults")), **raw)

    async def save_result(self, job_id: str, result: ShardResult) -> None:
        with redis_errors():
            key = f"lectern:job:{job_id}:shards"
            await cast(Any, self._redis.hset(key, result.shard_id, json.dumps(asdict(result))))
            await self._redis.expire(key, PROGRESS_SECONDS)
            await self.event(job_id, "shard", shard=result.shard_id, pages=result.pages, chunks=result.chunks_written)

    async def results(self, job_id: str) -> dict[str, ShardResult]:
        with redis_errors():
            found = await cast(Any, self._redis.hgetall(f"lectern:job:{job_id}:shards"))
        return {name: _result(json.loads(text)) for name, text in found.items()}

    async def stage(self, job_id: str, stage: str) -> None:
        with redis_errors():
            await self._set(job_id, stage=stage)
            await self.event(job_id, stage)

    async def report(self, job_id: str, pages_total: int, pages_done: int, chunks_done: int) -> None:
        """Set the progress of a job that has no shards."""
        counts = {"pages_total": pages_total, "pages_done": pages_done, "chunks_done": chunks_done}
        with redis_errors():
            await self._set(job_id, **{name: str(count) for name, count in counts.items()})

    async def progress(self, job_id: str) -> Progress | None:
        """What Redis knows of a job's progress; None before its plan, or once it is forgotten."""
        with redis_errors():
            fields = await cast(Any, self._redis.hgetall(f"lectern:job:{job_id}"))
        if not fields:
            return None
        plan = json.loads(fields["plan"]) if "plan" in fields else None
        results = await self.results(job_id)
        return _progress(fields, plan, results)

    async def event(self, job_id: str, event: str, **data: str | int) -> None:
        key = f"lectern:job:{job_id}:events"
        fields: dict[Any, Any] = {"event": event, "at": now(), **data}
        await self._redis.xadd(key, fields, maxlen=EVENTS_KEPT, approximate=True)
        await self._redis.expire(key, PROGRESS_SECONDS)

    async def _set(self, job_id: str, **fields: str) -> None:
        key = f"lectern:job:{job_id}"
        await cast(Any, self._redis.hset(key, mapping=cast(Any, fields)))
        await self._redis.expire(key, PROGRESS_SECONDS)


class redis_errors:  # reads as the context manager it is
    """Translate the client's errors: Redis not answering is a state of the world, not a bug."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, RedisError | OSError):
            raise DependencyDown("Redis does not answer", retry_after=5) from error


def _faults(raw: Sequence[Mapping[str, str]]) -> tuple[PageFault, ...]:
    return tuple(PageFault(fault["path"], fault["reason"]) for fault in raw)


def _result(raw: dict[str, Any]) -> ShardResult:
    return ShardResult(**{**raw, "faults": _faults(raw["faults"])})


def _job(record: Mapping[str, Any]) -> Job:
    known = {name: record[name] for name in Job.__dataclass_fields__ if name in record}
    return Job(**{**known, "state": JobState(record["state"]), "faults": _faults(record["faults"])})


def _progress(
    fields: Mapping[str, str], plan: Mapping[str, Any] | None, results: Mapping[str, ShardResult]
) -> Progress:
    reported = {name: int(fields.get(name, 0)) for name in ("pages_total", "pages_done", "chunks_done")}
    pages_total = plan["pages_total"] if plan else reported["pages_total"]
    planned = sum(len(s["pages"]) + len(s["removed"]) for s in plan["shards"]) if plan else pages_total
    pages_done = sum(result.pages for result in results.values()) + reported["pages_done"]
    done = fields["stage"] == "done"
    share = 1.0 if done else (pages_done / planned if planned else 0.0)
    elapsed = time.time() - float(fields.get("started", time.time()))
    return Progress(
        stage=cast(Any, fields["stage"]),
        pages_total=pages_total,
        # Pages that had not changed are done from the start.
        pages_done=pages_total if done else pages_total - planned + pages_done,
        chunks_done=sum(r.chunks_written + r.chunks_kept for r in results.values()) + reported["chunks_done"],
        shards_total=len(plan["shards"]) if plan else 0,
        shards_done=len(results),
        percent=round(100 * share, 1),
        seconds_left=round(elapsed * (1 - share) / share, 1) if 0 < share < 1 else None,
        detail={
            "texts_embedded": sum(r.texts_embedded for r in results.values()),
            "texts_reused": sum(r.texts_reused for r in results.values()),
            "requests": sum(r.requests for r in results.values()),
            "tokens": sum(r.tokens for r in results.values()),
        },
    )
