"""Tables, figures and claims of the paper on video parsing, from made-up predictions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn_figures import drawn_figure, written
from matplotlib.figure import Figure
from parsing_files import FOLDER, VIDEOS, declarations, labels, made_up_paper

from avbalance.evaluation.measure import measure, read_measurements
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.parsing_predictions import read_parsing
from avbalance.evaluation.published import load_published
from avbalance.papers.avvp_gradient_modulation.figures import parsing_timelines
from avbalance.papers.avvp_gradient_modulation.videos import OWN_RULE
from avbalance.reporting.cells import MeasuredCells
from avbalance.reporting.claims_report import render_claims
from avbalance.reporting.figures import Drawing, render_figures
from avbalance.reporting.tables import render_tables

SEEDS = (6, 0, 1)
RUNS = ("jomold", "jomold-dgm", "jomold-msdu", "ours")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Paper, Path, Path]:
    """The paper, its measurements, and a folder with everything that is made of them."""
    folder = tmp_path_factory.mktemp("made")
    paper = made_up_paper(folder / "runs", dict.fromkeys(RUNS, SEEDS))
    measurements = folder / "measurements.parquet"
    measure(paper, {}, measurements)
    render_tables(paper, declarations(), measurements, folder / "out")
    render_figures(paper, declarations(), measurements, folder / "out")
    render_claims(paper, declarations(), folder / "out", measurements)
    return paper, measurements, folder / "out"


def test_every_published_number_has_a_cell(made: tuple[Paper, Path, Path]) -> None:
    published = load_published(FOLDER / "published", declarations()["published"])
    shown: dict[tuple[str, ...], float] = {}
    for number in range(1, 8):
        frame = pd.read_csv(made[2] / f"table{number}.csv", dtype={"published": float}).dropna(subset="published")
        for row in frame.to_dict("records"):
            metric = row.get("metric") or (f"{row['level']}_{row['event_type']}" if "level" in row else "accuracy")
            data = {"table2": "CREMA-D", "table3": "AVE"}.get(f"table{number}", "LLP")
            shown[data, row["method"], "overall", metric] = row["published"]
    assert shown == published
    assert {key[1] for key in published} <= set(labels().values())


def test_controls_and_both_truths_have_rows(made: tuple[Paper, Path, Path]) -> None:
    tables = {name: pd.read_csv(made[2] / f"{name}.csv") for name in ("table4", "table7", "tableS1", "tableS2")}
    for name, runs in {
        "table4": ("jomold-msdu", "ours-detach", "ours-noise-none", "ours-update", "jomold-dgm-noise-none"),
        "table7": ("han-dgm", "han-ours-jomold-schedule"),
        "tableS2": ("jomold-heads", "jomold-msdu-shared"),
    }.items():
        assert {labels()[run] for run in runs} <= set(tables[name]["method"])
    truths = tables["tableS1"]
    ours = truths[truths["method"] == "Ours"].set_index(["protocol", "metric"])
    assert ours.loc[("none", "segment_V"), "ours_mean"] == ours.loc[("repaired", "segment_V"), "ours_mean"]
    assert ours.loc[("none", "segment_A"), "ours_mean"] != ours.loc[("repaired", "segment_A"), "ours_mean"]
    assert ours.loc["repaired", "published"].isna().all() and ours.loc["none", "published"].notna().all()
    assert "older annotation file are broken" in (made[2] / "tableS1.md").read_text("utf-8")


def test_a_metric_is_put_together_from_both_axes(made: tuple[Paper, Path, Path]) -> None:
    frame, measured = pd.read_csv(made[2] / "table4.csv"), read_measurements(made[1])
    own = frame[(frame["method"] == "Ours") & (frame["level"] == "event") & (frame["event_type"] == "AV")]
    rows = measured[(measured["run"] == "ours") & (measured["metric"] == "event_AV") & (measured["protocol"] == "none")]
    assert own["ours_mean"].tolist() == pytest.approx([rows["value"].mean()]) and own["n"].tolist() == [VIDEOS]


def test_videos_of_every_kind_of_event_are_counted(made: tuple[Paper, Path, Path]) -> None:
    frame = pd.read_csv(made[2] / "tableS4.csv")
    ours = frame[(frame["method"] == "Ours") & (frame["metric"] == "average")].set_index("subset")["n"]
    assert set(ours.index) == {"audio_preferred", "visual_preferred", "tie"} and ours.sum() == VIDEOS
    assert frame.loc[frame["method"] == "HAN", "ours_mean"].isna().all()  # not among the runs that were made


def test_what_one_modality_alone_has_stands_beside_both(made: tuple[Paper, Path, Path]) -> None:
    frame, measured = pd.read_csv(made[2] / "tableS5.csv"), read_measurements(made[1])
    own = frame[frame["method"] == "Ours"].set_index(["level", "event_type"])["ours_mean"]
    rows = measured[(measured["run"] == "ours") & (measured["protocol"] == "none")].groupby("metric")["value"].mean()
    for level, kind in own.index:
        assert own[level, kind] == pytest.approx(rows[f"{level}_{kind}"])
    assert len(own) == 6 and "only heard (Ao)" in (made[2] / "tableS5.md").read_text("utf-8")


def drawn(name: str, paper: Paper, **changes: Any) -> Drawing:
    nothing = MeasuredCells.__new__(MeasuredCells)  # no measurement is looked up
    return drawn_figure(declarations(), name, paper, nothing, **changes)


def test_timelines_hold_truth_and_both_runs(made: tuple[Paper, Path, Path]) -> None:
    paper = made[0]
    drawing = drawn("figure4", paper)
    caption, frame = " ".join(drawing.caption), drawing.numbers
    assert OWN_RULE in caption and "seed 6" in caption and "synthetic stand-in for LLP (made-llp)" in caption
    assert len(drawing.figure.axes) == 3 * 2
    assert list(dict.fromkeys(frame["row"])) == ["annotated", "JoMoLD", "Ours"] and set(frame["seed"].dropna()) == {6}
    read = read_parsing(paper.run_files("llp", "ours")[0].predictions)
    for clip, bars in frame.groupby("clip"):
        row = read.id.tolist().index(clip)
        segments, truth = read.segments(np.array([row]))[0], (read.truth_audio, read.truth_visual)
        for place, modality in enumerate(("audio", "visual")):
            for name, expected in (("annotated", truth[place][row]), ("Ours", segments[place])):
                active = np.zeros_like(expected)
                for bar in bars[(bars["modality"] == modality) & (bars["row"] == name)].itertuples():
                    active[read.classes.index(bar._5), bar.onset : bar.offset] = True
                np.testing.assert_array_equal(active, expected)
    named = drawn("figure4", paper, clips=["clip07"])
    assert len(named.figure.axes) == 2 and "the paper's own videos" in " ".join(named.caption)


def test_a_timeline_without_events_says_so() -> None:
    found = np.zeros((2, 5), dtype=bool)
    found[1, 2:4] = True
    lines = {"annotated": found, "JoMoLD": ~found & False, "Ours": found}
    axis = Figure().subplots()
    parsing_timelines._draw_panel(axis, lines, [1])
    assert [text.get_text() for text in axis.texts] == ["JoMoLD finds nothing"]


def test_losses_are_drawn_and_everything_logged_is_listed(made: tuple[Paper, Path, Path]) -> None:
    drawing = drawn("figure5", made[0])
    frame = drawing.numbers
    assert set(frame["series"]) == {"train_loss", "loss_audio", "loss_visual"}
    assert set(frame.loc[frame["drawn"], "series"]) == {"loss_audio", "loss_visual"}
    assert len(frame) == 2 * 3 * 8 and set(frame["seeds"]) == {3}
    # Audio: 1/epoch + 0.5 - 0.05 * place + 0.01 * seed, seeds 6, 0, 1; `ours` is the fourth run.
    first = frame[(frame["method"] == "Ours") & (frame["series"] == "loss_audio") & (frame["epoch"] == 2)].iloc[0]
    assert first["mean"] == pytest.approx(0.5 + 0.35 + 0.07 / 3)
    assert first["sd"] == pytest.approx(np.std([0.06, 0.0, 0.01], ddof=1))
    curves = [line for line in drawing.figure.axes[0].get_lines() if len(line.get_xdata()) > 2]
    assert [line.get_linestyle() for line in curves] == ["--", "--", "-", "-"]
    assert {"audio", "visual"} <= set(written(drawing.figure))  # at the curves' ends
    assert "(made-llp). Means over 3 seeds." in " ".join(drawing.caption)


def test_runs_that_the_tier_leaves_out_are_told_on_the_figures(made: tuple[Paper, Path, Path]) -> None:
    without = replace(made[0], runs=())
    for name, told in (("figure4", "its runs were not made in this tier"), ("figure5", "not made in this tier")):
        drawing = drawn(name, without)
        assert told in written(drawing.figure) and drawing.numbers.empty


def test_the_claims_page_states_the_rule_and_every_seed(made: tuple[Paper, Path, Path]) -> None:
    text = (made[2] / "claims.md").read_text(encoding="utf-8")
    assert "| Claim | Statement | Paper's numbers | Ours |" in text and "Subsets: *estimated*" not in text
    row = next(line for line in text.splitlines() if line.startswith("| LLP, segment AV: Ours &gt; JoMoLD |"))
    assert all(f"{seed}: " in row for seed in SEEDS) and "| 40† |" in row
    single = next(line for line in text.splitlines() if line.startswith("| CREMA-D, accuracy: DGM"))
    assert "not testable here (one seed)" in single
    assert text.index("## Illustrations: single videos, no verdict") < text.index("### F4.1.")
    assert "**Ours: illustration.**\n" in text
