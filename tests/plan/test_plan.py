"""The plans of the repository's own tiers: made without torch, whole, and free of doubles."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from avbalance.plan.plan import load_plan

REPOSITORY = Path(__file__).parents[2]
TIERS = sorted(path.stem for path in (REPOSITORY / "config" / "tiers").glob("*.yaml"))


def test_planning_never_imports_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from avbalance.plan.plan import load_plan\n"
        f"plan = load_plan(Path({str(REPOSITORY)!r}), {{'tier': 'demo'}})\n"
        "for cell in plan.cells: plan.cell_spec(cell), plan.cell_files(cell), plan.cell_inputs(cell)\n"
        "for name in plan.datasets: plan.dataset_spec(name)\n"
        "for job in plan.feature_jobs: plan.feature_spec(job)\n"
        "plan.training_code(plan.cells[0]); plan.preflight()\n"
        "print(len(plan.cells), [name for name in ('torch', 'pandas', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    count, rest = done.stdout.split(" ", 1)
    assert int(count) > 5 and rest.strip() == "[]"


@pytest.mark.parametrize("tier", TIERS)
def test_every_tier_has_a_plan_without_doubles(tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = load_plan(REPOSITORY, {"tier": tier})
    files = [path for cell in plan.cells for path in plan.cell_files(cell)]
    files += [path for cell in plan.combinations for path in plan.cell_files(cell)]
    assert files and len(files) == len(set(files))
    ids = [cell.id for cell in plan.cells]
    assert len(ids) == len(set(ids))
    if tier == "smoke":
        assert len(ids) <= 25, "processes that import torch, which takes longer than these trainings"
    for cell in plan.cells:
        # what a cell reads of other runs is made by another cell
        assert set(plan.cell_inputs(cell)) <= set(files) - set(plan.cell_files(cell))
    for cell in plan.combinations:
        assert plan.combination_inputs(cell) and set(plan.combination_inputs(cell)) <= set(files)
