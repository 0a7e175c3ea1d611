"""The modules behind each step, by the names that declarations use: a digest of them is the step's code."""

from __future__ import annotations

from collections.abc import Iterable

from avbalance.data import DEFAULT_TASK

TRAINING = "avbalance.training.cell"
BUILDER = ("avbalance.balancing.build", "avbalance.methods.unimodal", "avbalance.models.unimodal_net")


def module_name(name: str) -> str:
    """`ogm-ge` lives in ogm_ge."""
    return name.replace("-", "_")


def training_entries(parts: Iterable[tuple[str, str | None, str | None]]) -> list[str]:
    """Modules behind the training of a cell: the loop, and method, model and task of its runs; no task: the default."""
    methods, further = set[str](), set[str]()
    for method, model, task in parts:
        methods.add(f"avbalance.methods.{module_name(method)}")
        further.add(f"avbalance.models.{module_name(str(model))}")
        further.add(f"avbalance.training.tasks.{module_name(task or DEFAULT_TASK)}")
    return [TRAINING, *sorted(methods), *sorted(further)]


def combining_entries(method: str) -> list[str]:
    """Modules behind a combination of runs."""
    return ["avbalance.evaluation.combine", f"avbalance.methods.{module_name(method)}"]


def source_entries(kind: str) -> tuple[str, ...]:
    """Modules behind a manifest: the step, and the source of its kind."""
    source = f"avbalance.data.sources.{module_name(kind)}"
    return (*BUILDER, source) if kind == "built" else ("avbalance.data.build", source)
