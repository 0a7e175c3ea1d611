"""Sound on the time line: late, with gaps, beyond what FFmpeg reads; mixed and resampled."""

import dataclasses
from fractions import Fraction

import av
import numpy as np
import pytest
from clip_files import RATE, ffmpeg, grey_steps, tone, write_mp4, write_wav

from avbalance.features.decode import decode_file
from avbalance.features.recipes import get_audio_recipe, get_visual_recipe
from avbalance.features.sound_track import Sound, resample

WHOLE = dataclasses.replace(get_audio_recipe("logmel32x64-4s"), seconds=None)  # asks for all of a track


def heard(path) -> Sound:
    return decode_file(path, WHOLE, None)[0]


def test_stereo_is_the_mean_of_its_channels(tmp_path):
    left = tone(1.0)
    sound = heard(write_wav(tmp_path / "a.wav", np.stack([left, np.zeros_like(left)], axis=1)))
    np.testing.assert_allclose(sound.waveform, left / 2, atol=2e-5)


def test_resampling_keeps_length_level_and_phase(tmp_path):
    result = resample(tone(1.0, 8000, 300.0), 8000, RATE)
    assert len(result) == 16_000
    np.testing.assert_allclose(result[100:-100], tone(1.0, RATE, 300.0)[100:-100], atol=2e-3)


def test_faint_sound_is_not_silence(tmp_path):
    # -80 dB is 1e-4 of full scale, three steps of 16 bits; -90 dB is 3.2e-5
    assert heard(write_wav(tmp_path / "a.wav", tone() * 2e-4)).status == "ok"


def write_float_wav(path, samples):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=RATE)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_told_and_not_trained_on(tmp_path, value):
    samples = tone(1.0)
    samples[4000:4002] = value
    sound = heard(write_float_wav(tmp_path / "a.wav", samples))
    assert (sound.status, sound.reason) == ("corrupt", "2 samples are NaN or infinite, the first at 0.25 s")


def write_pieces(path, starts, rate=RATE):
    """One second of a tone at each of the times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac" if path.suffix == ".mkv" else "pcm_s16le", rate=rate)
        stream.layout, stream.format = "mono", "s16"
        for start in starts:
            samples = np.rint(tone(1.0, rate) * 32767).astype(np.int16)
            for first in range(0, rate, 4000):
                frame = av.AudioFrame.from_ndarray(samples[None, first : first + 4000], format="s16", layout="mono")
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = round(start * rate) + first
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_pause_of_the_recorder_stays_a_pause(tmp_path):
    path = write_pieces(tmp_path / "a.mkv", [0.0, 1.3, 2.3])
    sound = heard(path)
    assert sound.status == "ok" and len(sound.waveform) == pytest.approx(3.3 * RATE, abs=32)
    # FFmpeg's own program fills the gap likewise when it is asked to.
    filled = np.frombuffer(ffmpeg("-i", path, "-af", "aresample=async=1", "-f", "f32le", "-"), np.float32)
    for samples in (sound.waveform, filled):
        loud = np.abs(samples[: 329 * 160]).reshape(-1, 160).max(axis=1) > 0.1
        assert [loud[:99].all(), loud[102:128].any(), loud[131:].all()] == [True, False, True]


def test_a_file_that_lost_much_of_its_sound_is_not_whole_because_silence_fills_it(tmp_path):
    sound = heard(write_pieces(tmp_path / "a.mkv", [0.0, 7.0]))
    assert (sound.status, sound.reason) == (
        "truncated",
        "only 2.00 s of the declared 8.00 s can be decoded, with 6.00 s of gaps in between",
    )


def test_the_end_of_late_sound_in_matroska_is_no_duration(tmp_path):
    path = write_mp4(tmp_path / "a.mkv", grey_steps(80), tone(4.0), delay=6.0)
    sound = heard(path)
    assert sound.status == "ok" and np.abs(sound.waveform[: 59 * RATE // 10]).max() == 0
    assert np.abs(sound.waveform[61 * RATE // 10 :][:RATE]).max() > 0.4
    assert len(sound.waveform) / RATE == pytest.approx(10.0, abs=0.1)


def test_a_time_stamp_beyond_reason_is_told(tmp_path):
    sound = heard(write_pieces(tmp_path / "a.mkv", [0.0, 5000.0]))
    assert sound.status == "truncated" and "a time stamp lies 4999 s after the one before" in sound.reason


def chained(tmp_path, *rates):
    parts = []
    for number, rate in enumerate(rates):
        part = tmp_path / f"{number}.ogg"
        write_wav(tmp_path / "part.wav", tone(1.0, rate), rate)
        ffmpeg("-i", tmp_path / "part.wav", "-c:a", "libvorbis", part)
        parts.append(part.read_bytes())
    (tmp_path / "chained.ogg").write_bytes(b"".join(parts))
    return tmp_path / "chained.ogg"


def test_chained_ogg_files_are_read_whole_or_the_reason_is_true(tmp_path):
    sound = heard(chained(tmp_path, RATE, RATE))
    assert sound.status == "ok" and len(sound.waveform) / RATE == pytest.approx(2.0, abs=0.02)
    assert np.abs(sound.waveform[: 2 * RATE - 400]).reshape(-1, 400).max(axis=1).min() > 0.4
    sound = heard(chained(tmp_path, RATE, 22_050))
    assert sound.status == "truncated" and "a chained Ogg file" in sound.reason


def test_sound_of_an_unknown_codec_costs_the_sound_only(tmp_path):
    path = write_mp4(tmp_path / "a.mp4", grey_steps(16), tone(2.0))
    path.write_bytes(path.read_bytes().replace(b"mp4a", b"zzzz").replace(b"esds", b"free"))
    sound, pictures = decode_file(path, WHOLE, get_visual_recipe("fps1-middle-32"))
    assert (sound.status, pictures.status, len(pictures.images)) == ("corrupt", "ok", 2)
    assert "no decoder for the codec of the sound, zzzz" in sound.reason
