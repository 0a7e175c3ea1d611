from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Literal

import numpy as np

from avbalance.declared import Metric, Run
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.kinds import Pair, UnderOneCondition
from avbalance.evaluation.outcomes import NotTestable, Outcome, Trial, attempt, trial_of
from avbalance.evaluation.weighted_sums import metric_text


class BySeedWeaker(UnderOneCondition):
    """Gains of the modalities' own heads; the weaker one is weaker before, on the mean over the common seeds."""

    kind: Literal["by_seed_weaker"]
    """gain of the weaker head - gain of the other"""
    before: Run
    """run from which the heads gain"""
    after: Run
    """run to which they gain"""
    metrics: Pair[Metric]
    """score of the audio head, score of the visual head"""

    def scores(self) -> Iterable[tuple[str, str, str]]:
        return itertools.product([self.dataset], [self.before, self.after], self.metrics)

    def trials(self, evidence: Evidence, protocol: str) -> list[Trial]:
        runs, metrics = [self.before, self.after], self.metrics
        label, names = evidence.label(self.dataset), [evidence.paper.label(run) for run in runs]
        change = f"from {names[0]} to {names[1]}"

        def trial() -> Trial:
            before, after = (
                [evidence.measured(self.dataset, run, metric, self.place) for metric in metrics] for run in runs
            )
            common = sorted(set.intersection(*(set(series) for series in (*before, *after))))
            if not common:
                raise NotTestable("its runs have no seed in common")
            evidence.failed.check(self.dataset, runs, common)
            n = min(series[seed].n for series in (*before, *after) for seed in common)
            # On the mean over seeds, so that the same head is the weaker one under all of them.
            weak = int(np.argmin([np.mean([series[seed].values[0] for seed in common]) for series in before]))
            gains = [{seed: after[head][seed].values - before[head][seed].values for seed in common} for head in (0, 1)]
            effects = {seed: gains[weak][seed] - gains[1 - weak][seed] for seed in common}
            weaker, other = metric_text([metrics[weak]]), metric_text([metrics[1 - weak]])
            bare = Outcome(f"{label}: {weaker}, the weaker before, gains more than {other} {change}")
            return trial_of(bare, effects, n, evidence.statistics.min_n, f"of {label}")

        return [attempt(Outcome(f"{label}: the weaker head gains more {change}"), trial)]
