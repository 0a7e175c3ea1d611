"""Where a number stands in the measurements of a paper, and the names that each of its coordinates may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from avbalance.analysis.conditions import CONDITIONS, LEVELS, PROBES, SILENCES
from avbalance.analysis.learning import QUANTITIES, VERDICTS
from avbalance.analysis.subsets import canonical_subset, subset_names
from avbalance.declared import Condition, Declared, Metric, Role, Run, check_name, named
from avbalance.evaluation.measure_metrics import HEADS
from avbalance.evaluation.measure_parsing import MEANS
from avbalance.evaluation.parsing import METRICS
from avbalance.evaluation.rows import ACCURACY, BOTH, CHANCE

GENERATORS = "generators"  # in place of a data set: the data sets of the same generator under other seeds


def _data_or_generators(name: str | None, info: ValidationInfo) -> str | None:
    return name if name in (None, GENERATORS) else check_name("data set", str(name), info.context)


Split = Literal["train", "val", "test"]
Subset = Annotated[str, AfterValidator(canonical_subset), AfterValidator(named("subset"))]
Protocol = Literal[
    "estimated", "cross-fitted", "planted", "annotated", "seed-matched", "none", "repaired", "events",
    "cross-fitted-a", "cross-fitted-b",
]  # fmt: skip
Requires = Annotated[str | None, AfterValidator(_data_or_generators)]
Word = Annotated[str, BeforeValidator(lambda given: str(given) if isinstance(given, int | float) else given)]


class Coordinates(Declared):
    """Where a number stands in the measurements."""

    dataset: Role
    """role of a data set"""
    run: Run
    """run that was measured"""
    subset: Subset
    """clips that were counted: overall, audio_preferred, audio_dominated@0.2, ..."""
    split: Split = "test"
    """part of the data set"""
    condition: Condition = BOTH
    """which modality was replaced, and by what"""
    protocol: Protocol = "estimated"
    """what chose the subset; none: no subset is involved"""
    checkpoint: Literal["selected", "last", "best-test", "none"] = "selected"
    """epoch whose model was measured; none: the number is about the training"""
    metric: Metric = ACCURACY
    """what was measured"""
    generator: str | None = None
    """data set of the same generator under another seed, by its name on disk"""


def measured_names(measures: Mapping[str, Any]) -> dict[str, list[str]]:
    """Kind of name -> the metrics, subsets and conditions that there may be where a paper has these `measures`."""
    metrics = [ACCURACY, *measures.get("metrics", ())]
    heads = [f"{metric}_{head}" for metric in metrics for head in HEADS if measures.get("heads")]
    withheld = [name for name, condition in CONDITIONS.items() if condition.modality]
    where = [*LEVELS, *SILENCES, *(f"{level}+{silence}" for level in LEVELS for silence in SILENCES)]
    return {
        "metric": [*metrics, *heads, CHANCE, *VERDICTS, *QUANTITIES, *METRICS, *MEANS],
        "subset": subset_names(measures.get("thresholds", ())),
        "condition": [*CONDITIONS, *PROBES, "none", *(f"{name}@{place}" for name in withheld for place in where)],
    }
