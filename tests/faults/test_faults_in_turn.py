"""Each fault of the stores, the network and the provider strikes a job that is at work; then work goes on."""

from __future__ import annotations

import random

import pytest

from tests.faults.injections import FAULTS, strike
from tests.faults.lab import IN_HAND, Lab

#: What wears on like these, others do sooner.
LEFT_TO_CHAOS = ("slow", "silent")


def of(part: str) -> list[str]:
    return [name for name in FAULTS if name.startswith(part) and not name.endswith(LEFT_TO_CHAOS)]


@pytest.mark.parametrize("part", ["Redis", "Qdrant", "provider"])
def test_work_goes_on_after_each_fault_of_a_part_and_the_index_is_a_clean_run_s(lab: Lab, part: str) -> None:
    chance = random.Random(1)
    with lab.site(pages=40) as site:
        job_id = lab.begin(site)
        for name in of(part):
            if not lab.back_at_work(job_id):
                lab.completed(job_id)
                job_id = lab.begin(site)
            assert strike(lab.cluster, name, chance).struck, name
            lab.cluster.wait_until_well()
        lab.completed(job_id)
        lab.judge(site)
        assert lab.paid_again() <= len(of(part)) * IN_HAND
