"""Clips spliced from takes of words: what is heard and seen in every second is what the manifest says."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grid_corpus import ENDS, STARTS, words_of, write_corpus
from real_data import real

from avbalance.data import sources, word_timelines
from avbalance.data.build import ensure_media
from avbalance.data.grid import KINDS, SECONDS, VOCABULARY, Utterance, read_talkers
from avbalance.data.manifest import Manifest, read_manifest, write_manifest
from avbalance.data.recordings import Excerpt
from avbalance.data.scenes import JointLaw, intervals, plan_timelines
from avbalance.data.word_timelines import WORDS, SplicedClip, make_clip, part_sentences, splice
from avbalance.errors import UserError
from avbalance.features.decode import decode_file
from avbalance.features.recipes import get_audio_recipe
from flowkeeper.files import sha256_file

RATE, SIDE, FPS = 8000, 16, 4
EXCERPT = Excerpt((0.0, 0.0, 1.0, 1.0), SIDE, FPS, RATE)
LOUD = JointLaw(1.0, 1.0, (40.0, 40.0), (40.0, 40.0))  # hardly any noise
_LETTERS = ("blps", "bgrw", "abiw", "abcdefghijklmnopqrstuvxyz", "z123456789", "anps")
_TURNS = (1, 2, 3, 1, 1, 5)
NAMES = ["".join(each[i // turn % len(each)] for each, turn in zip(_LETTERS, _TURNS, strict=True)) for i in range(60)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 sentences, each with a tone of its own."""
    root = tmp_path_factory.mktemp("corpus")
    write_corpus(root, "s1", NAMES)
    return root


@pytest.fixture(scope="module")
def sentences(corpus: Path) -> list[Utterance]:
    return read_talkers(corpus)["s1"]


def _clips(sentences: list[Utterance], scheme: str, count: int) -> list[SplicedClip]:
    planned = plan_timelines(scheme, 3, {"train": count}, len(WORDS), LOUD)
    return splice(planned, {"train": sentences})


def _spec(corpus: Path, scheme: str = "parsing", **changes: Any) -> dict[str, Any]:
    options = {
        "root": str(corpus),
        "talkers": ["s1"],
        "scheme": scheme,
        "seed": 5,
        "clips": {"train": 3, "test": 1},
        "discrepancy_beta": [2.4, 1.2],
        "snr_audio_db": [0.0, 20.0],
        "snr_visual_db": [0.0, 20.0],
        "side": SIDE,
        "rate": RATE,
        **changes,
    }
    return {"kind": "grid-timeline", "stands_for": None, "describe": "real words", "options": options}


def test_parts_share_no_sentence(sentences: list[Utterance]) -> None:
    flawed = Utterance("s1", "bbaf2n", Path("nowhere"), (), "there are no timings")
    parts = part_sentences([*sentences, flawed], 1)
    assert {part: len(each) for part, each in parts.items()} == {"train": 36, "val": 9, "test": 15}
    assert sorted(each.id for part in parts.values() for each in part) == sorted(NAMES)
    assert part_sentences(sentences, 2) != parts == part_sentences(sentences, 1)
    for clip in splice(plan_timelines("localisation", 3, {"train": 4, "val": 1}, 26, LOUD), parts):
        assert {*clip.rests, *(each for takes in clip.takes.values() for each in takes)} <= set(parts[clip.split])


def _tones(second: np.ndarray) -> np.ndarray:
    """Power of each sentence's tone, (60,), in a second of sound."""
    power = np.abs(np.fft.rfft(second * np.hanning(len(second)))) ** 2
    return np.array([power[297 + 50 * number : 304 + 50 * number].sum() for number in range(len(NAMES))])


def test_every_second_is_another_take_of_the_word_that_is_heard(sentences: list[Utterance]) -> None:
    checked = 0
    for clip in _clips(sentences, "parsing", 8):
        sound = make_clip(clip, EXCERPT)[1].reshape(10, RATE)
        said: dict[int, list[int]] = {second: [] for second in range(10)}
        takes: dict[int, list[int]] = {}
        for cls, onset, offset in intervals(clip.scene, "audio"):
            for second in range(onset, offset):
                said[second].append(cls)
        loudness = np.mean(sound**2, axis=1)
        for second, classes in said.items():
            if classes:
                assert loudness[second] > 100 * max([loudness[other] for other in said if not said[other]], default=0)
            heard = np.argsort(_tones(sound[second]))[::-1][: len(classes)]
            owners = {cls: [int(each) for each in heard if WORDS[cls] in words_of(NAMES[each])] for cls in classes}
            assert all(owners.values()), (clip.id, second)
            if len(classes) == 1:
                takes.setdefault(classes[0], []).append(owners[classes[0]][0])
        for cls, numbers in takes.items():
            distinct = min(len(numbers), sum(WORDS[cls] in words_of(name) for name in NAMES))
            assert len(set(numbers)) >= distinct - 1  # a tone may be hidden by another word's in a second or two
            checked += len(numbers)
    assert checked > 30


