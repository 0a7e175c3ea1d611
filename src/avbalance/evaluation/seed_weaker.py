"""Comparisons paired by seed of the two modalities' own heads: kind by_seed_weaker.

Keys: dataset, before and after (runs), metrics ([of the audio head, of the visual head]); checkpoint, split as in
by_seed. The head that is weaker `before`, on the mean over the common seeds, gains more from `before` to `after` than
the other one.
"""

from __future__ import annotations

import numpy as np

from avbalance.evaluation.comparisons import UNTESTABLE, Block, Outcome
from avbalance.evaluation.evidence import Evidence, NotTestable
from avbalance.evaluation.seed_comparisons import PLACE, SeedOutcome, judged, metric_text


def by_seed_weaker(evidence: Evidence, block: Block) -> list[Outcome]:
    """The one comparison of a block of kind by_seed_weaker."""
    role, metrics = str(block["dataset"]), [str(metric) for metric in block["metrics"]]
    runs = [str(block[side]) for side in ("before", "after")]
    place = {key: str(block.get(key, value)) for key, value in PLACE.items()}
    label, names = evidence.paper.dataset(role).label, [evidence.paper.label(run) for run in runs]
    change = f"from {names[0]} to {names[1]}"
    try:
        before, after = ([evidence.measured(role, run, metric, place) for metric in metrics] for run in runs)
        common = sorted(set.intersection(*(set(series) for series in (*before, *after))))
        if not common:
            raise NotTestable("its runs have no seed in common")
        n = min(series[seed][1] for series in (*before, *after) for seed in common)
        if n < evidence.min_n:
            raise NotTestable(f"too few videos: {n} of {label}, fewer than {evidence.min_n}")
        weak = int(np.argmin([np.mean([series[seed][0] for seed in common]) for series in before]))
        gains = [{seed: after[head][seed][0] - before[head][seed][0] for seed in common} for head in (0, 1)]
        effects = {seed: gains[weak][seed] - gains[1 - weak][seed] for seed in common}
        text = f"{metric_text([metrics[weak]])}, the weaker before, gains more than {metric_text([metrics[1 - weak]])}"
        return [judged(f"{label}: {text} {change}", effects, n)]
    except NotTestable as error:
        return [SeedOutcome(f"{label}: the weaker head gains more {change}", UNTESTABLE, reason=str(error))]
