"""Recordings of GRID: windows of their sound and pictures, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from grid_corpus import write_sentence

from avbalance.data.grid import Utterance, Word, read_talkers
from avbalance.data.recordings import Excerpt, decode, decode_sound
from avbalance.errors import LostClip


@pytest.fixture(scope="module")
def sentence(tmp_path_factory: pytest.TempPathFactory) -> Utterance:
    root = tmp_path_factory.mktemp("grid")
    write_sentence(root, "s1", "bbaf2n")
    return read_talkers(root)["s1"][0]


def test_a_window_is_cut_at_its_time_from_its_region(sentence: Utterance) -> None:
    recording = decode(sentence.path, 8000)
    assert recording.seconds == 3.0 and recording.sound.dtype == np.float32
    word = sentence.word("digit")
    start = recording.span(word, 0.6)
    assert start == pytest.approx(1.4)
    sound = recording.sound_of(start, 0.6)
    assert sound.shape == (4800,) and np.allclose(sound, (1.4 + np.arange(4800) / 8000) / 4, atol=0.01)
    right_half, left_half = (Excerpt((left, 0.1, left + 0.3, 0.9), 16, 25, 8000) for left in (0.6, 0.1))
    right = recording.frames_of(start, 0.6, right_half)
    assert right.shape == (15, 16, 16, 3) and right.dtype == np.uint8
    assert np.allclose(right[..., 0].mean(axis=(1, 2)), 3 * np.arange(35, 50), atol=4)
    assert right[..., 2].max() < 40 < recording.frames_of(start, 0.6, left_half)[..., 2].min()
    few = recording.frames_of(start, 0.6, right_half, fps=5)
    assert np.allclose(few[..., 0].mean(axis=(1, 2)), 3 * np.array([37, 42, 47]), atol=4)
    assert np.allclose(decode_sound(sentence.path, 8000), recording.sound, atol=1e-6)


def test_windows_stay_inside_and_words_must_be_there(tmp_path: Path) -> None:
    recording = decode(write_sentence(tmp_path, "s1", "bbaf2n", frames=74), 8000)
    assert recording.span(Word("adverb", "now", 2.6, 2.9), 1.0) == pytest.approx(1.96)
    assert recording.span(Word("command", "bin", 0.1, 0.3), 1.0) == 0.0
    for word, seconds in ((Word("adverb", "now", 2.6, 3.1), 0.6), (Word("adverb", "now", 2.0, 2.3), 3.0)):
        with pytest.raises(LostClip, match=r"the recording after 2\.96 s") as lost:
            recording.span(word, seconds)
        assert lost.value.status == "short"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer stands in place of the file"),
        (b"", "the file is empty"),
        (b"no media" * 100, "cannot be opened as a media file"),
    ],
)
def test_files_that_are_no_recordings(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bbaf2n.mpg"
    path.write_bytes(content)
    for read in (decode, decode_sound):
        with pytest.raises(LostClip, match=message) as lost:
            read(path, 8000)
        assert lost.value.status == "corrupt"


@pytest.mark.parametrize(("kept", "message"), [("video", "has no sound"), ("audio", "has no pictures")])
def test_a_clip_without_sound_or_pictures(sentence: Utterance, tmp_path: Path, kept: str, message: str) -> None:
    import av

    path = tmp_path / "bbaf2n.mp4"
    with av.open(str(sentence.path)) as source, av.open(str(path), "w") as target:
        track = source.streams.get({kept: 0})[0]
        copy = target.add_stream_from_template(track)
        for packet in source.demux(track):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    with pytest.raises(LostClip, match=message):
        decode(path, 8000)
