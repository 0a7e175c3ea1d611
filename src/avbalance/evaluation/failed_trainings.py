"""Which trainings did not learn or not converge, so that nothing can be told from them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from avbalance.errors import UserError
from avbalance.evaluation.measure import read_measurements
from avbalance.evaluation.outcomes import NotTestable
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.rows import NO_SUBSET

MEANING = {"learned": "did not learn", "converged": "did not converge"}  # metric that is 0 -> what it means


class FailedTrainings:
    """`of`: (data set, run, seed) -> what went wrong, from a training's own rows of the metrics in MEANING.

    Its rows under cross-fitting are about the two runs that stand in for it, which have rows of their own.
    """

    def __init__(self, paper: Paper, measurements: str | Path | None) -> None:
        """Read measurements.parquet; raises UserError when it lacks a run of the paper."""
        self.paper = paper
        self.of: dict[tuple[str, str, int], str] = {}
        if measurements is None:
            return
        frame = read_measurements(measurements)
        keys = list(zip(frame["dataset"].astype(str), frame["run"].astype(str), frame["seed"].astype(int), strict=True))
        # Otherwise a run that was added since would pass for one that has learnt.
        for data, run, seed in sorted({(run.dataset, run.run, run.seed) for run in paper.runs} - set(keys)):
            raise UserError(
                f"{measurements}: holds nothing of {run} with seed {seed} on {data}; it was made from other runs or "
                "another tier: measure again."
            )
        told = (frame["value"] == 0) & (frame["protocol"] == NO_SUBSET)
        for metric in reversed(MEANING):  # of a run that neither learned nor converged: it did not learn
            for place in (told & (frame["metric"] == metric)).to_numpy().nonzero()[0]:
                self.of[keys[place]] = MEANING[metric]

    def check(self, role: str, runs: Iterable[str], seeds: Iterable[int]) -> None:
        """Raise NotTestable when a seed of what a comparison rests on did not learn, or half of its seeds not converge.

        Of all its seeds: to leave out those that failed would be to select. A comparison is about their mean, which one
        seed that still moves leaves at rest; whether one does is itself chance.
        """
        info, seeds = self.paper.dataset(role), sorted(seeds)
        for run in dict.fromkeys(runs):
            failed = {seed: self.of[key] for seed in seeds if (key := (str(info.data), run, seed)) in self.of}
            lost = [seed for seed, what in failed.items() if what == MEANING["learned"]]
            if lost or (failed and 2 * len(failed) >= len(seeds)):
                seed = (lost or list(failed))[0]
                raise NotTestable(f"{self.paper.label(run)} {failed[seed]} with seed {seed} on {info.label}")
