"""Predictions of parsing and localisation: arrays as they were written, one sentence for files that are not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from parsing_files import (
    CLASSES,
    SEGMENTS,
    at_checkpoint,
    float_lists,
    int_lists,
    localisation_table,
    parsing_table,
    timelines,
    with_card,
    write,
)

from avbalance.analysis.parsing_scores import evaluate
from avbalance.errors import UserError
from avbalance.evaluation.parsing_predictions import kind_of, read_localisation, read_parsing
from avbalance.evaluation.predictions import write_predictions

N = 5
IDS = ["e", "a", "c", "b", "d"]
TRUTH = timelines(np.random.default_rng(0), N)
FOUND = timelines(np.random.default_rng(1), N)
CARD = {"task": "parsing", "classes": list(CLASSES), "segments": SEGMENTS, "gate": "modality"}


def test_arrays_come_back_as_they_were_written(tmp_path: Path) -> None:
    repaired = ~TRUTH[:, 0]
    path = write(tmp_path / "p.parquet", parsing_table(IDS, FOUND, TRUTH, repaired))
    assert kind_of(path) == "parsing"
    read = read_parsing(path)
    assert read.classes == CLASSES and read.gate == "modality" and read.id.tolist() == IDS
    assert read.frame_prob.shape == (N, SEGMENTS, 2, len(CLASSES)) and read.frame_prob.dtype == np.float32
    assert read.video_prob.shape == (N, 3, len(CLASSES))
    np.testing.assert_array_equal(read.truth_audio, TRUTH[:, 0])
    np.testing.assert_array_equal(read.truth_visual, TRUTH[:, 1])
    np.testing.assert_array_equal(read.truth_audio_repaired, repaired)
    rows = np.array([3, 1])
    np.testing.assert_array_equal(read.segments(rows), FOUND[rows])
    expected = evaluate(
        read.frame_prob, *np.moveaxis(read.video_prob, 1, 0), TRUTH[:, 0], TRUTH[:, 1], "modality"
    ).per_video
    np.testing.assert_array_equal(read.scores(rows).per_video, expected[rows])
    assert not np.array_equal(read.scores(rows, "repaired").per_video, expected[rows])


def test_rows_stand_by_place_in_the_order_of_their_ids(tmp_path: Path) -> None:
    table = parsing_table(IDS, FOUND, TRUTH)
    read = read_parsing(write(tmp_path / "p.parquet", table, at_checkpoint(table, "best-test")))
    places = {place.checkpoint: rows for place, rows in read.places()}
    assert list(places) == ["best-test", "selected"] and places["selected"].tolist() == [1, 3, 2, 4, 0]
    assert read.id[places["best-test"]].tolist() == sorted(IDS) and read.versions == ("none",)
    with pytest.raises(UserError, match="no second version of the audio truth"):
        read.scores(np.arange(N), "repaired")


def test_a_video_without_a_second_version_keeps_the_first(tmp_path: Path) -> None:
    some = int_lists([[0], None, [1], None, []])
    read = read_parsing(write(tmp_path / "p.parquet", parsing_table(IDS, FOUND, TRUTH, truth_audio_repaired=some)))
    assert read.truth_audio_repaired is not None
    np.testing.assert_array_equal(read.truth_audio_repaired[[1, 3]], TRUTH[[1, 3], 0])
    assert [read.truth_audio_repaired[place].sum() for place in (0, 2, 4)] == [1, 1, 0]


def test_localisation_comes_back_as_it_was_written(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    label, logits = generator.integers(0, 4, (N, SEGMENTS)), generator.normal(size=(N, SEGMENTS, 4))
    path = write(tmp_path / "p.parquet", localisation_table(IDS, label, logits, ["test"] * N))
    assert kind_of(path) == "localisation"
    read = read_localisation(path)
    np.testing.assert_array_equal(read.label, label)
    np.testing.assert_array_equal(read.logits, logits.astype(np.float32))
    assert read.classes[-1] == "Background"
    path = write(tmp_path / "p.parquet", localisation_table(IDS, label + 4, logits, ["test"] * N))
    with pytest.raises(UserError, match="a label is not one of its 4 classes"):
        read_localisation(path)


def test_a_file_without_a_card_is_of_classification(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    frame = {"id": ["a"], "split": "test", "condition": "both", "checkpoint": "selected", "logits": [np.ones(2)]}
    write_predictions(path, pd.DataFrame(frame).assign(label=np.int16(1)))
    assert kind_of(path) == "classification"
    with pytest.raises(UserError, match="predictions of classification, not of parsing"):
        read_parsing(path)


NAN = np.full((N, 3, len(CLASSES)), 0.8)
NAN[3, 1, 2] = np.nan


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (parsing_table(IDS, FOUND, TRUTH).slice(0, 0), "holds no predictions"),
        (parsing_table(IDS, FOUND, TRUTH).drop_columns(["video_prob"]), "no column 'video_prob'"),
        (parsing_table(["a", "b", "c", "d", "a"], FOUND, TRUTH), "clip a is predicted twice"),
        (parsing_table(IDS, FOUND, TRUTH, video_prob=float_lists(NAN)), "video_prob of clip b are not finite"),
        (parsing_table(IDS, FOUND, TRUTH, video_prob=float_lists(NAN[:, :2])), "equally long lists of 9 numbers"),
        (parsing_table(IDS, FOUND, TRUTH, frame_prob=pa.array([1.0] * N)), "frame_prob must be equally long lists"),
        (parsing_table(IDS, FOUND, TRUTH, truth_audio=int_lists([[30]] + [[]] * 4)), "cells outside its 3 classes"),
        (parsing_table(IDS, FOUND, TRUTH, truth_audio=int_lists([[-1]] + [[]] * 4)), "cells outside its 3 classes"),
        (parsing_table(IDS, FOUND, TRUTH, truth_visual=int_lists([None] + [[]] * 4)), "truth_visual is not known for"),
        (parsing_table(IDS, FOUND, TRUTH, id=pa.array([None, "a", "b", "c", "d"])), "the column id is not whole"),
        (with_card(parsing_table(IDS, FOUND, TRUTH), {**CARD, "gate": "both"}), "gate: is 'both'; use"),
        (with_card(parsing_table(IDS, FOUND, TRUTH), {**CARD, "segments": None}), "segments: is null"),
        (with_card(parsing_table(IDS, FOUND, TRUTH), {**CARD, "classes": []}), "classes: is .*at least 1"),
        (with_card(parsing_table(IDS, FOUND, TRUTH), {**CARD, "task": "nothing"}), "task: is 'nothing'; use"),
        (parsing_table(IDS, FOUND, TRUTH).replace_schema_metadata({b"avbalance": b"{"}), "metadata are not JSON"),
    ],
)  # fmt: skip
def test_malformed_files_are_refused_in_one_sentence(table: pa.Table, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "p.parquet", table)
    with pytest.raises(UserError, match=message) as error:
        read_parsing(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [None, b"", b"no parquet"])
def test_absent_and_broken_files_are_refused_in_one_sentence(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    if content is not None:
        path.write_bytes(content)
    for read in (kind_of, read_parsing, read_localisation):
        with pytest.raises(UserError, match=r"p\.parquet: not a readable table") as error:
            read(path)
        assert "\n" not in str(error.value)


def test_what_training_writes_is_what_is_read(tmp_path: Path) -> None:
    import torch

    from avbalance.models.parsing import ParsingOutput
    from avbalance.training.tasks import base as tasks
    from avbalance.training.tasks.base import Place

    frames = torch.as_tensor(np.where(FOUND.transpose(0, 3, 1, 2), 0.9, 0.1), dtype=torch.float32)
    video = torch.full((N, len(CLASSES)), 0.7)
    features = dict.fromkeys(("e_a", "e_v", "f_a", "f_v"), torch.zeros(N, SEGMENTS, 1))
    output = ParsingOutput(frame_prob=frames, P=video, p_a=video, p_v=video, **features)
    truth = {"events_audio": TRUTH[:, 0], "events_visual": TRUTH[:, 1]}
    clips: Any = SimpleNamespace(ids=np.array(IDS), truth=truth, classes=list(CLASSES))
    outputs: Any = [(SimpleNamespace(label=torch.zeros(N, len(CLASSES))), output)]
    table = tasks.load({"task": "parsing", "gate": "global"}).predictions(clips, np.arange(N), Place("test"), outputs)
    read = read_parsing(write(tmp_path / "p.parquet", table))
    assert (read.gate, read.truth_audio_repaired) == ("global", None)
    np.testing.assert_array_equal(read.segments(np.arange(N)), FOUND)
    np.testing.assert_array_equal(read.truth_visual, TRUTH[:, 1])

    background = np.zeros((N, 1, SEGMENTS), dtype=bool)
    clips.truth["events_visual"] = np.concatenate([TRUTH[:, 1], background], axis=1)
    clips.classes = [*CLASSES, "Background"]
    logits = torch.randn(N, SEGMENTS, 4)
    outputs = [(SimpleNamespace(label=None), SimpleNamespace(logits=logits, scores={}))]
    table = tasks.load({"task": "localisation"}).predictions(clips, np.arange(N), Place("test"), outputs)
    located = read_localisation(write(tmp_path / "l.parquet", table))
    np.testing.assert_array_equal(located.logits, logits.numpy())
    assert (located.label[~TRUTH[:, 1].any(axis=1)] == 3).all()
