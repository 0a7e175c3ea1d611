"""What the plan tells the reports: files of every data set, those of further generator seeds included."""

from __future__ import annotations

from pathlib import Path

from avbalance.evaluation.paper import Paper
from avbalance.plan.plan import load_plan

REPOSITORY = Path(__file__).resolve().parents[2]
SLUG = "balanced-audiovisual"


def test_generator_seeds_come_with_their_files() -> None:
    plan = load_plan(REPOSITORY, {"tier": "demo"})
    paper = Paper.from_dict(plan.paper_record(SLUG))
    further = paper.dataset("balanced").generators
    assert list(further) == ["synthetic-balanced-g1", "synthetic-balanced-g2"]
    for name, info in further.items():
        assert (info.label, info.data, info.manifest) == (name, name, f"data/{name}/manifest.parquet")
        assert info.subsets == f"results/demo/subsets/{SLUG}/{name}.parquet"
        assert set(info.features) == {"audio", "visual"}
        files = {info.manifest, *info.features.values()}
        assert all(f"/{name}/" in path for path in files)
        assert files <= set(plan.fact_files(SLUG))
    assert [info.data for info in paper.all_datasets()] == list(plan.datasets)
