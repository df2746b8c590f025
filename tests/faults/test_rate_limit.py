"""A provider that asks to be left alone is left alone by every worker, not by the one alone that it told."""

from __future__ import annotations

from tests.faults.injections import SECONDS_PER_TEXT, steadily
from tests.faults.lab import Lab
from tests.stand_in.plan import Step

ASKED_SECONDS = 4.0
#: Until the others know; what is on its way meanwhile cannot be called back.
NEWS_SECONDS = 1.0


def test_after_a_429_nobody_asks_before_the_time_that_the_provider_named(lab: Lab) -> None:
    provider = lab.cluster.provider
    with lab.site(pages=12) as site:
        job_id = lab.begin(site, requests=3)
        before = provider.stats().embeddings.requests
        steadily(lab.cluster, Step("rate_limited", 1, {"retry_after": ASKED_SECONDS}), per_text=SECONDS_PER_TEXT)
        refused = provider.wait_until(lambda stats: bool(stats.embeddings.refused), 30).embeddings.times[before]
        lab.completed(job_id)
        after = [at - refused for at in provider.stats().embeddings.times]
        assert [at for at in after if NEWS_SECONDS < at < ASKED_SECONDS] == []
        lab.judge(site)
