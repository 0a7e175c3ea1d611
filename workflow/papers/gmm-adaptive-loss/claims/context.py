from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from avbalance.analysis.subsets import OVERALL
from avbalance.declared import Metric, Run
from avbalance.errors import UserError
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.kinds import OnOneSet
from avbalance.evaluation.outcomes import Outcome, Trial
from avbalance.evaluation.weighted_sums import label_of, margin_text, metric_text


class Context(OnOneSet):
    """A printed number against the best of other papers' methods that are not trained here; ours are not compared."""

    kind: Literal["context"]
    """the paper's number - the best of other papers"""
    run: Run
    """run whose published number it is"""
    metric: Metric
    """metric of the numbers"""
    at_least: float = 0.0
    """by how much the number must exceed the others; negative where it may fall short"""

    def scores(self) -> Iterable[tuple[str, str, str]]:
        return [(self.dataset, self.run, self.metric)]

    def trials(self, evidence: Evidence, protocol: str) -> list[Trial]:
        label, trained = evidence.label(self.dataset), set(evidence.paper.labels.values())
        rivals = [
            each
            for each in evidence.context
            if (each.dataset, each.metric) == (label, self.metric) and each.run not in trained
        ]
        if not rivals:
            raise UserError(f"claims.yaml: no other paper's {self.metric} on {label} is among the published files.")
        rival = max(rivals, key=lambda each: each.value)
        own = evidence.published_value(self.dataset, self.run, OVERALL, self.metric)
        methods = f"{len(rivals)} method{'s' if len(rivals) > 1 else ''}"
        named = f"the best of {methods} of other papers ({rival.run}, {rival.source})"
        claim = f"{label_of(evidence, self.run)} > {named}{margin_text(self.at_least)}"
        bare = Outcome(
            f"{label}, {metric_text([self.metric])}: {claim}",
            published=None if own is None else own - rival.value - self.at_least,
            context=True,
            reason=f"{label}: {named} is not trained here",
        )
        return [Trial(bare)]
