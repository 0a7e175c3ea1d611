"""Tables of categories: SPEC of balanced-audiovisual, section 8, step 1."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from real_data import real

from avbalance.data.categories import labels_of_categories, read_categories
from avbalance.errors import UserError

REPOSITORY = Path(__file__).parents[2]
TABLE = REPOSITORY / "workflow" / "papers" / "balanced-audiovisual" / "categories.yaml"
LABELS = ["barking", "meowing", "rain"]


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

    with open(real("vggsound", "stat.csv"), encoding="utf-8") as handle:
        classes = [row[0] for row in csv.reader(handle)]
    kinetics = list(R2Plus1D_18_Weights.KINETICS400_V1.meta["categories"])
    assert (len(classes), len(kinetics)) == (309, 400)
    categories = read_categories(TABLE, {"audio": classes, "visual": kinetics})
    assert len(categories.names) == 30
    assert (categories.members["visual"][:, categories.names.index("eating")] == 1).sum() == 9
    with pytest.raises(UserError, match="no label 'bowling impact'"):
        read_categories(TABLE, {"audio": [name for name in classes if name != "bowling impact"], "visual": kinetics})


def test_the_labels_of_one_modality_are_told_without_the_other(tmp_path: Path) -> None:
    table = tmp_path / "categories.yaml"
    table.write_text("animal: {audio: [meowing, barking], visual: ['p*']}\n")
    assert labels_of_categories(table, "audio", LABELS) == ["barking", "meowing"]
    assert labels_of_categories(table, "visual", ["sky", "pug", "poodle"]) == ["pug", "poodle"]
    with pytest.raises(UserError, match="no label 'meowing'"):
        labels_of_categories(table, "audio", ["barking"])
