import os
import pickle

import numpy as np
import pytest

from avbalance.errors import UserError
from avbalance.features.clip import ClipJob, extract_clip
from avbalance.features.recipes import get_audio_recipe
from avbalance.features.spectrogram_file import load_array, load_log_spectrogram

PAPER = get_audio_recipe("paper48k")


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
        with pytest.raises(UserError, match=f"{position}.pkl: refused"):
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
    with pytest.raises(UserError, match=r"a\.pkl"):
        load_array(write(tmp_path / "a.pkl", value))


def test_broken_bytes_are_refused(tmp_path):
    with pytest.raises(UserError, match="refused"):
        load_array(write(tmp_path / "a.pkl", pickle.dumps(np.zeros((50, 50)))[:300]))


def test_a_magnitude_becomes_its_padded_logarithm(tmp_path):
    magnitude = np.full((257, 1003), np.e, np.float32)
    values = load_log_spectrogram(write(tmp_path / "a.pkl", magnitude), PAPER)
    assert values.shape == (257, 1091)
    assert (values[:, :1003] == 1).all()
    assert (values[:, 1003:] == np.float16(np.log(1e-7))).all()


@pytest.mark.parametrize("array", [np.ones((129, 1091)), np.ones(257), -np.ones((257, 4)), np.full((257, 4), np.nan)])
def test_arrays_that_are_no_magnitude_of_the_recipe_are_refused(tmp_path, array):
    with pytest.raises(UserError):
        load_log_spectrogram(write(tmp_path / "a.pkl", array), PAPER)


def test_in_an_extraction_a_bad_pickle_costs_its_clip(tmp_path):
    bad = write(tmp_path / "bad.pkl", pickle.dumps(Runs(os.getcwd)))
    good = write(tmp_path / "good.pkl", np.ones((257, 1091)))
    zero = write(tmp_path / "zero.pkl", np.zeros((257, 1091)))
    found = [extract_clip(ClipJob(path, None), PAPER, None)[0] for path in (bad, good, zero, tmp_path / "none.pkl")]
    assert [feature.status for feature in found] == ["corrupt", "ok", "silent", "missing"]
    assert "getcwd" in found[0].reason
