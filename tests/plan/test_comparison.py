"""The comparison as it is planned: everybody has as many trials, and nobody is tuned on what is reported."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from avbalance.plan.plan import Plan, load_plan
from avbalance.plan.sheet import Row

REPOSITORY = Path(__file__).parents[2]
SLUG = "comparison"
RATES = {  # of trials, by tier; two trials for each
    "comparison": [0.02, 0.05],
    "comparison-smoke": [0.05],
    "comparison-real": [0.02, 0.05],
    "comparison-paper": [0.001, 0.01],
}


def planned(tier: str) -> Plan:
    return load_plan(REPOSITORY, {"tier": tier})


def tuned(plan: Plan) -> list[Row]:
    return [row for row in plan.rows[SLUG] if row.reports and not row.combine]


@pytest.mark.parametrize("tier", RATES)
def test_every_method_has_as_many_trials_which_differ_and_see_nothing_of_the_test_part(
    tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = planned(tier)
    rows = {(row.dataset, row.run): row for row in plan.rows[SLUG]}
    for row in tuned(plan):
        tried = [rows[row.dataset, name] for name in row.candidates]
        trials = 2 * len(RATES[tier])
        assert len(tried) == trials, row.run
        assert len({str(each.settings) for each in tried}) == trials, row.run
        for each in tried:
            assert each.seeds == (100,) and not each.reports and each.method == row.method
            assert {**each.settings["protocol"], **CHANGED} == {**row.settings["protocol"], **CHANGED}
        rates = sorted({each.settings["protocol"]["learning_rate"] for each in tried})
        assert rates == RATES[tier], row.run
        assert 100 not in row.seeds


CHANGED = {"learning_rate": None, "weight_decay": None}  # what trials change of the protocol


def test_every_method_stands_in_every_table_figure_and_claim() -> None:
    paper = yaml.safe_load((REPOSITORY / f"workflow/papers/{SLUG}/paper.yaml").read_text(encoding="utf-8"))
    listed = next(axis["values"] for axis in paper["tables"][0]["rows"] if axis["key"] == "run")
    assert sorted(listed) == sorted(paper["runs"])
    for entry in (*paper["tables"], *paper["figures"]):
        own = [entry.get("source", entry).get("runs", entry.get("methods")), *_axis_values(entry)]
        assert all(names == listed for names in own if names not in (None, "*")), entry["id"]
    assert paper["each_test"]["left"] == listed


def _axis_values(entry: dict) -> list:
    return [axis["values"] for axis in entry.get("rows", ()) if axis["key"] == "run"]


def test_no_other_tier_makes_the_comparison() -> None:
    for path in (REPOSITORY / "config/tiers").glob("*.yaml"):
        assert (SLUG in yaml.safe_load(path.read_text(encoding="utf-8")).get("papers", {})) == (path.stem in RATES)
