"""CREMA-D's split lists, made up and real."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from avbalance.data.annotations import refuse_repeats
from avbalance.data.cremad import CLASSES, actor, read_split
from avbalance.errors import UserError
from flowkeeper.files import sha256_file

SHA256 = {
    "train": "68d0d3fd253830328fc92c68f3cf2e215db8c5b86757ad9c5112d2c76ba68bde",
    "test": "14866c99301fd56fb4a16f8a7048a8a6372a47069aee9f216443bc718be45f1f",
}


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_a_list_gives_clips_labels_and_actors(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", "\ufeff1999_IOM_ANG_XX,ANG\r\n1998_IEO_HAP_LO,HAP\r\n")
    split = read_split(path)
    assert split.ids == ("1999_IOM_ANG_XX", "1998_IEO_HAP_LO") and actor(split.ids[0]) == "1999"
    assert split.labels.tolist() == [5, 1]
    other = read_split(_write(tmp_path / "b.csv", "1998_IEO_HAP_HI,HAP\n1998_IEO_HAP_LO,HAP\n"))
    with pytest.raises(UserError, match=r"b\.csv, row 2: '1998_IEO_HAP_LO' stands in .*a\.csv, row 2, already"):
        refuse_repeats([split, other])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1998_IEO_HAP_LO,SAD", "'SAD' is not the emotion in '1998_IEO_HAP_LO'"),
        ("1998_IEO_JOY_LO,JOY", "unknown emotion 'JOY'; write one of NEU, HAP"),
        ("1998_IEO_HAP_LO", "is not <actor>_<sentence>"),
        ("1998_IEO_HAP_LO.wav,HAP", "is not <actor>_<sentence>"),
        ("", "is not <actor>_<sentence>"),
        ("1999_IOM_ANG_XX,ANG", "stands in .*row 1, already"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    path = _write(tmp_path / "a.csv", f"1999_IOM_ANG_XX,ANG\n{row}\n")
    with pytest.raises(UserError, match=rf"a\.csv, row 2: .*{message}"):
        read_split(path)


def test_an_absent_list_is_named_with_its_source(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.csv: no such file; take it from .*OGM-GE_CVPR2022"):
        read_split(tmp_path / "train.csv")


def test_the_real_lists() -> None:
    real = os.environ.get("AVBALANCE_REAL_DATA")
    if real is None:
        pytest.skip("AVBALANCE_REAL_DATA is not set: the folder that holds cremad/ is unknown")
    folder = Path(real) / "cremad"
    assert tuple((folder / "stat.csv").read_text(encoding="utf-8-sig").split()) == CLASSES
    assert {name: sha256_file(folder / f"{name}.csv") for name in SHA256} == SHA256
    train, test = (read_split(folder / f"{name}.csv") for name in SHA256)
    refuse_repeats([train, test])
    assert np.bincount(train.labels).tolist() == [973, 1148, 1131, 1138, 1142, 1166] and len(train.ids) == 6698
    assert np.bincount(test.labels).tolist() == [114, 123, 140, 133, 129, 105] and len(test.ids) == 744
    assert {*map(actor, train.ids)} == {*map(actor, test.ids)} and len({*map(actor, test.ids)}) == 91
