"""The source that the settings name: fetched before a job is planned, checked out for each of its shards."""

from __future__ import annotations

import asyncio
from pathlib import Path

from shared.errors import JobFailed
from shared.settings import Settings
from worker.ingestion.sources.copies import Fetched
from worker.ingestion.sources.git import checkout_git, fetch_git
from worker.ingestion.sources.website import checkout_website, fetch_website


async def fetch(settings: Settings, since: str = "") -> Fetched:
    """The source as it is now, and what differs from the revision `since`.

    Raises JobFailed with the reason if it cannot be fetched; copies that were fetched before stay as they are.
    """
    if not settings.remote_source:
        return Fetched(settings.content_root, "", None, "")
    try:
        async with asyncio.timeout(settings.source_timeout):
            return await (fetch_git if settings.source_git_url else fetch_website)(settings, since)
    except TimeoutError:
        raise JobFailed(_too_slow(settings)) from None


async def checkout(settings: Settings, revision: str) -> Path:
    """The folder that a job of that revision reads. Cheap where it is there; else it is fetched again.

    Raises JobFailed if it cannot be had.
    """
    if not settings.remote_source:
        return settings.content_root
    try:
        async with asyncio.timeout(settings.source_timeout):
            return await (checkout_git if settings.source_git_url else checkout_website)(settings, revision)
    except TimeoutError:
        raise JobFailed(_too_slow(settings)) from None


def _too_slow(settings: Settings) -> str:
    return (
        f"{settings.source_git_url or settings.source_sitemap_url} could not be fetched within "
        f"{settings.source_timeout} seconds, and nothing was changed; try again, or raise SOURCE_TIMEOUT"
    )
