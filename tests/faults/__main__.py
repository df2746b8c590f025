"""`python -m tests.faults`, or `make chaos`: the long run, whose result goes to benchmarks/chaos.md."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.faults.chaos import FAULTS_A_JOB, SHARE_OF_KILLS, Chaos, run_chaos
from tests.faults.cluster import running_cluster
from tests.faults.editions import Site
from tests.faults.injections import FAULTS, KILLS
from tests.faults.report import passes, report
from tests.stand_in.fixtures import provider_process


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Break everything at random and check what must hold.")
    parser.add_argument("--seed", type=int, nargs="+", default=[1, 2, 3, 4], help="a run for each")
    parser.add_argument("--kills", type=int, default=200, help="processes to kill, in all runs together")
    parser.add_argument("--pages", type=int, default=60, help="pages of the site")
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="FAULT", help="by name")
    parser.add_argument("--faults-a-job", type=int, default=FAULTS_A_JOB)
    parser.add_argument("--share-of-kills", type=float, default=SHARE_OF_KILLS, help="of the faults; 0 to 1")
    parser.add_argument("--write", type=Path, help="a Markdown file for the result")
    given = parser.parse_args(arguments)
    if not 0 < given.share_of_kills < 1 or not set(given.faults) & set(KILLS) or not set(given.faults) - set(KILLS):
        parser.error("there must be faults that kill and others, and a share of kills between 0 and 1")
    outcomes = []
    for seed in given.seed:
        settings = Chaos(
            seed, -(-given.kills // len(given.seed)), given.faults, given.share_of_kills,
            faults_a_job=given.faults_a_job,
        )  # fmt: skip
        with ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(prefix="chaos-"))
            print(f"seed {seed}; logs: {folder}", flush=True)
            provider, _ = stack.enter_context(provider_process())
            cluster = stack.enter_context(running_cluster(folder / "cluster", provider))
            outcomes.append(run_chaos(cluster, Site(cluster.docs, given.pages, seed), settings))
        if passes(outcomes[-1]):
            shutil.rmtree(folder)  # the logs of a run that went wrong stay
        print(report(outcomes), flush=True)
    if given.write:
        given.write.write_text(report(outcomes), encoding="utf-8")
    return 0 if all(passes(outcome) for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
