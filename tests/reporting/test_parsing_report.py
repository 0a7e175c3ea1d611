"""Tables, figures and claims of the paper on video parsing, from made-up predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parsing_files import FOLDER, VIDEOS, declarations, labels, made_up_paper

from avbalance.errors import UserError
from avbalance.evaluation.measure import measure
from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.evaluation.parsing_predictions import read_parsing
from avbalance.evaluation.published import load_published
from avbalance.papers.avvp_gradient_modulation.videos import OWN_RULE
from avbalance.reporting.cells import Measured
from avbalance.reporting.claims_report import render_claims
from avbalance.reporting.figures import loss_curves, parsing_timelines, render_figures
from avbalance.reporting.tables import build_table, markdown, render_tables

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


@pytest.mark.parametrize(
    ("table", "place", "value"),
    [
        ("table1", {"method": "JoMoLD", "level": "event", "event_type": "Event"}, 52.5),
        ("table1", {"method": "MA, w/o CL", "level": "segment", "event_type": "Event"}, 56.6),
        ("table1", {"method": "MA, w CL", "level": "event", "event_type": "Type"}, 53.0),
        ("table1", {"method": "CVCMS", "level": "segment", "event_type": "V"}, 63.5),
        ("table1", {"method": "CMCS (approximate re-implementation)", "level": "event", "event_type": "V"}, 45.1),
        ("table4", {"method": "JoMoLD+DGM", "level": "segment", "event_type": "AV"}, 56.8),
        ("table5", {"method": "Ours, score", "level": "event", "event_type": "A"}, 56.0),
        ("table6", {"method": "Ours, gamma=0.9", "metric": "average"}, 58.19),
        ("table7", {"method": "HAN+Ours", "metric": "average"}, 52.91),
        ("table2", {"method": "DGM", "checkpoint": "best-test"}, 61.8),
        ("table3", {"method": "Baseline (PSP)", "checkpoint": "selected"}, 75.57),
    ],
)
def test_single_published_numbers(
    table: str, place: dict[str, str], value: float, made: tuple[Paper, Path, Path]
) -> None:
    frame = pd.read_csv(made[2] / f"{table}.csv")
    for column, wanted in place.items():
        frame = frame[frame[column] == wanted]
    assert frame["published"].tolist() == [value]


def test_controls_and_both_truths_have_rows(made: tuple[Paper, Path, Path]) -> None:
    fourth, seventh, first = (pd.read_csv(made[2] / f"{name}.csv") for name in ("table4", "table7", "tableS1"))
    controls = {labels()[run] for run in ("jomold-msdu", "ours-detach", "ours-noise-none", "ours-update")}
    assert controls | {labels()["jomold-dgm-noise-none"]} <= set(fourth["method"])
    assert {labels()["han-dgm"], labels()["han-ours-jomold-schedule"]} <= set(seventh["method"])
    parts = pd.read_csv(made[2] / "tableS2.csv")
    assert {labels()["jomold-heads"], labels()["jomold-msdu-shared"]} <= set(parts["method"])
    ours = first[first["method"] == "Ours"].set_index(["protocol", "metric"])
    assert ours.loc[("none", "segment_V"), "ours_mean"] == ours.loc[("repaired", "segment_V"), "ours_mean"]
    assert ours.loc[("none", "segment_A"), "ours_mean"] != ours.loc[("repaired", "segment_A"), "ours_mean"]
    assert ours.loc["repaired", "published"].isna().all() and ours.loc["none", "published"].notna().all()
    assert "older annotation file are broken" in (made[2] / "tableS1.md").read_text("utf-8")


def test_a_table_golden() -> None:
    # Means of (60, 62) and (40, 44): sd sqrt(2) and 2 sqrt(2); the metric is put together from both axes.
    paper = Paper("s", "t", "", {"set": DatasetInfo("set", "Set", "made-up", "made up")}, {"ours": "Ours"}, ())
    rows = [
        {"dataset": "made-up", "run": "ours", "seed": seed, "split": "test", "subset": "overall", "condition": "both",
         "protocol": "none", "checkpoint": "selected", "metric": metric, "value": value, "n": 1200}
        for metric, values in (("segment_A", (60.0, 62.0)), ("event_A", (40.0, 44.0)))
        for seed, value in enumerate(values)
    ]  # fmt: skip
    declaration = {
        "id": "table9",
        "title": "Scores",
        "rows": [{"key": "event_type", "title": "Event type", "values": ["A"]}, {"key": "run", "values": ["ours"]}],
        "columns": [{"key": "level", "values": [{"value": "segment", "label": "Segments"}, "event"]}],
        "select": {"dataset": "set", "subset": "overall", "protocol": "none", "metric": "{level}_{event_type}"},
        "counted": "Videos",
        "notes": ["which truth"],
    }
    measured = Measured(paper, pd.DataFrame(rows), {("Set", "Ours", "overall", "event_A"): 41.5})
    assert markdown(build_table(paper, declaration, measured)) == (
        "# Scores\n"
        "\n"
        "Data: Set: made up (made-up).\n"
        "\n"
        "Cells: ours, mean ± standard deviation over seeds (published). –: not made.\n"
        "\n"
        "| Event type | Run | Segments | event |\n"
        "| --- | --- | ---: | ---: |\n"
        "| A | Ours | 61.00 ± 1.41 | 42.00 ± 2.83 (41.50) |\n"
        "| Videos |  | 1200 | 1200 |\n"
        "\n"
        "- which truth\n"
    )
    with pytest.raises(UserError, match="select asks for 'kind', which no axis has"):
        build_table(paper, declaration | {"select": {"dataset": "set", "metric": "{kind}_A"}}, measured)


def figure(name: str) -> dict[str, Any]:
    return next(item for item in declarations()["figures"] if item["id"] == name)


def test_timelines_hold_truth_and_both_runs(made: tuple[Paper, Path, Path]) -> None:
    paper = made[0]
    drawn, frame = parsing_timelines.draw(figure("figure4"), paper, None)  # type: ignore[arg-type]
    heading = drawn.get_suptitle()
    assert OWN_RULE in heading and "seed 6" in heading and "synthetic stand-in for LLP (made-llp)" in heading
    assert len(drawn.axes) == 3
    assert list(dict.fromkeys(frame["row"])) == ["truth", "JoMoLD", "Ours"] and set(frame["seed"].dropna()) == {6}
    read = read_parsing(paper.run_files("llp", "ours")[0].predictions)
    for clip, bars in frame.groupby("clip"):
        row = read.id.tolist().index(clip)
        found = read.segments(np.array([row]))[0]
        for place, modality in enumerate(("audio", "visual")):
            for name, expected in (
                ("truth", (read.truth_audio, read.truth_visual)[place][row]), ("Ours", found[place])
            ):  # fmt: skip
                active = np.zeros_like(expected)
                own = bars[(bars["modality"] == modality) & (bars["row"] == name)]
                for bar in own.itertuples():
                    active[read.classes.index(bar._5), bar.onset : bar.offset] = True
                np.testing.assert_array_equal(active, expected)
    named, _ = parsing_timelines.draw({**figure("figure4"), "clips": ["clip07"]}, paper, None)  # type: ignore[arg-type]
    assert len(named.axes) == 1 and "the paper's own videos" in named.get_suptitle()


def test_losses_are_drawn_and_everything_logged_is_listed(made: tuple[Paper, Path, Path]) -> None:
    drawn, frame = loss_curves.draw(figure("figure5"), made[0], None)  # type: ignore[arg-type]
    assert set(frame["series"]) == {"train_loss", "loss_audio", "loss_visual"}
    assert set(frame.loc[frame["drawn"], "series"]) == {"loss_audio", "loss_visual"}
    assert len(frame) == 2 * 3 * 8 and set(frame["seeds"]) == {3}
    # Audio: 1/epoch + 0.5 - 0.05 * place + 0.01 * seed, seeds 6, 0, 1; `ours` is the fourth run.
    first = frame[(frame["method"] == "Ours") & (frame["series"] == "loss_audio") & (frame["epoch"] == 2)].iloc[0]
    assert first["mean"] == pytest.approx(0.5 + 0.35 + 0.07 / 3)
    assert first["sd"] == pytest.approx(np.std([0.06, 0.0, 0.01], ddof=1))
    lines = drawn.axes[0].get_lines()
    assert [line.get_linestyle() for line in lines] == ["--", "--", "-", "-"]
    assert "(made-llp)\nmean and standard deviation over 3 seeds" in drawn.get_suptitle()


def test_videos_of_every_kind_of_event_are_counted(made: tuple[Paper, Path, Path]) -> None:
    frame = pd.read_csv(made[2] / "tableS4.csv")
    ours = frame[(frame["method"] == "Ours") & (frame["metric"] == "average")].set_index("subset")["n"]
    assert set(ours.index) == {"audio_preferred", "visual_preferred", "tie"} and ours.sum() == VIDEOS
    assert frame.loc[frame["method"] == "HAN", "ours_mean"].isna().all()  # not among the runs that were made
    assert frame["published"].isna().all()


def test_runs_that_the_tier_leaves_out_are_told_on_the_figures(made: tuple[Paper, Path, Path]) -> None:
    without = Paper(**{**vars(made[0]), "runs": ()})
    drawn, frame = parsing_timelines.draw(figure("figure4"), without, None)  # type: ignore[arg-type]
    assert "its runs were not made in this tier" in drawn.get_suptitle() and frame.empty
    drawn, frame = loss_curves.draw(figure("figure5"), without, None)  # type: ignore[arg-type]
    assert [text.get_text() for text in drawn.axes[0].texts] == ["not made in this tier"] and frame.empty


def test_everything_is_the_same_bytes_twice(made: tuple[Paper, Path, Path], tmp_path: Path) -> None:
    paper, measurements, out = made
    written = [
        *render_tables(paper, declarations(), measurements, tmp_path),
        *render_figures(paper, declarations(), measurements, tmp_path),
        *render_claims(paper, declarations(), tmp_path, measurements),
    ]
    assert len(written) == 11 * 3 + 2 * 3 + 2
    for path in written:
        assert path.read_bytes() == (out / path.name).read_bytes()


def test_the_claims_page_states_the_rule_and_every_seed(made: tuple[Paper, Path, Path]) -> None:
    text = (made[2] / "claims.md").read_text(encoding="utf-8")
    assert "| Claim | Statement | Paper's numbers | Ours |" in text and "Subsets: *estimated*" not in text
    row = next(line for line in text.splitlines() if line.startswith("| LLP, segment AV: Ours &gt; JoMoLD |"))
    assert all(f"{seed}: " in row for seed in SEEDS) and "| 40† |" in row
    single = next(line for line in text.splitlines() if line.startswith("| CREMA-D, accuracy: DGM"))
    assert "not testable here (one seed)" in single
    assert text.index("## Illustrations: single videos, no verdict") < text.index("### F4.1.")
    assert "**Ours: illustration.**\n" in text
