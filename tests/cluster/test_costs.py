"""config/costs.yaml: what is misspelt there ends an estimate with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from avbalance.cluster.costs import COSTS, load_costs
from avbalance.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_number_names_its_source() -> None:
    costs = load_costs(REPOSITORY)
    sources = [each.source for each in (*costs.clips.values(), *dict(costs.limits).values())]
    sources += [each.source for each in (costs.gpu_speedup, costs.feature_core_s, costs.job_start_s, costs.run_mb)]
    assert len(sources) > 20 and all(sources)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("gpu_speedup:", "gpu_speed_up:", "unknown key 'gpu_speed_up'; did you mean 'gpu_speedup'"),
        ("cremad: {train:", "cremad: {trian:", "clips.cremad: unknown key 'trian'; did you mean 'train'"),
        ("  twin-han: {any", "  twinhan: {any", "there is no network 'twinhan'; did you mean 'twin-han'"),
        (
            "{any: 1.0, cremad: 0.17, source: m",
            "{any: 1.0, cremda: 0.17, source: m",
            "unknown key 'cremda'; did you mean 'cremad'",
        ),
        (
            "psp: {any: 0.008",
            "psp: {any: fast",
            "train_core_s.psp.any: is 'fast'; seconds are numbers, a source is text",
        ),
        ("psp: {any: 0.008, source", "psp: {source", "train_core_s.psp: lacks any"),
        ("store_gb: {at: 1000", "store_gb: {at: -1", "limits.store_gb.at: is -1; it must be greater than 0"),
        ("  dag_jobs:", "  dag_job:", "unknown key 'dag_job'; did you mean 'dag_jobs'"),
    ],
)
def test_what_is_misspelt_is_told(old: str, new: str, told: str, tmp_path: Path) -> None:
    text = (REPOSITORY / COSTS).read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / COSTS
    path.parent.mkdir()
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError) as error:
        load_costs(tmp_path)
    assert str(error.value).startswith(COSTS) and told in str(error.value)
