"""What a plan asks of data: passes over the media of a data set."""

from __future__ import annotations

from pathlib import Path

from avbalance.plan.plan import load_plan

REPOSITORY = Path(__file__).parents[2]
SLUG = "balanced-audiovisual"
PARSING = "avvp-gradient-modulation"


def test_a_data_set_used_with_several_recipes_is_read_in_several_passes() -> None:
    further = {"data": {"visual_recipe": "fps1-middle-48-4s"}}
    shared = {"datasets": {"cremad": "synthetic-balanced"}, "roles": {"cremad": {"settings": further}}}
    plan = load_plan(REPOSITORY, {"tier": "demo", "papers": {SLUG: {}, PARSING: shared}})
    jobs = [job for job in plan.feature_jobs if job.dataset == "synthetic-balanced"]
    assert [job.id for job in jobs] == ["synthetic-balanced", "synthetic-balanced/2"]
    assert jobs[0].recipes == {"audio": "logmel32x64-4s", "visual": "fps1-middle-32-4s"}
    assert jobs[1].recipes == {"audio": "logmel32x64-2s", "visual": "fps1-middle-48-4s"}
    files = [path for job in plan.feature_jobs for path in plan.feature_files(job)]
    assert len(files) == len(set(files)) and set(files) <= set(plan.artifacts())
    own = plan.paper_record(PARSING)["datasets"]["cremad"]["features"]
    assert own["visual"].endswith("/synthetic-balanced/visual-fps1-middle-48-4s/index.parquet")
    others = plan.paper_record(SLUG)["datasets"]["balanced"]["features"]
    assert others["visual"].endswith("/synthetic-balanced/visual-fps1-middle-32-4s/index.parquet")
