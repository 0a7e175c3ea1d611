"""Where a number stands in the measurements of a paper, and the names that each of its coordinates may have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from avbalance.analysis.conditions import CONDITIONS, LEVELS, PROBES, SILENCES
from avbalance.analysis.learning import QUANTITIES, VERDICTS
from avbalance.analysis.parsing_scores import ALONE, MEANS, METRICS
from avbalance.analysis.subsets import canonical_subset, subset_names
from avbalance.declared import Known, check_name, named
from avbalance.evaluation.rows import ACCURACY, BOTH, CHANCE, HEADS

# Coordinates that may be left out, with what they then are; dataset, run and subset may not.
SELECT = {"split": "test", "condition": BOTH, "protocol": "estimated", "checkpoint": "selected", "metric": ACCURACY}
COORDINATES = ("dataset", "run", "subset", *SELECT)
TRAINING = (*VERDICTS, *QUANTITIES)  # metrics about how a run was trained
GENERATORS = "generators"  # in place of a data set: those of the same generator under other seeds


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


def coordinates_of(measures: Mapping[str, Any], known: Known) -> dict[str, Collection[str]]:
    """Coordinate -> the names that it may have where a paper has these `measures`.

    known: the paper's data sets and runs, as kinds "data set" and "run".
    """
    metrics = [ACCURACY, *measures.get("metrics", ())]
    heads = [f"{metric}_{head}" for metric in metrics for head in HEADS if measures.get("heads")]
    withheld = [name for name, condition in CONDITIONS.items() if condition.modality]
    entered = [*LEVELS, *SILENCES, *(f"{level}+{silence}" for level in LEVELS for silence in SILENCES)]
    return {
        "dataset": known["data set"],
        "run": known["run"],
        "subset": subset_names(measures.get("thresholds", ())),
        "split": get_args(Split),
        "condition": [*CONDITIONS, *PROBES, "none", *(f"{name}@{place}" for name in withheld for place in entered)],
        "protocol": get_args(Protocol),
        "checkpoint": ["selected", "last", "best-test", "none"],
        "metric": [*metrics, *heads, CHANCE, *TRAINING, *METRICS, *MEANS, *ALONE],
    }
