"""What Flower shows of a task's arguments."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from celery import Celery
from celery.events.state import Task
from celery.utils.saferepr import saferepr

from shared.queue import SHARD_TASK, Queue
from worker.task_view import MOST_CHARACTERS, show_task, shown_arguments


class KeptQueue(Queue):
    """Keeps the last message as Celery shows it to Flower."""

    async def _send(self, task: str, payload: dict[str, Any], *, first: bool = False) -> bool:
        self.shown = saferepr(payload, Celery().amqp.kwargsrepr_maxsize)
        self.payload = payload
        return True


@pytest.fixture
def queue() -> KeptQueue:
    return KeptQueue(Celery())


async def test_a_plan_shows_its_job_and_source(queue: KeptQueue) -> None:
    await queue.plan("job_1", "guide")
    assert shown_arguments(queue.shown) == "job_1, source guide"


async def test_a_shard_shows_how_many_pages_it_has_and_names_the_first(queue: KeptQueue) -> None:
    await queue.shard("job_1", "5b0c", [f"guide/{number}.md" for number in range(12)], ".")
    assert shown_arguments(queue.shown) == (
        "job_1, 12 pages: guide/0.md, guide/1.md, guide/2.md and 9 more, source ., shard 5b0c"
    )


@pytest.mark.parametrize(
    ("pages", "shown"),
    [(["a.md"], "1 page: a.md"), (["a.md", "b.md", "c.md"], "3 pages: a.md, b.md, c.md")],
)
async def test_pages_that_are_all_named_are_counted_too(queue: KeptQueue, pages: list[str], shown: str) -> None:
    await queue.shard("job_1", "5b0c", pages, "guide")
    assert shown_arguments(queue.shown) == f"job_1, {shown}, source guide, shard 5b0c"


async def test_long_paths_are_shown_by_their_ends_and_counted_in_full(queue: KeptQueue) -> None:
    pages = [f"{'folder/' * 60}{number}-é.md" for number in range(50)]
    await queue.shard("j" * 36, "5b0c5b0c5b0c", pages, "source/" * 60)
    shown = shown_arguments(queue.shown)
    assert "50 pages: …" in shown
    assert "folder/0-é.md, …" in shown
    assert "/2-é.md and 47 more, source …" in shown
    assert shown.endswith("/source/, shard 5b0c5b0c5b0c")


async def test_a_message_without_a_source_or_a_total_is_shown_as_well() -> None:
    assert shown_arguments("{'job': 'j', 'shard': 's', 'pages': ['a.md', 'b.md']}") == "j, 2 pages: a.md, b.md, shard s"


@pytest.mark.parametrize("kwargs", ["{}", "", "{'x': 1}", "{'job': 'cut of", "[1, 2]", "os.system('true')"])
def test_what_is_no_message_of_ours_is_shown_as_it_is(kwargs: str) -> None:
    assert shown_arguments(kwargs) == kwargs


def test_arguments_that_are_not_ours_are_cut_to_a_line() -> None:
    assert shown_arguments("x" * 5000) == "x" * (MOST_CHARACTERS - 1) + "…"


def test_a_task_whose_arguments_are_not_known_is_shown() -> None:
    assert show_task(Task(uuid="1", name=SHARD_TASK)).kwargs == ""


def test_the_task_that_flower_keeps_is_not_changed() -> None:
    kept = Task(uuid="1", name=SHARD_TASK, kwargs="{'job': 'j'}")
    assert show_task(copy.copy(kept)).kwargs == "j"
    assert kept.kwargs == "{'job': 'j'}"
