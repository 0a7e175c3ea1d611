from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np

from avbalance.analysis.statistics import Floats, weighted_mean
from avbalance.analysis.subsets import ANNOTATIONS, OVERALL
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.kinds import OnSets, Subset
from avbalance.evaluation.outcomes import Outcome, Trial, attempt, trial_of
from avbalance.evaluation.published import Key
from avbalance.evaluation.rows import ACCURACY, CROSS_FITTED, HALVES, PLANTED

PREFERRED = ("audio_preferred", "visual_preferred")


class Share(OnSets):
    """Share of the clips in one subset against a multiple of that in another.

    By estimate, every seed has its own unimodal models; what is planted or annotated needs no training, so that only
    clips vary.
    """

    kind: Literal["share"]
    """share of clips in `higher` - factor * that in `lower`, in points"""
    higher: Subset
    """subset that is claimed to be larger"""
    lower: Subset
    """subset that it is compared with"""
    factor: float
    """how many times as large it is claimed to be"""

    def on(self, evidence: Evidence, role: str, protocol: str) -> Iterator[Trial]:
        label = evidence.label(role)
        shares = implied_share(evidence.published, label)
        known = bool(shares) and (self.higher, self.lower) == PREFERRED
        bare = Outcome(
            f"{label}: {self.higher} holds more than {self.factor:g} times the clips of {self.lower}",
            published=100 * ((1 + self.factor) * float(np.median(shares)) - self.factor) if known else None,
        )

        def trial() -> Trial:
            names = [*HALVES] if protocol == CROSS_FITTED else [protocol]
            parts = [self._leads(evidence, role, name) for name in names]
            values = {seed: np.mean([part[seed] for part, _ in parts], axis=0) for seed in parts[0][0]}
            evidence.failed.check(role, evidence.estimators(protocol), values)
            trained, least = protocol not in (PLANTED, ANNOTATIONS), evidence.statistics.min_n
            return trial_of(bare, values, parts[0][1], least, f"of {label}", trained)

        yield attempt(bare, trial)

    def _leads(self, evidence: Evidence, role: str, definition: str) -> tuple[dict[int, Floats], int]:
        """Seed -> effect under every drawing; the number of clips."""
        values, n = {}, 0
        for seed in evidence.matched_seeds(role, definition):
            inside, high, low = (
                evidence.mask(role, name, definition, seed) for name in (OVERALL, self.higher, self.lower)
            )
            assert inside is not None and high is not None and low is not None
            n = int(inside.sum())
            lead = 100.0 * (high - self.factor * low.astype(np.float64))
            values[seed] = weighted_mean(evidence.weights(role, len(inside))[:, inside], lead[inside])
        return values, n


def implied_share(values: Mapping[Key, float], dataset: str) -> list[float]:
    """Audio-preferred share r that each published row implies: overall = r * audio + (1 - r) * visual.

    One value per run that has all three accuracies, in the order of the file. Rows that disagree come from
    different subsets, splits or checkpoints in the paper.
    """
    shares = []
    for run in dict.fromkeys(key[1] for key in values if key[0] == dataset and key[3:] == (ACCURACY,)):
        overall, audio, visual = (values.get((dataset, run, subset, ACCURACY)) for subset in (OVERALL, *PREFERRED))
        if overall is not None and audio is not None and visual is not None and audio != visual:
            shares.append((overall - visual) / (audio - visual))
    return shares
