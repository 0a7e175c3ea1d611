"""Scorers: a network of a feature recipe, a linear model of another data set, and what is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from clip_files import write_clip_manifest
from real_data import real

from avbalance.balancing import scorers
from avbalance.balancing.scorers import labels_of, read_labels, read_scores, scores_of
from avbalance.data.categories import read_categories
from avbalance.data.sources.built import Scorer
from avbalance.errors import UserError
from avbalance.features import architectures, networks

REPOSITORY = Path(__file__).parents[2]
RECIPES = {"audio": "logmel32x64-4s", "visual": "fps1-middle-32-4s"}


def clips(ids: list[str], vectors: Any = None) -> Any:
    rows = np.arange(len(ids))
    return SimpleNamespace(ids=np.array(ids), visual=vectors, visual_rows=rows[::-1], audio=vectors, audio_rows=rows)


def test_scores_of_a_recipe_are_the_softmax_of_its_vectors_by_clip(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    vectors = np.log(np.array([[0.2, 0.8], [0.9, 0.1]])).astype(np.float64)
    asked = {}

    def stored(manifest: Path, recipes: dict[str, str], out: Path) -> Any:
        asked.update(recipes)
        return clips(["b", "a"], vectors)  # the store's last row is of the first clip

    monkeypatch.setattr(scorers, "stored_clips", stored)
    spec = Scorer(recipe="uniform8-k400r50", labels=str(tmp_path / "labels.txt"))
    pool = tmp_path / "data" / "set" / "building" / "pool.parquet"
    assert labels_of(spec, tmp_path / "data") == ["cat", "dog"]
    scores = scores_of("visual", spec, pool, clips(["a", "lost", "b"]), RECIPES, tmp_path)
    np.testing.assert_allclose(scores, [[0.2, 0.8], [0.0, 0.0], [0.9, 0.1]])
    assert asked == {"audio": RECIPES["audio"], "visual": "uniform8-k400r50"}
    (tmp_path / "labels.txt").write_text("cat\ndog\nbird\n")
    with pytest.raises(UserError, match="gives a clip 2 values, and there are 3 labels"):
        scores_of("visual", spec, pool, clips(["a"]), RECIPES, tmp_path)


def test_the_labels_of_kinetics_need_no_file() -> None:
    labels = read_labels("kinetics-400")
    assert len(labels) == 400 and labels == sorted(labels, key=str.lower) and labels[0] == "abseiling"


@pytest.mark.parametrize("text", ["", "cat\ncat\n"])
def test_a_list_of_labels_without_any_or_with_one_twice_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(UserError, match="holds no labels, or one of them twice"):
        read_labels(tmp_path / "labels.txt")


def test_an_absent_list_of_labels_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not readable as a list of labels"):
        read_labels(tmp_path / "absent.txt")


def test_the_networks_of_the_paper_tier_judge_real_clips_in_the_classes_of_its_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With random weights: published ones cannot be had everywhere."""
    (tmp_path / "weights").mkdir()
    parameters = {f"audnet.{name}": value for name, value in architectures.vggsound_resnet18().state_dict().items()}
    torch.save({"model_state_dict": parameters}, tmp_path / "weights" / "H.pth.tar")
    monkeypatch.setenv(networks.FOLDER_VARIABLE, str(tmp_path / "weights"))
    folder = tmp_path / "data" / "set" / "building"
    folder.mkdir(parents=True)
    (folder / "media").symlink_to(real("media"))
    manifest = write_clip_manifest(folder, ["llp_BjCEufrlXm4.mp4", "grid_bbaf2n.mpg"])
    scorer = Scorer(recipe="clip10-vggsoundr18", labels=str(real("vggsound", "stat.csv")))
    labels = {"audio": labels_of(scorer, tmp_path), "visual": read_labels("kinetics-400")}
    assert len(labels["audio"]) == 309 and labels["audio"][0] == "air conditioning noise"
    recipes = {"audio": "logmel32x64-4s", "visual": "still-32"}
    clips = scorers.stored_clips(manifest, recipes, tmp_path / "own")
    scores = scores_of("audio", scorer, manifest, clips, recipes, tmp_path / "features")
    assert scores.shape == (2, 309) and scores.sum(axis=1) == pytest.approx(1) and scores[0].std() > 0
    categories = read_categories(REPOSITORY / "workflow/papers/balanced-audiovisual/categories.yaml", labels)
    assert categories.integrated({"audio": scores, "visual": np.zeros((2, 400))})["audio"].shape == (2, 30)


# Files of scores

LABELS = ["barking", "meowing", "rain"]


def written(path: Path, rows: list[tuple[object, object, object]]) -> Path:
    pd.DataFrame(rows, columns=["id", "label", "probability"]).to_csv(path, index=False)
    return path


def test_scores_are_read_by_clip_and_label_and_the_most_probable_ones_are_enough(tmp_path: Path) -> None:
    rows = [
        ("b", "rain", 0.5),
        ("a", "barking", 0.7),
        ("a", "meowing", 0.2),
        ("a", "rain", 0.1),
        ("other", "rain", 1.0),
    ]
    scores = read_scores(written(tmp_path / "scores.csv", rows), ["a", "b"], LABELS)
    assert scores.tolist() == [[0.7, 0.2, 0.1], [0.0, 0.0, 0.5]]
    pd.DataFrame(rows, columns=["id", "label", "probability"]).to_parquet(tmp_path / "scores.parquet")
    assert np.array_equal(read_scores(tmp_path / "scores.parquet", ["a", "b"], LABELS), scores)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("a", "barkin", 0.5)], r"row 1: the network has no label 'barkin'; did you mean 'barking'\.$"),
        ([("a", "rain", 0.5), ("a", "barking", 1.5)], r"row 2: probability '1\.5' is none"),
        ([("a", "rain", "much")], r"row 1: probability 'much' is none"),
        ([("a", "rain", 0.5), ("a", "rain", 0.5)], r"row 2: clip a has the label 'rain' a second time"),
        ([("b", "rain", 0.5)], r"has no score for 1 of 1 clips, the first is a"),
        ([("a", "rain", 0.9), ("a", "barking", 0.9)], r"the probabilities of clip a sum to 1\.8000, not to one"),
        ([("a", name, 0.1) for name in LABELS], r"the probabilities of clip a sum to 0\.3000, not to one"),
    ],
)
def test_wrong_scores_are_told_with_file_and_row(
    tmp_path: Path, rows: list[tuple[object, object, object]], told: str
) -> None:
    with pytest.raises(UserError, match=told) as caught:
        read_scores(written(tmp_path / "scores.csv", rows), ["a"], LABELS)
    assert str(tmp_path / "scores.csv") in str(caught.value)


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file of scores"):
        read_scores(tmp_path / "absent.csv", ["a"], LABELS)
    (tmp_path / "bad.parquet").write_bytes(b"no table")
    with pytest.raises(UserError, match="not readable as a table"):
        read_scores(tmp_path / "bad.parquet", ["a"], LABELS)
    (tmp_path / "short.csv").write_text("id,label\na,rain\n")
    with pytest.raises(UserError, match="no column 'probability'"):
        read_scores(tmp_path / "short.csv", ["a"], LABELS)
