"""Pickled spectrograms and released features; every bad file is named with what it holds."""

from __future__ import annotations

import os
import pickle
import re

import h5py
import numpy as np
import pytest
from clip_files import tone, write_clip_manifest, write_wav
from embedding_files import embeddings, record, sequence_example, write_records

from avbalance.errors import LostClip
from avbalance.features.clip import ClipJob, extract_clip
from avbalance.features.extract import extract
from avbalance.features.ready_made import load_array, read_spectrogram
from avbalance.features.recipes import get_audio_recipe, get_visual_recipe
from avbalance.features.store import open_store

FOUR, ONE_A_SECOND = get_visual_recipe("fps1-middle-8-4s"), get_visual_recipe("fps1-middle-256")
PAPER = get_audio_recipe("paper48k")
AUDIO, VISUAL = get_audio_recipe("seconds10-vggish"), get_visual_recipe("seconds10-res152-r2plus1d")
GRID = get_visual_recipe("seconds10-vgg19")
EMBEDDED = get_audio_recipe("seconds10-vggish-pca")


# Pickled spectrograms


def write(path, value, protocol=4):
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_arrays_of_every_pickle_protocol(tmp_path, protocol):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert np.array_equal(load_array(write(tmp_path / "a.pkl", array, protocol)), array)


def test_arrays_pickled_by_an_old_numpy(tmp_path):
    data = pickle.dumps(np.arange(3.0), 2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert load_array(write(tmp_path / "a.pkl", data)).tolist() == [0, 1, 2]


class Runs:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path, protocol):
    proof = tmp_path / "proof"
    for position, payload in enumerate(
        [
            Runs(os.system, f"touch {proof}"),
            [Runs(os.mkdir, str(proof))],
            Runs(eval, f"open({str(proof)!r}, 'w')"),
            Runs(np.load, str(proof)),
            Runs(getattr, "text", "upper"),
        ]
    ):
        path = write(tmp_path / f"{position}.pkl", pickle.dumps(payload, protocol))
        with pytest.raises(LostClip, match=f"{position}.pkl: refused"):
            load_array(path)
    assert not proof.exists()


@pytest.mark.parametrize(
    "value",
    [
        np.array([Runs(os.getcwd)], dtype=object),
        np.array([{"a": 1}], dtype=object),
        np.array(["text"]),
        [1.0, 2.0],
        {"spectrogram": 1},
    ],
)
def test_anything_but_an_array_of_numbers_is_refused(tmp_path, value):
    with pytest.raises(LostClip, match=r"a\.pkl"):
        load_array(write(tmp_path / "a.pkl", value))


def test_broken_bytes_are_refused(tmp_path):
    with pytest.raises(LostClip, match="refused"):
        load_array(write(tmp_path / "a.pkl", pickle.dumps(np.zeros((50, 50)))[:300]))


def test_a_magnitude_becomes_its_padded_logarithm(tmp_path):
    magnitude = np.full((257, 1003), np.e, np.float32)
    values = read_spectrogram(write(tmp_path / "a.pkl", magnitude), PAPER)
    assert values.shape == (257, 1091)
    assert (values[:, :1003] == 1).all()
    assert (values[:, 1003:] == np.float16(np.log(1e-7))).all()


@pytest.mark.parametrize("array", [np.ones((129, 1091)), np.ones(257), -np.ones((257, 4)), np.full((257, 4), np.nan)])
def test_arrays_that_are_no_magnitude_of_the_recipe_are_refused(tmp_path, array):
    with pytest.raises(LostClip):
        read_spectrogram(write(tmp_path / "a.pkl", array), PAPER)


def test_in_an_extraction_a_bad_pickle_costs_its_clip(tmp_path):
    bad = write(tmp_path / "bad.pkl", pickle.dumps(Runs(os.getcwd)))
    good = write(tmp_path / "good.pkl", np.ones((257, 1091)))
    zero = write(tmp_path / "zero.pkl", np.zeros((257, 1091)))
    found = [extract_clip(ClipJob(path, None), PAPER, None)[0] for path in (bad, good, zero, tmp_path / "none.pkl")]
    assert [feature.status for feature in found] == ["corrupt", "ok", "silent", "missing"]
    assert "getcwd" in found[0].reason


# Released features


@pytest.fixture
def feats(tmp_path):
    """Features of two clips in the layout of LLP, other values in each."""
    rng = np.random.default_rng(0)
    for folder, shape in (("vggish", (10, 128)), ("res152", (80, 2048)), ("r2plus1d_18", (10, 512))):
        (tmp_path / "media" / folder).mkdir(parents=True)
        for name in ("a", "b"):
            np.save(tmp_path / "media" / folder / f"{name}.npy", rng.normal(size=shape).astype(np.float32))
    return tmp_path / "media"


def heard(path, recipe=AUDIO):
    return extract_clip(ClipJob(path, None), recipe, None)[0]


def seen(path, recipe=VISUAL):
    return extract_clip(ClipJob(None, path), None, recipe)[1]


