"""The fixed encoders: sizes, seconds that do not mix, and that they tell what the generator makes differ."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from avbalance.data.render import render_audio, render_frames
from avbalance.data.scenes import Event, Scene
from avbalance.features.small_encoders import (
    clip_greys,
    clip_statistics,
    frame_grid,
    frame_statistics,
    grey_frames,
    grey_grid,
    mel_statistics,
)

RATE, FPS, SIDE = 16000, 4, 48
TIMES = ((np.arange(10 * FPS) + 0.5) / FPS).astype(np.float32)


def _scene(*events: Event, number: int = 0, snr: float = 20.0) -> Scene:
    return Scene(events, 10.0, snr, snr, 1.0, 1.0, (5, number))


def _frames(cls: int, number: int = 0, classes: int = 12) -> np.ndarray:
    return render_frames(_scene(Event(cls, 0, 10), number=number), classes, SIDE, FPS)


CLIP = _scene(Event(3, 2, 5), Event(8, 4, 9), snr=5.0)
SOUND, FRAMES = render_audio(CLIP, 12, RATE), render_frames(CLIP, 12, SIDE, FPS)
ENCODERS: dict[str, tuple[Callable[[], np.ndarray], tuple[int, ...]]] = {
    "mel": (lambda: mel_statistics(SOUND, RATE), (10, 128)),
    "frames": (lambda: frame_statistics(FRAMES, TIMES), (10, 2560)),
    "grid": (lambda: frame_grid(FRAMES, TIMES), (10, 7, 7, 64)),
    "grey": (lambda: grey_frames(FRAMES, TIMES), (10, 2560)),
    "grey grid": (lambda: grey_grid(FRAMES, TIMES), (10, 7, 7, 64)),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_arrays_have_the_promised_size_repeat_themselves_and_are_about_one(name: str) -> None:
    encode, shape = ENCODERS[name]
    array = encode()
    assert array.shape == shape and array.dtype == np.float16
    assert np.array_equal(array, encode())
    values = array.astype(float)
    assert np.isfinite(values).all() and 0.2 < np.sqrt(np.mean(values**2)) < 3 and np.abs(values).max() < 40


@pytest.mark.parametrize("channels", [8, 64, 512])
def test_the_grid_has_as_many_channels_as_asked(channels: int) -> None:
    assert frame_grid(FRAMES[:4], TIMES[:4], 1, channels).shape == (1, 7, 7, channels)


def test_a_second_is_encoded_from_its_own_samples_and_frames_alone() -> None:
    sound, frames = SOUND.copy(), FRAMES.copy()
    sound[3 * RATE : 4 * RATE] = 0
    frames[3 * FPS : 4 * FPS] = 0
    for whole, changed in (
        (mel_statistics(SOUND, RATE), mel_statistics(sound, RATE)),
        (frame_statistics(FRAMES, TIMES), frame_statistics(frames, TIMES)),
        (frame_grid(FRAMES, TIMES), frame_grid(frames, TIMES)),
        (grey_frames(FRAMES, TIMES), grey_frames(frames, TIMES)),
        (grey_grid(FRAMES, TIMES), grey_grid(frames, TIMES)),
    ):
        differs = (np.abs(whole.astype(float) - changed) > 0.01).reshape(10, -1).any(axis=1)
        assert differs.tolist() == [second == 3 for second in range(10)]


def test_short_sound_is_filled_with_silence_and_long_sound_cut() -> None:
    silence = mel_statistics(np.zeros(0, np.float32), RATE)
    short, long = mel_statistics(SOUND[: 4 * RATE], RATE), mel_statistics(np.tile(SOUND, 2), RATE)
    whole = mel_statistics(SOUND, RATE)
    assert np.array_equal(short[:4], whole[:4]) and np.array_equal(short[4:], silence[4:])
    assert np.array_equal(long, whole)


def test_a_second_without_frames_takes_the_nearest_frame_and_has_no_motion() -> None:
    kept = np.concatenate([np.arange(4), np.arange(8, 40)])  # without the second second
    some = frame_statistics(FRAMES[kept], TIMES[kept])
    # the middle of that second, 1.5 s, lies as far from the frame at .875 s as from that at 2.125: the earlier counts
    alone = frame_statistics(FRAMES[3:4], TIMES[3:4], 1)
    assert np.allclose(some[1, :2048].astype(float), alone[0, :2048], atol=0.02)
    assert not some[1, 2048:].any() and not alone[0, 2048:].any() and some[0, 2048:].any()


def test_mel_bands_rise_with_pitch() -> None:
    time_axis = np.arange(RATE) / RATE
    loudest = []
    for pitch in (200.0, 400.0, 1000.0, 3000.0, 6000.0):
        tone = (0.1 * np.sin(2 * np.pi * pitch * time_axis)).astype(np.float32)
        loudest.append(int(mel_statistics(tone, RATE, 1)[0, :64].astype(float).argmax()))
    assert loudest == sorted(set(loudest))
    # mel(f) = 2595 log10(1 + f / 700): 125 Hz is 185, 7500 Hz is 2774, 1000 Hz is 1000; band k has its centre at
    # 185 + (k + 1) * (2774 - 185) / 65, so 1000 Hz lies nearest to k = 815 / 39.8 - 1 = 19
    assert loudest[2] in (19, 20)


def test_beating_sound_has_more_spread_than_steady_sound() -> None:
    time_axis = np.arange(RATE, dtype=np.float32) / RATE
    steady = 0.1 * np.sin(2 * np.pi * 500 * time_axis)
    beating = steady * (1 + 0.8 * np.sin(2 * np.pi * 4 * time_axis))
    spread = [mel_statistics(sound, RATE, 1)[0, 64:].astype(float).max() for sound in (steady, beating)]
    assert spread[1] > spread[0] + 1


def _stripe(places: list[int], axis: int) -> np.ndarray:
    """Frames of one second, grey but for a red stripe across the axis that begins at each place in turn."""
    frames = np.full((len(places), SIDE, SIDE, 3), 128, np.uint8)
    for frame, place in zip(frames, places, strict=True):
        frame[(slice(None), slice(place, place + 12)) if axis == 1 else slice(place, place + 12)] = (200, 60, 60)
    return frames


def test_motion_tells_direction_and_is_none_when_nothing_moves() -> None:
    ticks = TIMES[:4]
    still = frame_statistics(_stripe([12, 12, 12, 12], 1), ticks, 1)[0, 2048:].astype(float).reshape(8, 64)
    right = frame_statistics(_stripe([8, 12, 16, 20], 1), ticks, 1)[0, 2048:].astype(float).reshape(8, 64)
    left = frame_statistics(_stripe([20, 16, 12, 8], 1), ticks, 1)[0, 2048:].astype(float).reshape(8, 64)
    down = frame_statistics(_stripe([8, 12, 16, 20], 0), ticks, 1)[0, 2048:].astype(float).reshape(8, 64)
    # rows: change of chroma, of luma, |flow| across, |flow| down, flow across, flow down, product, mean
    assert not still[:6].any() and still[6:].any()
    assert np.allclose(right[4], -left[4], atol=0.02) and np.abs(right[4]).max() > 0.1
    assert right[2].sum() > 10 * right[3].sum() and down[3].sum() > 10 * down[2].sum()


@pytest.mark.parametrize("encode", [frame_statistics, lambda *given: frame_grid(*given, 64)], ids=["stats", "grid"])
def test_pictures_of_a_class_resemble_each_other_more_than_those_of_others(encode: Callable[..., np.ndarray]) -> None:
    classes = 12
    templates = np.stack(
        [np.mean([_code(encode, cls, 10 * cls + clip) for clip in range(4)], axis=0) for cls in range(classes)]
    )
    right = 0
    for cls in range(classes):
        for clip in (4, 5):
            distance = np.sum((templates - _code(encode, cls, 10 * cls + clip)) ** 2, axis=1)
            right += int(distance.argmin() == cls)
    # chance is 2 of 24; hue, shape and place vary within a class
    assert right >= 14


def _code(encode: Callable[..., np.ndarray], cls: int, number: int) -> np.ndarray:
    frames = render_frames(_scene(Event(cls, 0, 10), number=number), 12, SIDE, FPS)[:4]
    return encode(frames, TIMES[:4], 1).astype(float).ravel()


def _bright_corner(count: int) -> np.ndarray:
    """Black frames (count, 56, 56, 3) with the upper left sixteenth white in every second one, from the second on."""
    frames = np.zeros((count, 56, 56, 3), np.uint8)
    frames[1::2, :14, :14] = 255
    return frames


def test_grey_frames_say_where_and_when_it_is_bright() -> None:
    encoded = grey_frames(_bright_corner(4), np.arange(4, dtype=np.float32) / 4, 1)[0].astype(float)
    look, change = encoded[:2048].reshape(4, 16, 32), encoded[2048:].reshape(4, 8, 16)
    inside = np.zeros((16, 32), bool)
    inside[:4, :8] = True
    assert np.allclose(look[0], 0) and np.allclose(look[1][inside], 75 / 16)
    assert np.allclose(look[1][~inside], -5 / 16, atol=1e-3)
    assert np.allclose(change[:, 0, 0], [-16, 16, -16, 16]) and not change[:, 4:].any()  # the first less the last


def test_cells_of_the_grey_grid_hold_four_frames_of_their_pixels() -> None:
    cells = grey_grid(_bright_corner(4), np.arange(4, dtype=np.float32) / 4, 1)[0].reshape(7, 7, 4, 4, 4).astype(float)
    assert np.allclose(cells[0, 0, 1], 75 / 16, atol=0.01) and np.allclose(cells[0, 0, 2], 0)
    assert np.allclose(cells[5, 5, 3], -5 / 16, atol=0.01)
    assert cells[1, 1, 1, 2, 2] > 3 > 0 > cells[1, 1, 1, 3, 3]  # the corner ends within this cell


def test_grey_frames_that_are_still_shown_count_again() -> None:
    frames = _bright_corner(4)
    slow = grey_frames(frames[:2], np.array([0.0, 0.5], np.float32), 1)
    fast = grey_frames(np.repeat(frames[:2], 4, axis=0), np.arange(8, dtype=np.float32) / 8, 1)
    assert np.array_equal(slow, fast) and slow[0, 2048] != 0


# One vector per clip


def test_small_vectors_tell_hues_outlines_and_brightness_apart() -> None:
    generator = np.random.default_rng(0)
    frames = np.full((8, 48, 48, 3), 128, np.uint8)
    square, bright = frames.copy(), frames + np.uint8(60)
    square[:, 16:32, 16:32] = (228, 78, 78)
    other = square[..., [1, 0, 2]]  # the same in green
    shifted = square + generator.integers(0, 3, square.shape, dtype=np.uint8)
    vectors = [clip_statistics(each, 64).astype(float) for each in (square, other, bright, shifted)]
    assert all(vector.shape == (64,) and np.isfinite(vector).all() for vector in vectors)
    red, green, light, noisy = vectors
    assert red[:24].argmax() == 0 and green[:24].argmax() == 8  # a third of the 24 directions further
    assert np.abs(red[:48] - green[:48]).max() > 1 and np.abs(red[48:60] - green[48:60]).max() < 0.02
    assert light[60:] == pytest.approx([4 * (188 / 255 - 0.5)] * 4, abs=0.01) and not light[:48].any()
    assert np.abs(noisy - red).max() < 0.2
    assert clip_statistics(square, 16).shape == (16,)


def test_a_vector_of_greys_shows_each_frame_by_itself_and_black_is_not_zero() -> None:
    greys = np.array([20, 26, 32, 38, 44, 50, 56, 62], np.uint8)
    frames = np.broadcast_to(greys[:, None, None, None], (8, 64, 64, 3)).copy()
    frames[3, :32] = 0  # the upper half of the fourth frame is black
    vector = clip_greys(frames).astype(float).reshape(8, 16, 16)
    assert vector[:, 12].mean(axis=1) == pytest.approx(5 * (greys / 255 - 0.5), abs=0.01)
    assert vector[3, 4].mean() == pytest.approx(-2.5, abs=0.01) and vector[4, 4].mean() > -2.2
