"""A page that kills every process that reads it."""

from __future__ import annotations

from tests.faults.editions import text_of, write_page
from tests.faults.lab import Lab
from tests.faults.poison.sitecustomize import MARKER

POISON = "part-1/poison.md"
#: Three in its shard's company, then three alone.
MOST_DEATHS = 6
#: What a child that was killed leaves in its worker's log.
DEATH = "exited with 'signal 9 (SIGKILL)'"


def deaths(lab: Lab) -> int:
    return sum(worker.log.read_text(errors="replace").count(DEATH) for worker in lab.cluster.workers)


def test_a_deadly_page_is_set_aside_by_name_and_keeps_no_other_page_back(lab: Lab) -> None:
    with lab.site(pages=20, per_text=0.0) as site:
        site.next_edition()
        lab.completed(lab.cluster.post_ingest())
        before = deaths(lab)

        edition = site.next_edition()
        write_page(lab.cluster.docs / POISON, f"{text_of(POISON, 1, 2)}\n\n{MARKER}\n")
        job = lab.cluster.finished(lab.cluster.post_ingest(), 90)
        assert job["status"] == "completed", job
        assert [error.partition(":")[0] for error in job["errors"]] == [POISON]
        assert "died" in job["errors"][0] or "killed" in job["errors"][0], job["errors"]
        assert 3 <= deaths(lab) - before <= MOST_DEATHS
        assert lab.live().edition == edition

        (lab.cluster.docs / POISON).unlink()
        lab.completed(lab.cluster.post_ingest())
        lab.judge(site)
