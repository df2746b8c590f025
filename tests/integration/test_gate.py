"""The gate on real stores: a release that loses answers is not published."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.models import Job, JobState
from tests.by_hand import deliver, deliver_all
from tests.conftest import OpenServices
from tests.sites import PAGES, Site, open_site
from tests.stand_in.control import Provider
from worker.ingestion.gate import TOP

GOLDEN = """\
- question: Which port does it listen on?
  expect: guide/run.md#ports
  must_contain: "7860"
- question: How do I stop every process?
  expect: guide/stop.md
"""


@pytest.fixture
async def site(opened: OpenServices, provider: Provider, tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(opened, provider, tmp_path / "docs") as site:
        for path, text in PAGES.items():
            site.write(path, text)
        yield site


def lose_the_port(site: Site) -> None:
    site.write("guide/run.md", "# Running\n\nStart it with one command.\n\n## Ports\n\nIt has a port.\n")


async def held_back(site: Site) -> Job:
    """Release 1 is live, and release 2 lost one of its two answers."""
    site.write("golden.yaml", GOLDEN)
    await site.ingest()
    lose_the_port(site)
    return await site.ingest()


async def test_a_first_release_is_only_reported_on(site: Site) -> None:
    site.write("golden.yaml", f"{GOLDEN}- question: What does it cost?\n  expect: intro.md\n  must_contain: dollars\n")
    job = await site.ingest()
    assert (job.state, job.reason) == (JobState.SUCCEEDED, "release 1 is live")
    assert [(fault.path, fault.reason) for fault in job.faults] == [
        ("golden.yaml", "line 6: 'What does it cost?' is not answered from intro.md")
    ]
    assert (job.totals["questions_asked"], job.totals["questions_answered"]) == (3, 2)


async def test_a_release_that_loses_an_answer_is_held_back_and_visitors_keep_the_old_one(site: Site) -> None:
    job = await held_back(site)
    assert (job.state, job.release) == (JobState.SUCCEEDED, 2)
    assert job.reason == (
        "release 2 is held back: 1 question of golden.yaml would no longer be answered: 'Which port does it listen "
        "on?' from guide/run.md#ports; `lectern releases activate 2` makes it live all the same"
    )
    assert job.totals["releases_held"] == 1
    assert [fault.reason for fault in job.faults] == [
        "line 1: 'Which port does it listen on?' is not answered any more from guide/run.md#ports"
    ]
    assert (await site.live()).number == 1
    assert any("7860" in text for text in await site.texts())
    assert (await site.services.releases.get(2)).state == "held"
    record = await site.services.releases.changes(2)
    assert record is not None
    assert record["gate"]["lost_total"] == 1
    assert (record["gate"]["answered"], record["gate"]["answered_before"]) == (1, 2)


async def test_activate_overrides_the_gate(site: Site) -> None:
    await held_back(site)
    activated = await site.activate(2)
    assert (activated.release.number, activated.release.state) == (2, "published")
    assert (await site.live()).number == 2
    assert not any("7860" in text for text in await site.texts())
    assert [release.state for release in await site.services.releases.all()] == ["published", "published"]


async def test_an_unchanged_content_stays_held_back(site: Site) -> None:
    await held_back(site)
    job = await site.ingest()
    assert (job.state, job.release) == (JobState.SUCCEEDED, None)
    assert job.reason is not None
    assert job.reason.startswith("nothing has changed since release 2, which is held back")
    assert (await site.live()).number == 1


async def test_a_mended_content_is_judged_beside_the_live_release_and_published(site: Site) -> None:
    await held_back(site)
    texts = site.embedded()
    site.write("guide/run.md", PAGES["guide/run.md"].replace("one command", "two commands"))
    job = await site.ingest()
    assert (job.release, job.reason) == (3, "release 3 is live")
    assert (await site.live()).number == 3
    assert (await site.services.releases.changes(3) or {})["base"] == 1
    assert await site.changes(3) == {"changed": [("guide/run.md", "the text changed")]}
    assert site.embedded() - texts == 1  # the port's passage is known from release 1, and the questions are remembered


async def test_a_page_that_comes_back_after_a_held_release_is_no_change(site: Site) -> None:
    site.write("golden.yaml", GOLDEN)
    await site.ingest()
    site.remove("guide/stop.md")
    await site.ingest()
    texts = site.embedded()
    site.write("guide/stop.md", PAGES["guide/stop.md"])
    assert (await site.ingest()).reason == "release 3 is live"
    assert await site.changes(3) == {}
    assert site.embedded() == texts


async def test_a_content_that_loses_still_more_is_judged_beside_the_live_release_too(site: Site) -> None:
    await held_back(site)
    site.remove("guide/stop.md")
    job = await site.ingest()
    assert job.reason is not None
    assert job.reason.startswith("release 3 is held back: 2 questions of golden.yaml")
    assert (await site.live()).number == 1
    assert ("golden.yaml", "line 4: there is no page guide/stop.md in release 3") in {
        (fault.path, fault.reason) for fault in job.faults
    }


async def test_a_mended_golden_file_lets_the_held_release_pass(site: Site) -> None:
    await held_back(site)
    site.write("golden.yaml", GOLDEN.replace('  must_contain: "7860"\n', ""))
    job = await site.ingest()
    assert (job.release, job.reason) == (2, "release 2 is live")
    assert (await site.live()).number == 2


@pytest.mark.parametrize(("allowed", "live"), [(0, 1), (1, 2)])
async def test_so_many_answers_may_be_lost_as_are_allowed(site: Site, allowed: int, live: int) -> None:
    await held_back(site.having(gate_max_lost=allowed))
    assert (await site.live()).number == live


async def test_a_question_that_was_never_answered_holds_nothing_back(site: Site) -> None:
    site.write("golden.yaml", "- {question: What does it cost?, expect: intro.md, must_contain: dollars}\n")
    await site.ingest()
    lose_the_port(site)
    job = await site.ingest()
    assert (job.reason, job.faults) == ("release 2 is live", ())


@pytest.mark.parametrize(
    "text", ["- question: [", "words", "- &a x\n- *a\n", "[" * 10_000, "- question: only\n", "\x00"]
)
async def test_a_broken_golden_file_is_named_and_checks_nothing(site: Site, text: str) -> None:
    site.write("golden.yaml", GOLDEN)
    await site.ingest()
    site.write("golden.yaml", text)
    lose_the_port(site)
    job = await site.ingest()
    assert job.reason == "release 2 is live, and was not checked: golden.yaml cannot be used"
    assert {fault.path for fault in job.faults} == {"golden.yaml"}
    assert len(job.faults) == 2


async def test_a_mistake_in_the_golden_file_is_named_when_nothing_else_has_changed(site: Site) -> None:
    site.write("golden.yaml", GOLDEN + "- quest: x\n")
    await site.ingest()
    site.write("golden.yaml", "- question: [\n")
    broken = await site.ingest()
    assert (broken.reason, broken.release) == ("nothing has changed", None)
    assert [fault.path for fault in broken.faults] == ["golden.yaml"]
    site.write("golden.yaml", GOLDEN)
    mended = await site.ingest()
    assert (mended.reason, mended.faults) == ("nothing has changed", ())


async def test_the_golden_file_may_stand_elsewhere(site: Site, tmp_path: Path) -> None:
    (tmp_path / "questions.yaml").write_text(GOLDEN)
    site = site.having(golden_file=tmp_path / "questions.yaml")
    await site.ingest()
    lose_the_port(site)
    job = await site.ingest()
    assert job.reason is not None
    assert "1 question of questions.yaml" in job.reason


async def test_questions_are_embedded_once_for_both_releases_and_for_the_next_ones(site: Site) -> None:
    site.write("golden.yaml", GOLDEN)
    await site.ingest()
    texts = site.provider.stats().embeddings.texts
    assert texts["Which port does it listen on?"] == 1
    site.write("intro.md", PAGES["intro.md"].replace("a moment", "two moments"))
    await site.ingest()
    assert site.provider.stats().embeddings.texts["Which port does it listen on?"] == 1


async def test_without_the_provider_both_releases_are_asked_by_words_alone(site: Site) -> None:
    await site.ingest()
    site.write("golden.yaml", GOLDEN)
    site.remove("guide/run.md")
    site.provider.fault("embeddings", "unauthorized")
    job = await site.ingest()
    assert (job.state, (await site.services.releases.get(2)).state) == (JobState.SUCCEEDED, "held")


async def test_another_embedding_model_passes_the_gate_too(site: Site, opened: OpenServices) -> None:
    site.write("golden.yaml", GOLDEN)
    await site.ingest()
    site.provider.set_dimensions(24)
    async with open_site(opened, site.provider, site.root, openai_embedding_model="stand-in-large") as other:
        assert (await other.ingest()).reason == "release 2 is live"
        lose_the_port(other)
        job = await other.ingest()
    assert job.reason is not None
    assert job.reason.startswith("release 3 is held back")
    assert (await site.live()).number == 2


async def test_a_worker_that_dies_after_holding_back_ends_the_same(site: Site) -> None:
    site.write("golden.yaml", GOLDEN)
    await site.ingest()
    lose_the_port(site)
    job = await site.services.jobs.create(".", force=False)
    await site.services.queue.plan(job.id)
    while site.queue.messages[0][0] != "ingest.publish":
        task, payload = site.queue.messages.popleft()
        await deliver(site.services, task, payload, "m")
    message = site.queue.messages[0]
    await deliver_all(site.services)
    done = await site.services.jobs.get(job.id)
    await site.services.jobs.save(job)  # as it stood before: nothing but the release was written
    await deliver(site.services, *message, "again")
    await site.services.queue.plan(job.id)
    await deliver_all(site.services)
    again = await site.services.jobs.get(job.id)
    assert (again.state, again.reason, again.release) == (done.state, done.reason, done.release)
    assert (await site.live()).number == 1
    assert await site.numbers() == [1, 2]


async def test_more_pages_than_the_gate_looks_at_may_push_an_answer_out(site: Site) -> None:
    site.write("golden.yaml", GOLDEN)
    await site.ingest()
    for number in range(2 * TOP):
        site.write(f"ports/{number:02}.md", f"# Which port does it listen on?\n\nIt does listen on port {number}.\n")
    job = await site.ingest()
    assert job.totals["questions_lost"] == 1
    assert (await site.live()).number == 1


async def test_questions_that_are_for_the_evaluation_alone_are_not_asked(site: Site) -> None:
    refused = "- {question: What of Mordor?, refuse: true}\n"
    follow_up = "- {question: And then?, expect: intro.md, history: [{question: How?}]}\n"
    site.write("golden.yaml", GOLDEN + refused + follow_up)
    job = await site.ingest()
    assert (job.reason, job.faults) == ("release 1 is live", ())
    assert (job.totals["questions_asked"], job.totals["questions_answered"]) == (2, 2)
