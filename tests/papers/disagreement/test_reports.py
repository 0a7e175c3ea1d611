"""The factorial's tables and figure: planted effects come out, the largest interaction is named, spreads are read."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from avbalance.errors import UserError
from avbalance.evaluation.measure import COLUMNS
from avbalance.evaluation.paper import Paper
from avbalance.papers.disagreement.figures.effects import published_spread
from avbalance.plan.config import load_paper
from avbalance.plan.plan import load_plan
from avbalance.reporting.figures import render_figures
from avbalance.reporting.tables import render_tables
from avbalance.table_files import write_parquet
from flowkeeper.files import canonical_json

REPOSITORY = Path(__file__).parents[3]
SLUG = "disagreement"
DATA = {"released": "mixed-set", "apart": "apart-set"}


def accuracy(seed: int, split: str, optimiser: str, frames: str, dropped: bool, epoch: str) -> float:
    """Adam +2, three frames +1, best on test +3 and last -1, apart -10, and -4 more with three frames."""
    value = 70 + 2 * (optimiser == "adam") + (frames == "3") + {"selected": 0, "last": -1, "best-test": 3}[epoch]
    value -= (10 + 4 * (frames == "3")) * (split == "apart")
    return value + 0.1 * seed * (optimiser == "adam") - 0.5 * seed


def measured(folder: Path, leave_out: str = "") -> tuple[Paper, Path]:
    rows = []
    every = itertools.product(
        (0, 1, 2), DATA, ("sgd", "adam"), ("1", "3"), (False, True), ("selected", "last", "best-test")
    )
    for seed, split, optimiser, frames, dropped, epoch in every:
        run = f"{optimiser}-{frames}{'-dropped' * dropped}"
        value = accuracy(seed, split, optimiser, frames, dropped, epoch)
        key = (DATA[split], run, seed, "test", "overall", "both", "none", epoch, "accuracy", value, 100)
        if run != leave_out:
            rows.append(key)
    path = folder / "measurements.parquet"
    write_parquet(path, pd.DataFrame(rows, columns=list(COLUMNS)))
    record = load_plan(REPOSITORY, {"tier": SLUG}).paper_record(SLUG)
    datasets = {
        role: {"label": info["label"], "describe": "made up", "data": DATA[role]}
        for role, info in record["datasets"].items()
    }
    return Paper.from_dict({**record, "datasets": datasets, "runs": []}), path


@pytest.fixture(scope="module")
def declared() -> dict[str, Any]:
    """The declarations as a job reads them."""
    return json.loads(canonical_json(load_paper(REPOSITORY, SLUG)))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def made(declared: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("disagreement")
    paper, path = measured(folder)
    render_tables(paper, declared, path, folder)
    render_figures(paper, declared, path, folder)
    return folder


def test_planted_effects_stand_in_the_first_table(made: Path) -> None:
    frame = pd.read_csv(made / "table1.csv").pivot(index="choice", columns="quantity", values="ours_mean")
    planted = {
        "last epoch": -1,
        "best on the test part": 3,
        "Adam": 2.1,
        "three frames": 1 - 2,
        "last batch dropped": 0,
    }
    assert frame["effect"].to_dict() == pytest.approx({**planted, "speakers apart": -12}, abs=1e-9)
    half = 4.302653 * 0.1 / np.sqrt(3)  # of Adam, +2, +2.1 and +2.2 under the seeds
    assert frame.loc["Adam", ["low", "high"]].tolist() == pytest.approx([2.1 - half, 2.1 + half], abs=1e-5)
    assert frame.loc["last epoch", "low"] == pytest.approx(-1)


def test_the_interaction_stands_in_the_second_table_and_below_the_figure(made: Path) -> None:
    frame = pd.read_csv(made / "table2.csv").set_index(["choice", "other"])["ours_mean"]
    assert frame["three frames", "speakers apart"] == frame["speakers apart", "three frames"] == pytest.approx(-4)
    assert np.isnan(frame["Adam", "Adam"]) and np.isnan(frame["last epoch", "best on the test part"])
    assert frame.drop([("three frames", "speakers apart"), ("speakers apart", "three frames")]).abs().max() < 1e-9
    caption = " ".join((made / "figure1.tex").read_text("utf-8").split())
    assert "three frames moves accuracy -4.0 points more (95" in caption and "together with speakers apart" in caption
    drawn = pd.read_csv(made / "figure1.csv")
    assert drawn["what"].value_counts().to_dict() == {"choice": 6, "interaction": 14, "published": 18}


def test_published_numbers_are_set_beside_each_other(made: Path) -> None:
    drawn = pd.read_csv(made / "figure1.csv").query("what == 'published'").set_index("choice")["points"]
    assert drawn.idxmax() == "Visual alone, CREMA-D" and drawn.max() == pytest.approx(76.48 - 51.99)
    sources = pd.read_csv(REPOSITORY / "workflow/papers" / SLUG / "published/spread.csv")
    assert len(drawn) == len(sources.groupby(["method", "dataset"])) and sources["source"].notna().all()
    page = (REPOSITORY / "docs/explanation/why-numbers-disagree.md").read_text(encoding="utf-8")
    for case, points in drawn.items():
        method, data = str(case).split(", ")
        row = next(line for line in page.splitlines() if line.startswith(f"| {method} | {data} |"))
        assert row.endswith(f"| {points:.1f} |"), row


def test_published_numbers_are_those_of_the_papers_here() -> None:
    """Where the paper is reproduced here, its own transcription says the same."""
    spread = pd.read_csv(REPOSITORY / "workflow/papers" / SLUG / "published/spread.csv")
    own = pd.concat(
        pd.read_csv(REPOSITORY / f"workflow/papers/balanced-audiovisual/published/{name}.csv")
        for name in ("table1", "table2")
    )
    own = own[own["subset"] == "overall"].replace({"OGM-GE": "OGM", "Grad-Blending": "Gradient-Blending"})
    both = spread[spread["source"].str.startswith("Xia")].merge(own, on=["method", "dataset"])
    assert len(both) == 12 and both["accuracy_x"].tolist() == both["accuracy_y"].tolist()


def test_without_a_combination_there_is_no_effect(declared: dict[str, Any], tmp_path: Path) -> None:
    paper, path = measured(tmp_path, leave_out="adam-3-dropped")
    render_tables(paper, declared, path, tmp_path)
    render_figures(paper, declared, path, tmp_path)
    assert pd.read_csv(tmp_path / "table1.csv")["ours_mean"].isna().all()
    assert set(pd.read_csv(tmp_path / "figure1.csv")["what"]) == {"published"}


def test_a_file_of_other_columns_is_told(tmp_path: Path) -> None:
    (tmp_path / "spread.csv").write_text("method,accuracy\nOGM,1\n")
    with pytest.raises(UserError, match=r"spread\.csv: not a table of method, dataset, accuracy and source"):
        published_spread(tmp_path / "spread.csv")


def test_the_tier_tries_every_combination_and_nothing_else() -> None:
    rows = load_plan(REPOSITORY, {"tier": SLUG}).rows
    assert list(rows) == [SLUG]
    tried = {
        (row.role, row.settings["protocol"].get("optimiser", "sgd"), row.settings["data"]["frames"],
         row.settings["protocol"].get("drop_last", False))
        for row in rows[SLUG]
    }  # fmt: skip
    assert len(tried) == len(rows[SLUG]) == 16 and all(row.settings["protocol"]["watch_test"] for row in rows[SLUG])
    assert {row.seeds for row in rows[SLUG]} == {(0, 1, 2)} and {row.method for row in rows[SLUG]} == {"baseline"}