@pytest.mark.parametrize("scheme", ["parsing", "localisation"])
def test_pictures_show_the_words_one_over_the_other_and_else_a_mouth_at_rest(
    sentences: list[Utterance], scheme: str
) -> None:
    middles = dict(zip(KINDS, (np.array(STARTS) + np.array(ENDS)) / 2, strict=True))
    times = {cls: middles[kind] for cls, word in enumerate(WORDS) for kind in KINDS if word in VOCABULARY[kind]}
    rest = (ENDS[-1] + SECONDS) / 2  # the pause after the sentence is the longer one
    overlaps = compared = 0
    for clip in _clips(sentences, scheme, 10):
        frames = make_clip(clip, EXCERPT)[0].astype(float)
        assert frames.shape == (10 * FPS, SIDE, SIDE, 3)
        scale = (frames[:, :, : SIDE // 2 - 1, 2].mean() - frames[:, :, SIDE // 2 + 1 :, 2].mean()) / 200
        measured = frames[..., 0].reshape(10, -1).mean(axis=1) / scale / 3 / 25  # s: red rises by 3 with every picture
        seen: list[list[float]] = [[] for _ in range(10)]
        for cls, onset, offset in intervals(clip.scene, "visual"):
            for second in range(onset, offset):
                seen[second].append(times[cls])
        expected = np.array([np.mean(words or [rest]) for words in seen])
        assert np.abs(measured - measured.mean() - expected + expected.mean()).max() < 0.1
        overlaps += sum(len(words) > 1 for words in seen)
        compared += len(np.unique(expected)) > 1
    assert compared >= 3 and (scheme == "localisation" or overlaps >= 3)


def test_the_manifest_says_what_is_in_every_clip(corpus: Path, tmp_path: Path) -> None:
    write_manifest(sources.build("toy", _spec(corpus), tmp_path), tmp_path / "manifest.parquet")
    manifest = read_manifest(tmp_path / "manifest.parquet")
    assert manifest.classes == list(WORDS) and (manifest.frame["status"] == "ok").all()
    assert manifest.frame["split"].tolist() == ["train"] * 3 + ["test"]
    heard, seen = manifest.timeline("events_audio"), manifest.timeline("events_visual")
    assert np.array_equal(manifest.label_matrix(), (heard | seen).any(axis=2))
    assert not np.array_equal(heard, seen)
    assert manifest.frame["planted_audio"].between(0, 1).all()
    before = {row.audio: row.sha256 for row in manifest.frame.itertuples()}
    assert {name: sha256_file(tmp_path / "media" / name) for name in before} == before
    (tmp_path / "media" / "train-00001.mp4").unlink()
    ensure_media(tmp_path / "manifest.parquet")
    assert sha256_file(tmp_path / "media" / "train-00001.mp4") == before["train-00001.mp4"]


def _identity(corpus: Path, folder: Path) -> Manifest:
    return sources.build("toy", _spec(corpus, clips={"train": 1, "test": 1}), folder)


def test_a_broken_recording_gives_way_to_another_and_other_sentences_make_other_data(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "corpus"
    for folder in ("s1", "align/s1"):
        (root / folder).mkdir(parents=True)
        for path in (corpus / folder).iterdir():
            os.link(path, root / folder / path.name)
    first = _identity(root, tmp_path / "a")
    broken = NAMES[:20]
    for name in broken:
        (root / "s1" / f"{name}.mp4").unlink()
        (root / "s1" / f"{name}.mp4").write_bytes(b"no recording")
    word_timelines.cut_out.cache_clear()  # as in a new process
    with caplog.at_level(logging.WARNING):
        again = _identity(root, tmp_path / "a")
    assert (again.frame["status"] == "ok").all() and (again.frame["sha256"] != first.frame["sha256"]).any()
    assert "gives way to other takes" in caplog.text
    assert again.card["digest"] == first.card["digest"]  # the same sentences
    (root / "s1" / f"{NAMES[50]}.mp4").unlink()
    assert _identity(root, tmp_path / "b").card["digest"] != first.card["digest"]


def test_a_part_without_a_word_is_named(sentences: list[Utterance]) -> None:
    few = [each for each in sentences if each.word("digit").word != "zero"]
    planned = plan_timelines("localisation", 3, {"val": 1}, 26, LOUD)
    with pytest.raises(UserError, match="no sentence of part val has the word 'zero'; give more talkers"):
        splice(planned, {"val": few})


def test_real_words_are_heard_when_the_truth_says_so(tmp_path: Path) -> None:
    law = {"snr_audio_db": [40.0, 40.0], "snr_visual_db": [40.0, 40.0]}
    manifest = sources.build("toy", _spec(real("grid"), rate=16000, clips={"train": 3, "test": 1}, **law), tmp_path)
    assert (manifest.frame["status"] == "ok").all()
    truth, differing = manifest.timeline("events_audio").any(axis=1), 0
    for name, active in zip(manifest.frame["audio"], truth, strict=True):
        sound, _ = decode_file(tmp_path / "media" / name, get_audio_recipe("seconds10-mel128"), None)
        loudness = np.mean(sound.waveform[:160_000].reshape(10, 16000) ** 2, axis=1)
        if active.any() and not active.all():
            assert loudness[active].min() > 100 * loudness[~active].max()
            differing += 1
    assert differing


def test_background_is_a_class_of_localisation(corpus: Path, tmp_path: Path) -> None:
    manifest = sources.build("toy", _spec(corpus, "localisation"), tmp_path)
    assert manifest.classes == [*WORDS, "Background"]
    assert np.array_equal(manifest.timeline("events_audio"), manifest.timeline("events_visual"))
