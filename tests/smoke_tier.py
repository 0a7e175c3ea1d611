"""What the smoke tier makes, and how to look at it: shared by the tests that start from a finished run of it."""

from __future__ import annotations

from pathlib import Path

from workspace import REPOSITORY, Workspace

from avbalance.plan.plan import load_plan

SLUG = "balanced-audiovisual"
RUNS = f"results/smoke/runs/{SLUG}/synthetic-balanced-smoke"
PAPER = f"results/smoke/papers/{SLUG}"
METHODS = (
    "baseline",
    "branch-losses",
    "gradient-blending",
    "gradient-blending-weights",
    "greedy",
    "logistic-regression",
    "ogm-ge",
    "unimodal",
)
TRAINED = len(METHODS) + 1  # offline Gradient-Blending waits for its weights, in a job of its own
TABLES = load_plan(REPOSITORY, {"tier": "smoke"}).report_parts(SLUG)["tables"]
REPORT = {
    "tables": 1,
    "figures": 1,
    "claims": 1,
    "overview": 1,
    "crate": 1,
    "page": 1,
}
ONE_METHOD = {"train": 1, "measure": 1, **REPORT}  # a cell and what follows from its predictions
EVERYTHING = {
    "dataset": 1,
    "features": 1,
    "train": TRAINED,
    "combine": 1,
    "confidence": 1,
    "subsets": 1,
    "measure": 1,
    "losses": 1,
    **REPORT,
}


def contents(root: Path, *folders: str) -> dict[str, bytes]:
    """Every file below some folders, by its path."""
    paths = (path for folder in folders for path in sorted((root / folder).rglob("*")))
    return {str(path.relative_to(root)): path.read_bytes() for path in paths if path.is_file()}


def cell_rule(method: str) -> str:
    return f"train_balanced_audiovisual_synthetic_balanced_smoke_{method.replace('-', '_')}"


def cell_log(method: str) -> str:
    return f"train/{SLUG}/synthetic-balanced-smoke/{method}"


def job_log(workspace: Workspace, name: str) -> str:
    return (workspace.root / "logs" / "smoke" / f"{name}.log").read_text(encoding="utf-8")