def test_frames_are_averaged_over_each_second_and_clips_follow(feats):
    frames = np.repeat(np.arange(80, dtype=np.float32)[:, None], 2048, axis=1)
    np.save(feats / "res152" / "a.npy", frames)
    clips = np.load(feats / "r2plus1d_18" / "a.npy")
    feature = seen(feats / "res152" / "a.npy")
    # Second s has the frames 8s ... 8s + 7, their mean is 8s + 3.5.
    assert (feature.array[:, :2048] == (8 * np.arange(10) + 3.5)[:, None]).all()
    assert np.array_equal(feature.array[:, 2048:], clips.astype(np.float16))
    assert (feature.status, feature.n_frames, feature.duration) == ("ok", 10, 10.0)


def test_sound_is_taken_as_it_is(feats):
    feature = heard(feats / "vggish" / "b.npy")
    assert np.array_equal(feature.array, np.load(feats / "vggish" / "b.npy").astype(np.float16))


def test_a_store_of_released_features_needs_no_weights(tmp_path, feats, monkeypatch):
    monkeypatch.setenv("AVBALANCE_WEIGHTS", str(tmp_path / "nowhere"))
    names = ["a.npy", "absent.npy", "b.npy"]
    manifest = write_clip_manifest(
        tmp_path, names, audio=[f"vggish/{name}" for name in names], visual=[f"res152/{name}" for name in names]
    )
    out = extract(manifest, {"audio": AUDIO.name, "visual": VISUAL.name}, tmp_path / "out")
    audio, visual = open_store(out["audio"]), open_store(out["visual"])
    assert (audio.array.shape, visual.array.shape) == ((2, 10, 128), (2, 10, 2560))
    assert audio.index["status"].tolist() == ["ok", "missing", "ok"]
    assert visual.card["losses"] == {"missing": 1} and "weights" not in visual.card
    assert str(feats / "vggish" / "absent.npy") in audio.index["reason"].iloc[1]


@pytest.mark.parametrize(
    ("folder", "array", "message"),
    [
        ("vggish", np.zeros((10, 64), np.float32), r"vggish/a\.npy: holds float32 \(10, 64\), float32 \(10, 128\)"),
        ("vggish", np.zeros((10, 128), np.int64), r"holds int64 \(10, 128\)"),
        ("vggish", np.full((10, 128), np.nan, np.float32), "NaN or infinite"),
        ("vggish", np.full((10, 128), 1e6, np.float32), "beyond those of float16"),
        ("vggish", np.array(["pickled", None], object), "not a readable .npy file"),
        (
            "res152",
            np.zeros((10, 2048), np.float32),
            r"res152/a\.npy: holds float32 \(10, 2048\), float32 \(80, 2048\)",
        ),
        ("r2plus1d_18", np.zeros((10, 1024), np.float32), r"r2plus1d_18/a\.npy: holds .*float32 \(10, 512\) is wanted"),
    ],
)
def test_a_bad_file_is_named_with_what_it_holds(feats, folder, array, message):
    np.save(feats / folder / "a.npy", array, allow_pickle=True)
    feature = heard(feats / "vggish" / "a.npy") if folder == "vggish" else seen(feats / "res152" / "a.npy")
    assert (feature.array, feature.status) == (None, "corrupt")
    assert re.search(message, feature.reason)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"<html>", b"PK\x05\x06" + bytes(18)])
def test_a_file_of_something_else_is_corrupt(feats, content):
    (feats / "vggish" / "a.npy").write_bytes(content)
    feature = heard(feats / "vggish" / "a.npy")
    assert feature.status == "corrupt" and "vggish/a.npy" in feature.reason


@pytest.mark.parametrize("folder", ["res152", "r2plus1d_18"])
def test_a_missing_file_or_sibling_is_missing_by_its_own_name(feats, folder):
    (feats / folder / "a.npy").unlink()
    feature = seen(feats / "res152" / "a.npy")
    assert feature.status == "missing" and feature.reason.startswith(str(feats / folder / "a.npy"))


def test_features_of_zeros_are_flagged(feats):
    np.save(feats / "vggish" / "a.npy", np.zeros((10, 128), np.float32))
    feature = heard(feats / "vggish" / "a.npy")
    assert feature.status == "silent" and feature.array is not None


def test_a_recipe_that_makes_features_itself_takes_no_released_ones(feats):
    for recipe in ("seconds10-mel128", "logmel8x16-1s"):
        feature = extract_clip(ClipJob(feats / "vggish" / "a.npy", None), get_audio_recipe(recipe), None)[0]
        assert feature.status == "corrupt" and "choose seconds10-vggish" in feature.reason


def test_media_beside_released_features_ask_for_weights(tmp_path, feats, monkeypatch):
    write_wav(feats / "c.wav", tone(1.0))
    monkeypatch.setenv("AVBALANCE_WEIGHTS", str(tmp_path / "nowhere"))
    manifest = write_clip_manifest(tmp_path, ["vggish/a.npy", "c.wav"])
    with pytest.raises(Exception, match=r"vggish-10086976\.pth: no such file"):
        extract(manifest, {"audio": AUDIO.name}, tmp_path / "out")


