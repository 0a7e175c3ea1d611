"""Comparisons of the two modalities' own heads: kind by_seed_weaker.

Keys: dataset, before and after (runs), metrics ([of the audio head, of the visual head]); checkpoint, split as in
by_seed. The head that is weaker `before`, on the mean over the common seeds, gains more from `before` to `after` than
the other one.
"""

from __future__ import annotations

import numpy as np

from avbalance.evaluation.comparisons import Block, metric_text, place_of
from avbalance.evaluation.evidence import Evidence, NotTestable
from avbalance.evaluation.outcomes import Outcome, Trial, trial_of


def by_seed_weaker(evidence: Evidence, block: Block, protocol: str) -> list[Trial]:
    """The one comparison of a block of kind by_seed_weaker."""
    role, metrics = str(block["dataset"]), [str(metric) for metric in block["metrics"]]
    runs = [str(block[side]) for side in ("before", "after")]
    label, names = evidence.paper.dataset(role).label, [evidence.paper.label(run) for run in runs]
    change = f"from {names[0]} to {names[1]}"
    try:
        before, after = ([evidence.measured(role, run, metric, place_of(block)) for metric in metrics] for run in runs)
        common = sorted(set.intersection(*(set(series) for series in (*before, *after))))
        if not common:
            raise NotTestable("its runs have no seed in common")
        evidence.refuse_unfit(role, runs, common)
        n = min(series[seed].n for series in (*before, *after) for seed in common)
        weak = int(np.argmin([np.mean([series[seed].values[0] for seed in common]) for series in before]))
        gains = [{seed: after[head][seed].values - before[head][seed].values for seed in common} for head in (0, 1)]
        effects = {seed: gains[weak][seed] - gains[1 - weak][seed] for seed in common}
        text = f"{metric_text([metrics[weak]])}, the weaker before, gains more than {metric_text([metrics[1 - weak]])}"
        return [trial_of(Outcome(f"{label}: {text} {change}"), effects, n, evidence.min_n, f"of {label}")]
    except NotTestable as error:
        return [Trial(Outcome(f"{label}: the weaker head gains more {change}", reason=str(error)))]
