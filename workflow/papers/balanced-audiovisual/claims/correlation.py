from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from avbalance.analysis.statistics import weighted_spearman
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.kinds import OnSets
from avbalance.evaluation.outcomes import Outcome, Trial, attempt, trial_of
from avbalance.evaluation.rows import ESTIMATED, PLANTED


class Correlation(OnSets):
    """Spearman's correlation of estimated and planted discrepancy over the test clips of every data set."""

    kind: Literal["correlation"]
    """correlation - at_least"""
    at_least: float
    """what the correlation must exceed"""

    def on(self, evidence: Evidence, role: str, protocol: str) -> Iterator[Trial]:
        label, bound = evidence.label(role), self.at_least
        bare = Outcome(f"{label}: Spearman(estimated, planted discrepancy) - {bound:g}", unit="rho")

        def trial() -> Trial:
            planted = evidence.discrepancy(role, PLANTED)
            weights = evidence.weights(role, len(planted))
            names = evidence.matched_seeds(role, ESTIMATED)
            evidence.failed.check(role, evidence.estimators(ESTIMATED), names)
            values = {
                seed: weighted_spearman(evidence.discrepancy(role, name), planted, weights) - bound
                for seed, name in names.items()
            }
            return trial_of(bare, values, len(planted), evidence.statistics.min_n, f"of {label}")

        yield attempt(bare, trial)
