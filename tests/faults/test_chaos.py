"""Random faults while editions of a site follow each other; `make chaos` does the same for much longer."""

from __future__ import annotations

from tests.faults.chaos import Chaos, run_chaos
from tests.faults.lab import IN_HAND, Lab


def test_under_random_faults_nothing_is_lost_doubled_left_over_or_half_seen(lab: Lab) -> None:
    site = lab.new_site(pages=30)
    outcome = run_chaos(lab.cluster, site, Chaos(seed=1, kills=2, faults_a_job=4, pause=(0.5, 1.5)))
    assert outcome.faults == []
    assert (outcome.lost, outcome.duplicates, outcome.orphans, outcome.wrong_vectors) == (0, 0, 0, 0)
    assert outcome.index.reads
    assert outcome.api.reads
    assert outcome.sent_in_peace == outcome.needed_in_peace
    # Faults are many here for so short a run; `make chaos` holds the spending to a ratio.
    assert outcome.sent - outcome.needed <= len(outcome.injections) * IN_HAND
