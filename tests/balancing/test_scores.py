"""Files of scores and the table of categories: SPEC section 8, step 1."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avbalance.balancing.scores import read_categories, read_scores
from avbalance.errors import UserError

REPOSITORY = Path(__file__).parents[2]
TABLE = REPOSITORY / "workflow" / "papers" / "balanced-audiovisual" / "categories.yaml"
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


def test_the_probability_of_a_category_is_the_sum_over_its_labels(tmp_path: Path) -> None:
    table = tmp_path / "categories.yaml"
    table.write_text("animal: {audio: [barking, meowing], visual: ['p*']}\nweather: {audio: [rain], visual: [sky]}\n")
    categories = read_categories(table, {"audio": LABELS, "visual": ["sky", "pug", "poodle"]})
    integrated = categories.integrated({"audio": np.array([[0.5, 0.2, 0.3]]), "visual": np.array([[0.1, 0.6, 0.3]])})
    assert categories.names == ["animal", "weather"]
    np.testing.assert_allclose(integrated["audio"], [[0.7, 0.3]])
    np.testing.assert_allclose(integrated["visual"], [[0.9, 0.1]])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("animal: {audio: [barkng], visual: [pug]}", r"animal, audio: the network has no label 'barkng'; did you mean"),
        ("animal: {audio: [barking]}", r"animal names no label of visual"),
        ("a: {audio: [rain], visual: [pug]}\nb: {audio: [rain], visual: [sky]}", r"'rain' of audio belongs to two"),
        ("[]", r"holds no categories"),
        ("a: [", r"not readable as YAML"),
    ],
)
def test_a_wrong_table_is_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "categories.yaml").write_text(text)
    with pytest.raises(UserError, match=told):
        read_categories(tmp_path / "categories.yaml", {"audio": LABELS, "visual": ["sky", "pug"]})


def test_every_label_of_the_thirty_categories_is_one_of_kinetics_and_vggsound() -> None:
    from torchvision.models.video import R2Plus1D_18_Weights

    if "AVBALANCE_REAL_DATA" not in os.environ:
        pytest.skip("AVBALANCE_REAL_DATA names no folder: the list of VGG-Sound's classes is not at hand")
    with open(Path(os.environ["AVBALANCE_REAL_DATA"]) / "vggsound" / "stat.csv", encoding="utf-8") as handle:
        classes = [row[0] for row in csv.reader(handle)]
    kinetics = list(R2Plus1D_18_Weights.KINETICS400_V1.meta["categories"])
    assert (len(classes), len(kinetics)) == (309, 400)
    categories = read_categories(TABLE, {"audio": classes, "visual": kinetics})
    assert len(categories.names) == 30
    assert (categories.members["visual"][:, categories.names.index("eating")] == 1).sum() == 9
    with pytest.raises(UserError, match="no label 'bowling impact'"):
        read_categories(TABLE, {"audio": [name for name in classes if name != "bowling impact"], "visual": kinetics})
