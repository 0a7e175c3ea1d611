"""Recordings of which it is known what each modality tells, and the table that the instruments are tried in."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from grid_corpus import real_grid

from avbalance.diagnosis import recorded, validation
from avbalance.diagnosis.recorded import RATE, Recordings, read_recordings, write_recorded
from avbalance.diagnosis.worlds import RECORDED, WORLDS, World
from avbalance.features.store import open_store

PARTS = {"train": 40, "val": 16, "test": 24}
SPLIT = np.repeat(list(PARTS), list(PARTS.values()))
NUMBERS = np.arange(len(SPLIT))
LOUDER = 1.3  # each clip of a colour than the one before


@pytest.fixture(scope="module")
def tones() -> Recordings:
    """Made-up recordings: pitch and grey tell the colour, loudness and the last digits of the grey which clip it is."""
    pitch, level = 500.0 * 2.0 ** (NUMBERS % 4), 0.001 * LOUDER ** (NUMBERS // 4)
    sounds = level[:, None] * np.sin(2 * np.pi * pitch[:, None] * np.arange(8000) / RATE)
    greys = (40 + 50 * (NUMBERS % 4) + NUMBERS // 4).astype(np.uint8)
    pictures = np.tile(greys[:, None, None, None, None], (1, 5, 32, 32, 3))
    return Recordings(sounds.astype(np.float32), pictures, NUMBERS % 4, SPLIT)


def made(name: str, tones: Recordings, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels (N,) of a world's clips, and numbers (N,) of the recordings that are heard and seen; -1 under noise."""
    folder.mkdir()
    stores = write_recorded(tones, RECORDED[name], folder)
    labels = pd.read_parquet(stores.manifest)["label"].str.removeprefix("class").astype(int).to_numpy()
    maps, pictures = (np.asarray(open_store(path).array, np.float64) for path in (stores.audio, stores.visual))
    greys = pictures.mean((1, 2, 3, 4)).round().astype(int) - 40
    seen = np.where(pictures.std((1, 2, 3, 4)) == 0, greys // 50 + 4 * (greys % 50), -1)
    colour = np.searchsorted([8, 14, 20], maps.mean(2).argmax(1))  # borders between the bands of the four pitches
    loudest = maps.max((1, 2))
    clip = np.round((loudest + 4) / (2 * np.log(LOUDER))).astype(int)
    pure = maps.min((1, 2)) < -10  # nothing is heard in the other bands
    return labels, np.where(pure, colour + 4 * clip, -1), seen


def test_sound_and_pictures_of_one_symbol_are_of_one_clip_and_all_are_used(tones: Recordings, tmp_path: Path) -> None:
    labels, heard, seen = made("recordings as they are", tones, tmp_path / "plain")
    assert (heard == seen).all()
    assert sorted(seen) == NUMBERS.tolist()
    assert (seen % 4 == labels).all()


@pytest.mark.parametrize("name", [name for name in RECORDED if "drowned" not in name and "replaced" not in name])
def test_recordings_stay_in_their_part(name: str, tones: Recordings, tmp_path: Path) -> None:
    _, heard, seen = made(name, tones, tmp_path / "world")
    assert (SPLIT[heard] == SPLIT).all()
    assert (SPLIT[seen] == SPLIT).all()


def test_what_is_planted(tones: Recordings, tmp_path: Path) -> None:
    plant = partial(made, tones=tones)
    labels, heard, seen = plant("recordings, sound drowned", folder=tmp_path / "drowned")
    assert (heard == -1).all()
    assert (seen % 4 == labels).all()
    labels, heard, seen = plant("recordings, pictures replaced", folder=tmp_path / "replaced")
    assert (heard % 4 == labels).all()
    assert (seen == -1).all()
    labels, heard, seen = plant("recordings, sound of others", folder=tmp_path / "others")
    assert (seen % 4 == labels).all()
    assert (heard % 4 == labels).mean() < 0.5
    labels, heard, seen = plant("recordings, each a half", folder=tmp_path / "halves")
    assert (2 * (heard % 4) + seen % 4 == labels).all()
    labels, heard, seen = plant("recordings, only together", folder=tmp_path / "together")
    assert ((heard % 4 != seen % 4) == labels).all()
    labels, heard, seen = plant("recordings, labels permuted", folder=tmp_path / "permuted")
    right = seen % 4 == labels
    assert right[SPLIT == "test"].all()
    assert right[SPLIT != "test"].mean() < 0.5


def test_everything_that_is_wanted_is_measured(tones: Recordings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "EPOCHS", 1)
    monkeypatch.setattr(validation, "SEEDS", (0,))
    found = validation.findings_in(RECORDED["recordings as they are"], partial(write_recorded, tones))
    for world in (*WORLDS.values(), *RECORDED.values()):
        assert {holds(found) for holds in world.wanted.values()} <= {True, False}


def test_the_table_says_that_recordings_were_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "WORLDS", {})
    said: list[str] = []
    validation.validate(tmp_path / "table.md", said.append, tmp_path / "grid")
    assert said == [
        f"{tmp_path}/grid: no such folder: real recordings are left out; --recordings FOLDER says where GRID lies"
    ]
    assert "Real recordings are left out" in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_instruments_are_tried_on_real_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "EPOCHS", 1)
    monkeypatch.setattr(validation, "SEEDS", (0,))
    monkeypatch.setattr(validation, "WORLDS", {})
    name = "recordings, sound drowned"
    monkeypatch.setattr(validation, "RECORDED", {name: RECORDED[name]})
    monkeypatch.setattr(validation, "read_recordings", partial(read_recordings, sizes=PARTS))
    validation.validate(tmp_path / "table.md", lambda line: None, real_grid())
    page = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert page.count(f"| {name} | sound in noise of 40 dB more |") == len(RECORDED[name].wanted)
    assert "talker 1 of [GRID]" in page


def test_where_the_joint_model_learnt_nothing_the_table_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World("planted", lambda labels, generator: (labels, labels), (1.0, 1.0), {"use": lambda found: False})
    worlds = {"plain": world, "good": world, "permuted": replace(world, permuted=True)}
    accuracies = iter([29.0, 80.0, 25.0])
    monkeypatch.setattr(validation, "WORLDS", worlds)
    monkeypatch.setattr(
        validation,
        "findings_in",
        lambda world, write: {"chance": 25.0, "accuracy": {"baseline": {"value": next(accuracies)}}},
    )
    assert not validation.validate(tmp_path / "table.md", lambda line: None, tmp_path / "grid")
    page = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert page.count("| use | **no** |") == 3
    assert page.count("learnt nothing") == 1
    assert "plain (29.0 % right, chance 25.0 %)" in page
