"""The estimate of what a plan costs: hand-worked numbers, records before assumptions, limits that are met."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avbalance.cluster.costs import load_costs
from avbalance.cluster.estimate import SCALES, PlanCosts, lines
from avbalance.errors import UserError
from avbalance.plan.plan import Plan, load_plan

REPOSITORY = Path(__file__).parents[2]
KS = {"kinetics-sounds": "kinetics-sounds", "vggsound": None, "balanced": None}
RUN = "balanced-audiovisual/kinetics-sounds/baseline/seed0"


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Kinetics-Sounds of one paper, one seed."""
    papers = {"balanced-audiovisual": {"datasets": KS}}
    return load_plan(REPOSITORY, {"tier": "paper", "name": "estimated", "papers": papers, "seeds": [0]})


def job_of(plan: Plan, folder: str):
    return next(job for cell in plan.cells for job in cell.jobs if job.folder == folder)


def test_time_of_a_training_is_that_of_its_clips(plan):
    clips = load_costs(REPOSITORY).clips["kinetics-sounds"]
    assert (clips.train, clips.evaluated) == (14799, 1320 + 2597)
    # 100 epochs of 14,799 clips and 0.33 x 3,917 evaluated ones: core-seconds, a hundredth of them on a GPU; start 20 s
    expected = (100 * (14799 + 0.33 * 3917) * 1.0 / 100 + 20) / 3600
    assert PlanCosts(plan).run_hours(job_of(plan, RUN)) == pytest.approx(expected)


def test_ten_times_the_clips_take_ten_times_the_store(plan):
    now, then = PlanCosts(plan), PlanCosts(plan, 10)
    assert then.store_gb("kinetics-sounds") == pytest.approx(10 * now.store_gb("kinetics-sounds"))
    frames, bins = 10 * 256 * 256 * 3, 257 * 1091
    assert now.store_gb("kinetics-sounds") == pytest.approx(18716 * (frames + 2 * bins) / 1e9, rel=0.01)
    assert then.total.jobs == now.total.jobs, "jobs are cells, not clips"


def test_a_record_counts_before_an_assumption(plan, tmp_path):
    moved = Plan(tmp_path, plan.config, plan.papers, plan.rows)
    for name in ("config", "profiles", "workflow"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    folder = tmp_path / moved.runs / RUN
    folder.mkdir(parents=True)
    record = folder / "record.json"
    record.write_text(json.dumps({"wall_s": 7200.0, "device": {"kind": "cuda"}}))
    estimate = PlanCosts(moved)
    assert estimate.run_hours(job_of(moved, RUN)) == pytest.approx(2.0)
    assert estimate.total.measured == 1
    record.write_text(json.dumps({"wall_s": 7200.0, "device": {"kind": "cpu"}}))
    assert PlanCosts(moved).total.measured == 0, "a processor's time says nothing of a GPU's"


def test_what_gives_way_is_named_with_what_to_do(plan):
    now, far = (PlanCosts(plan, scale).strains() for scale in (1, 100))
    assert not next(strain for strain in now if strain.name == "store_gb").exceeded
    store = next(strain for strain in far if strain.name == "store_gb")
    assert store.exceeded and "smaller visual recipe" in store.then
    assert [strain.value / strain.limit for strain in far] == sorted(
        (strain.value / strain.limit for strain in far), reverse=True
    )


def test_the_paper_tier_of_all_papers_has_an_estimate():
    plan = load_plan(REPOSITORY, {"tier": "paper"})
    said = "\n".join(lines(plan))
    assert all(slug in said for slug in plan.papers)
    assert all(f"With {scale} times the clips" in said for scale in SCALES)
    known = load_costs(REPOSITORY).train_core_s
    models = {cell.row.settings["model"]["name"] for cell in plan.cells}
    assert {"fusion-net", "mmtm-net", "unimodal-net", "han", "psp"} <= models & known.keys()


def test_an_unknown_data_set_is_told(plan):
    estimate = PlanCosts(plan)
    with pytest.raises(UserError, match=r"config/costs.yaml: nothing is known of the data set mine"):
        estimate.store_gb("mine")
