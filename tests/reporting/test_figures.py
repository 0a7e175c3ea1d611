"""Figures: what is wrong with a declaration, kinds that are found, and bytes that stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avbalance.errors import UserError
from avbalance.evaluation.paper import Paper
from avbalance.plan.config import load_paper
from avbalance.reporting.figures import check_figures, render_figures

REPOSITORY = Path(__file__).parents[2]
PAPERS = sorted(path.parent.name for path in REPOSITORY.glob("workflow/papers/*/figures.yaml"))
GAPS, PARSING, SUBSETS, RELEVANCE = (
    "gmm-adaptive-loss", "avvp-gradient-modulation", "balanced-audiovisual", "modality-relevance",
)  # fmt: skip


def check(slug: str, figure: str | None = None, **changes: Any) -> None:
    """Check the figures of a paper, one of them with some keys changed."""
    paper = load_paper(REPOSITORY, slug)
    figures = [{**each, **changes} if each["id"] == figure else each for each in paper["figures"]]
    known = {"data set": list(paper["datasets"]), "run": list(paper["runs"])}
    check_figures({**paper, "figures": figures}, known, "figures.yaml")


@pytest.mark.parametrize("slug", PAPERS)
def test_nothing_is_wrong_with_the_figures_of_the_papers(slug: str) -> None:
    check(slug)


CURVE = {"column": "val_acuracy", "label": "fusion", "colour": "#222222"}
RED = {"column": "val_accuracy", "label": "fusion", "colour": "#12345"}
BARS = [{"subset": "visual_prefered", "runs": []}]
SERIES = {"name": "av", "run": "ks-fusion", "condition": "silent-audo", "label": "AV", "colour": "#333333"}


@pytest.mark.parametrize(
    ("slug", "figure", "changes", "told"),
    [
        (SUBSETS, "figure1", {"kind": "discrepancy_mp"}, "kind: there is no 'discrepancy_mp' of figures; did you mean"),
        (GAPS, "figure1", {"kind": "discrepancy_map"}, "kind: there is no 'discrepancy_map' of figures; copy figures"),
        (GAPS, "figure1", {"datasets": ["cremadd"]}, "datasets[1]: there is no data set 'cremadd'; did you mean 'crem"),
        (GAPS, "figure1", {"rows": [{"run": "our", "epoch": "last"}]}, "rows[1].run: there is no run 'our'; did you"),
        (GAPS, "figure1", {"rows": [{"run": "ours", "epoch": "lst"}]}, "rows[1].epoch: is 'lst'; use 'first' or 'las"),
        (GAPS, "figure1", {"runs": [{"run": "ours", "file": "gap.json"}]}, "runs[1].file: is 'gap.json'; use 'predic"),
        (GAPS, "figure4", {"panels": [{"title": "", "curves": [CURVE]}]}, "panels[1].curves[1].column: is 'val_acura"),
        (GAPS, "figure7", {"count": "12"}, "count: is '12'; it must be a valid integer (write 12 without quotes)."),
        (PARSING, "figure5", {"runs": []}, "runs: is []; it must have at least 2 items"),
        (SUBSETS, "figure1", {"split": "trian"}, "split: is 'trian'; use 'train', 'val' or 'test'."),
        (SUBSETS, "figure1", {"bars": BARS}, "bars[1].subset: there is no subset 'visual_prefered'; did you mean"),
        (SUBSETS, "figure1", {"requires": "pol"}, "requires: there is no data set 'pol'; did you mean 'pool'"),
        (SUBSETS, "figure2", {"thresholds": [0.3]}, "thresholds: there is no subset 'audio_dominated@0.3'"),
        (SUBSETS, "figure2", {"protocols": ["planed"]}, "protocols[1]: is 'planed'; use 'estimated', 'cross-fitted'"),
        (RELEVANCE, "figureS1", {"metric": "acuracy"}, "metric: there is no metric 'acuracy'; did you mean"),
        (RELEVANCE, "figureS1", {"conditions": {"audio": ["none"]}}, "conditions.audio[1]: there is no condition 'no"),
        (RELEVANCE, "figure4", {"series": [SERIES]}, "series[1].condition: there is no condition 'silent-audo'; did"),
        (
            GAPS,
            "figure4",
            {"panels": [{"title": "", "curves": [RED]}]},
            "panels[1].curves[1].colour: there is no colo",
        ),
    ],
)
def test_what_is_wrong_with_a_figure_is_told_with_its_place(
    slug: str, figure: str, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError) as error:
        check(slug, figure, **changes)
    assert str(error.value).startswith(f"figures.yaml, {figure}, {told}")


@pytest.mark.parametrize(
    ("slug", "figure", "changes", "told"),
    [
        (GAPS, "figure1", {"rows": [{"run": "heads", "epoch": "last"}]}, "mixtures.json of the run 'heads'"),
        (GAPS, "figure7", {"run": "concat"}, "gaps.json of the run 'concat'"),
        (
            PARSING,
            "figure4",
            {"runs": [{"run": "ours", "file": "history.csv"}]},
            "predictions.parquet of the run 'ours'",
        ),
    ],
)
def test_a_figure_draws_no_file_that_would_not_be_made_for_it(
    slug: str, figure: str, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError) as error:
        check(slug, figure, **changes)
    assert str(error.value) == f"figures.yaml, {figure}: draws {told}; add it to the figure's 'runs'."


def test_figures_are_the_same_bytes_twice(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any], measurements: Path, tmp_path: Path
) -> None:
    names = ("figure2", "figureS1")
    chosen = {**balanced_declarations, "figures": [x for x in balanced_declarations["figures"] if x["id"] in names]}
    written = [render_figures(fabricated_paper, chosen, measurements, tmp_path / name) for name in "ab"]
    kinds = ("svg", "png", "pdf", "tex", "csv")
    assert [path.name for path in written[0]] == [f"{name}.{kind}" for name in names for kind in kinds]
    for first, second in zip(*written, strict=True):
        assert first.stat().st_size > 300 and first.read_bytes() == second.read_bytes()
        assert b"CreationDate" not in first.read_bytes() and b"<dc:date>" not in first.read_bytes()
