"""The modules behind each step, by the names that declarations use: a digest of them is the step's code."""

from __future__ import annotations

from collections.abc import Iterable

from avbalance.data import DEFAULT_TASK

TRAINING = "avbalance.training.cell"
BUILDER = ("avbalance.balancing.build", "avbalance.methods.unimodal", "avbalance.models.unimodal_net")


def module_name(name: str) -> str:
    """`ogm-ge` lives in ogm_ge."""
    return name.replace("-", "_")


def training_entries(methods: Iterable[str], models: Iterable[str], tasks: Iterable[str | None]) -> list[str]:
    """Modules behind the training of a cell: the loop, its methods, models and tasks (None: the default one)."""
    further = [f"avbalance.models.{module_name(name)}" for name in models]
    further += [f"avbalance.training.tasks.{module_name(name or DEFAULT_TASK)}" for name in tasks]
    own = sorted({f"avbalance.methods.{module_name(name)}" for name in methods})
    return [TRAINING, *own, *sorted(set(further))]


def combining_entries(method: str) -> list[str]:
    """Modules behind a combination of runs."""
    return ["avbalance.evaluation.combine", f"avbalance.methods.{module_name(method)}"]


def source_entries(kind: str) -> tuple[str, ...]:
    """Modules behind a manifest: the step, and the source of its kind."""
    source = f"avbalance.data.sources.{module_name(kind)}"
    return (*BUILDER, source) if kind == "built" else ("avbalance.data.build", source)
