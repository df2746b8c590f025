"""Docs from elsewhere, from the fetch to the release: a job reads one revision, and a failed fetch costs nothing."""

from __future__ import annotations

from pathlib import Path

from shared.models import Job, JobState
from shared.services import Services
from tests.by_hand import HandQueue, by_hand, deliver
from tests.conftest import OpenServices
from tests.git_server import git_server, new_origin
from tests.site_server import Page, html, site_server


async def ingested(services: Services, queue: HandQueue) -> Job:
    """A job for everything, delivered to its end."""
    job = await services.jobs.create(".", force=False)
    await queue.plan(job.id, job.content_path)
    await deliver_all(services, queue)
    return await services.jobs.get(job.id)


async def deliver_all(services: Services, queue: HandQueue) -> None:
    number = 0
    while queue.messages:
        task, payload = queue.messages.popleft()
        number += 1
        await deliver(services, task, payload, f"message-{number}")


async def test_a_repository_is_indexed_commit_by_commit(opened: OpenServices, tmp_path: Path) -> None:
    with git_server(tmp_path / "origins") as server:
        origin = new_origin(tmp_path / "origins" / "book")
        overrides = {
            "source_git_url": server.url("book"), "source_git_folder": "docs", "source_allow_private": True,
            "sources_dir": tmp_path / "sources",
        }  # fmt: skip
        async with opened(**overrides) as real:
            services, queue, _ = by_hand(real)
            first = await ingested(services, queue)
            assert (first.state, first.totals["documents"]) == (JobState.SUCCEEDED, 2)
            assert origin.git("rev-parse", "--short=12", "HEAD") in first.profile
            origin.commit({"docs/guide.md": "# Guide\n\nOther words.\n"})
            second = await ingested(services, queue)
            assert (second.release, second.totals["pages_changed"]) == (2, 1)
            server.status = 500
            third = await ingested(services, queue)
            assert (third.state, third.release) == (JobState.FAILED, None)
            assert "does not answer" in (third.reason or "")
            live = await services.releases.live()
            assert live is not None
            assert live.number == 2


async def test_a_push_in_the_middle_of_a_job_is_the_next_job_s(opened: OpenServices, tmp_path: Path) -> None:
    with git_server(tmp_path / "origins") as server:
        origin = new_origin(tmp_path / "origins" / "book")
        overrides = {
            "source_git_url": server.url("book"), "source_allow_private": True, "sources_dir": tmp_path / "sources",
        }  # fmt: skip
        async with opened(**overrides) as real:
            services, queue, _ = by_hand(real)
            job = await services.jobs.create(".", force=False)
            await queue.plan(job.id, job.content_path)
            task, payload = queue.messages.popleft()
            await deliver(services, task, payload, "plan")
            origin.commit({"docs/guide.md": "# Guide\n\nPushed meanwhile.\n"})
            await deliver_all(services, queue)
            done = await services.jobs.get(job.id)
            assert done.state is JobState.SUCCEEDED
            assert (await ingested(services, queue)).totals["pages_changed"] == 1


async def test_a_site_is_indexed_by_its_sitemap(opened: OpenServices, tmp_path: Path) -> None:
    with site_server() as site:
        site.pages |= {"/a": Page(html("Sails", "Reef early.")), "/b": Page(html("Ropes", "Tie a bowline."))}
        site.lists("/a", "/b")
        overrides = {
            "source_sitemap_url": site.sitemap_url, "source_allow_private": True, "sources_dir": tmp_path / "sources",
        }  # fmt: skip
        async with opened(**overrides) as real:
            services, queue, _ = by_hand(real)
            first = await ingested(services, queue)
            assert (first.state, first.totals["documents"]) == (JobState.SUCCEEDED, 2)
            site.lists("/a")
            assert (await ingested(services, queue)).totals["documents"] == 1
