"""Further metrics, heads, conditions and labellings in the measurements; papers that ask for none get none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from relevance_files import CONFUSIONS, declarations, made_up_paper, of_confusion

from avbalance.analysis.relevance import metrics
from avbalance.errors import UserError
from avbalance.evaluation.measure import measure, read_measurements
from avbalance.evaluation.measure_metrics import METRICS
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile
from avbalance.evaluation.predictions import write_predictions
from avbalance.evaluation.scores import load_scores

KEYS = ["run", "seed", "condition", "metric"]


def one_run(folder: Path, frame: pd.DataFrame, name: str = "one", labelling: str = "") -> RunFile:
    path = folder / f"{name}.parquet"
    write_predictions(path, frame)
    return RunFile(name, name.capitalize(), "d", 0, str(path), labelling)


def paper_of(*runs: RunFile) -> Paper:
    info = DatasetInfo("role", "D", "d", "made up")
    return Paper("slug", "title", "", {"role": info}, {run.run: run.label for run in runs}, runs)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Measurements of the made-up runs of modality-relevance by run, seed, condition and metric."""
    folder = tmp_path_factory.mktemp("relevance")
    measure(made_up_paper(folder), declarations()["measures"], folder / "measurements.parquet")
    return read_measurements(folder / "measurements.parquet").set_index(KEYS).sort_index()


@pytest.mark.parametrize("run", ["urban-rural-student", "speech-student"])
def test_every_condition_has_the_metrics_of_its_own_predictions(measured: pd.DataFrame, run: str) -> None:
    for condition, confusion in CONFUSIONS[run].items():
        frame = of_confusion(confusion, condition)
        expected = metrics(frame["label"].to_numpy(), np.array(frame["logits"].to_list()).argmax(axis=1))
        found = measured.loc[(run, 1, condition)]
        assert set(found.index) == {"accuracy", *METRICS}
        for name in found.index:
            assert found.loc[name, "value"] == pytest.approx(getattr(expected, name))
        assert set(found["n"]) == {727} and set(found["subset"]) == {"overall"} and set(found["protocol"]) == {"none"}


def test_each_labelling_has_a_majority_of_its_own(measured: pd.DataFrame) -> None:
    chance = measured[measured.index.get_level_values("metric") == "chance"].reset_index()
    named = chance.set_index(["dataset", "run"])["value"]
    assert named.to_dict() == {
        ("outdoors", "majority-label"): pytest.approx(100 * 367 / 727),
        ("outdoors", "majority-label-speech"): pytest.approx(100 * 440 / 727),
        ("ks", "majority-label"): 40.0,
    }


def test_runs_of_one_labelling_must_agree_on_labels_and_all_on_clips(tmp_path: Path) -> None:
    urban = one_run(tmp_path, of_confusion((285, 75, 204, 163), "both"), "urban")
    speech = one_run(tmp_path, of_confusion((146, 141, 89, 351), "both"), "speech", "speech")
    scores = load_scores([urban, speech])["test"]
    assert {name: np.bincount(labels).tolist() for name, labels in scores.labels.items()} == {
        "": [360, 367],
        "speech": [287, 440],
    }
    with pytest.raises(UserError, match="other clips or labels"):
        load_scores([urban, replace(speech, labelling="")])
    fewer = one_run(tmp_path, of_confusion((146, 141, 89, 350), "both"), "fewer", "speech")
    with pytest.raises(UserError, match="other clips or labels"):
        load_scores([urban, fewer])


def test_heads_by_hand(tmp_path: Path) -> None:
    frame = of_confusion((2, 0, 1, 1), "both").assign(
        logits_audio=[[1.0, 0.0]] * 4, logits_visual=[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]
    )
    out = tmp_path / "out.parquet"
    measure(paper_of(one_run(tmp_path, frame)), {"metrics": ["macro_f1"], "heads": True}, out)
    found = read_measurements(out).query("run == 'one'").set_index("metric")["value"].to_dict()
    # Right are 3 of 4 clips, 2 by sound and 3 by sight. F1 of classes: 4/5 and 2/3; 2/3 and 0; 2/3 and 4/5.
    assert found == pytest.approx({
        "accuracy": 75.0, "macro_f1": 100 * (4 / 5 + 2 / 3) / 2, "accuracy_audio": 50.0, "macro_f1_audio": 100 / 3,
        "accuracy_visual": 75.0, "macro_f1_visual": 100 * (2 / 3 + 4 / 5) / 2,
    })  # fmt: skip


def test_a_run_without_heads_has_no_rows_of_them(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    measure(paper_of(one_run(tmp_path, of_confusion((2, 0, 1, 1), "both"))), {"heads": True}, out)
    assert set(read_measurements(out)["metric"]) == {"accuracy", "chance"}


def test_who_asks_for_nothing_gets_nothing_more(tmp_path: Path) -> None:
    run = one_run(tmp_path, of_confusion((2, 0, 1, 1), "both").assign(logits_audio=[[1.0, 0.0]] * 4))
    measure(paper_of(run), {}, tmp_path / "nothing.parquet")
    measure(paper_of(run), {"metrics": [], "heads": False}, tmp_path / "none.parquet")
    assert set(read_measurements(tmp_path / "nothing.parquet")["metric"]) == {"accuracy", "chance"}
    assert (tmp_path / "nothing.parquet").read_bytes() == (tmp_path / "none.parquet").read_bytes()


def test_an_unknown_metric_is_refused(tmp_path: Path) -> None:
    run = one_run(tmp_path, of_confusion((2, 0, 1, 1), "both"))
    with pytest.raises(UserError, match="no metric 'kappa'; known are balanced_accuracy"):
        measure(paper_of(run), {"metrics": ["kappa"]}, tmp_path / "out.parquet")