@pytest.fixture
def ave(tmp_path):
    rng = np.random.default_rng(1)
    with h5py.File(tmp_path / "audio_feature.h5", "w") as file:
        file["avadataset"] = rng.normal(size=(3, 10, 128)).astype(np.float32)
    with h5py.File(tmp_path / "visual_feature.h5", "w") as file:
        file["avadataset"] = rng.normal(size=(3, 10, 7, 7, 512)).astype(np.float32)
    return tmp_path


def test_a_row_of_an_hdf5_file_is_one_clip(ave):
    for name, recipe, read in (("audio_feature", AUDIO, heard), ("visual_feature", GRID, lambda p: seen(p, GRID))):
        with h5py.File(ave / f"{name}.h5") as file:
            wanted = file["avadataset"][2].astype(np.float16)
        feature = read(ave / f"{name}.h5#2")
        assert feature.array.shape == recipe.shape and np.array_equal(feature.array, wanted)


def test_bad_rows_of_an_hdf5_file_are_named(ave):
    assert "holds 3 clips" in heard(ave / "audio_feature.h5#3").reason
    wrong = heard(ave / "visual_feature.h5#0")
    assert wrong.status == "corrupt" and "row 0: holds float32 (10, 7, 7, 512), float32 (10, 128)" in wrong.reason
    assert heard(ave / "absent.h5#0").status == "missing"
    (ave / "audio_feature.h5").write_bytes(b"no hdf5")
    assert "no readable dataset avadataset" in heard(ave / "audio_feature.h5#0").reason
    with h5py.File(ave / "other.h5", "w") as file:
        file["something"] = np.zeros(3)
    assert heard(ave / "other.h5#0").status == "corrupt"


def test_a_record_becomes_values_between_minus_2_and_2(tmp_path):
    first, second = write_records(tmp_path / "-0.tfrecord", ("-0AAAAAAA_1", 30.0), ("-0BBBBBBBB2", 0.0))
    feature = heard(tmp_path / f"-0.tfrecord#{second}", EMBEDDED)
    assert (feature.status, feature.n_frames, feature.duration) == ("ok", 10, 10.0)
    # q stands for the values from 4 q / 255 - 2 on, up to the next; 4 / 512 is half of 4 / 256
    wanted = embeddings(1) / 255 * 4 - 2 + 4 / 512
    assert np.abs(feature.array - wanted).max() < 1e-3  # float16
    assert len(np.unique(feature.array)) == len(np.unique(embeddings(1))) > 200
    assert not np.array_equal(feature.array, heard(tmp_path / f"-0.tfrecord#{first}", EMBEDDED).array)


@pytest.mark.parametrize(("seconds", "status"), [(12, "ok"), (10, "ok"), (7, "partial"), (1, "partial")])
def test_a_shorter_record_repeats_its_last_second_and_a_longer_one_is_cut(tmp_path, seconds, status):
    (tmp_path / "-0.tfrecord").write_bytes(record(sequence_example("-0AAAAAAA_1", 0.0, embeddings(5, seconds))))
    feature = heard(tmp_path / "-0.tfrecord#0", EMBEDDED)
    rows = np.minimum(np.arange(10), seconds - 1)
    assert np.abs(feature.array - (embeddings(5, seconds)[rows] / 255 * 4 - 2 + 4 / 512)).max() < 1e-3
    assert (feature.status, feature.n_frames) == (status, min(seconds, 10))


def test_bad_records_are_named(tmp_path):
    path = tmp_path / "-0.tfrecord"
    write_records(path, ("-0AAAAAAA_1", 30.0))
    assert "byte 8: the checksum of the record's length is wrong" in heard(tmp_path / "-0.tfrecord#8", EMBEDDED).reason
    missing = heard(tmp_path / "-1.tfrecord#0", EMBEDDED)
    assert missing.status == "missing" and "-1.tfrecord: there is no such file" in missing.reason
    narrow = record(sequence_example("-0AAAAAAA_1", 0.0, embeddings(0)[:, :64]))
    path.write_bytes(narrow)
    wrong = heard(tmp_path / "-0.tfrecord#0", EMBEDDED)
    assert wrong.status == "corrupt" and "byte 0: holds uint8 (10, 64), (seconds, 128) is wanted" in wrong.reason


def test_records_and_other_features_are_not_taken_for_each_other(tmp_path, feats):
    write_records(tmp_path / "-0.tfrecord", ("-0AAAAAAA_1", 30.0))
    for path, recipe in ((tmp_path / "-0.tfrecord#0", AUDIO), (feats / "vggish" / "a.npy", EMBEDDED)):
        assert "choose seconds10-vggish for sound" in heard(path, recipe).reason
    write_wav(feats / "c.wav", tone(1.0))
    with pytest.raises(Exception, match=r"c\.wav: seconds10-vggish-pca is read from released features alone"):
        extract(write_clip_manifest(tmp_path, ["c.wav"]), {"audio": EMBEDDED.name}, tmp_path / "out")
