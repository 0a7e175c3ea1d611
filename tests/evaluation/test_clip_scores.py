"""Scores of single clips have the means that measurements and tables show."""

from __future__ import annotations

from pathlib import Path

import pytest
from parsing_files import made_up_paper

from avbalance.evaluation.clip_scores import clip_scores
from avbalance.evaluation.measure import measure, read_measurements


def test_scores_of_clips_have_the_means_that_tables_show(tmp_path: Path) -> None:
    paper = made_up_paper(tmp_path, {"ours": (0,)})
    measure(paper, {}, tmp_path / "measurements.parquet")
    rows = read_measurements(tmp_path / "measurements.parquet")
    checked = 0
    for run in paper.runs:
        for place, scores in clip_scores(run).items():
            own = rows[(rows["dataset"] == run.dataset) & (rows["run"] == run.run)]
            for key, value in place._asdict().items():
                own = own[own[key] == value]
            for metric, value in zip(own["metric"], own["value"], strict=True):
                assert scores.of[metric].mean() == pytest.approx(value)
                checked += 1
    assert checked == 48  # 17 metrics of two versions of the truth, and accuracies
    chosen = (rows["run"] == "no-event") & (rows["metric"] == "average") & (rows["protocol"] == "none")
    (nothing,) = rows.loc[chosen, "value"]
    guess = next(scores.guess for place, scores in clip_scores(paper.runs[0]).items() if place.protocol == "none")
    assert guess["average"].mean() == pytest.approx(nothing)
