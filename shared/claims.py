"""Keeps a piece of work in one process's hands while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from shared.errors import DependencyDown, LeaseLost
from shared.jobs import CLAIM_SECONDS, RENEW_SECONDS, Claim, Jobs


@asynccontextmanager
async def holding(jobs: Jobs, claim: Claim) -> AsyncIterator[None]:
    """Keep a claim alive while its work runs; raise LeaseLost inside the work once another process has it."""
    worker = asyncio.current_task()
    lost: list[LeaseLost] = []

    async def keep() -> None:
        silent = 0.0
        while silent < CLAIM_SECONDS:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await jobs.renew(claim)
                silent = 0.0
            except DependencyDown:
                silent += RENEW_SECONDS
            except LeaseLost as error:
                lost.append(error)
                break
        if not lost:
            lost.append(LeaseLost(f"{claim.key} could not be renewed for {CLAIM_SECONDS} seconds"))
        if worker is not None:
            worker.cancel()

    keeper = asyncio.create_task(keep())
    try:
        yield
    except asyncio.CancelledError:
        if lost and worker is not None:
            worker.uncancel()
            raise lost[0] from None
        raise
    finally:
        keeper.cancel()
        with suppress(DependencyDown):  # it runs out by itself
            await jobs.release(claim)
