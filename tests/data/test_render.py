"""Rendered clips show and sound what the scene says, at the noise it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avbalance.data.render import (
    SLOW_LOOKS,
    audio_prototype,
    render_audio,
    render_frames,
    slow_audio_prototype,
    slow_visual_prototype,
    visual_prototype,
)
from avbalance.data.scenes import Event, JointLaw, Scene, plan_single_event

LAW = JointLaw(1.0, 1.0, (-25.0, 3.0), (-10.0, 14.0))
RATE = 16000


def _scene(*events: Event, snr_audio_db: float = 40.0, snr_visual_db: float = 40.0) -> Scene:
    return Scene(events, 4.0, snr_audio_db, snr_visual_db, 1.0, 1.0, (5, 6))


def test_rendering_repeats_itself_and_the_modalities_do_not_touch_each_other() -> None:
    scene = plan_single_event(0, 3, 2, 4.0, LAW)
    louder = replace(scene, snr_audio_db=20.0)
    brighter = replace(scene, snr_visual_db=20.0)
    assert np.array_equal(render_frames(scene, 12, 64, 4), render_frames(louder, 12, 64, 4))
    assert np.array_equal(render_audio(scene, 12, RATE), render_audio(brighter, 12, RATE))
    other = replace(scene, seed=(0, 4))
    assert not np.array_equal(render_audio(scene, 12, RATE), render_audio(other, 12, RATE))
    assert not np.array_equal(render_frames(scene, 12, 64, 4), render_frames(other, 12, 64, 4))


@pytest.mark.parametrize("snr", [-10.0, 0.0, 10.0])
def test_audio_snr_is_the_power_of_the_event_over_the_power_of_the_noise(snr: float) -> None:
    waveform = render_audio(_scene(Event(0, 1.0, 3.0), snr_audio_db=snr), 12, RATE)
    inside = np.mean(waveform[RATE : 3 * RATE] ** 2)
    outside = np.mean(np.concatenate([waveform[:RATE], waveform[3 * RATE :]]) ** 2)
    # inside holds signal plus noise, so the ratio to the noise alone is 1 + 10^(snr / 10)
    assert 10 * np.log10(inside / outside) == pytest.approx(10 * np.log10(1 + 10 ** (snr / 10)), abs=0.7)


def test_visual_snr_scales_the_object_against_the_clutter() -> None:
    # grey + contrast * (level * object + clutter) / hypot(1, level), level^2 = 10^(snr / 10): 0 dB halves the
    # power of the clutter that a scene without signal (-100 dB) has, outside of the object
    empty = render_frames(_scene(Event(0, 0, 4), snr_visual_db=-100.0), 12, 64, 4) / 255 - 0.5
    even = render_frames(_scene(Event(0, 0, 4), snr_visual_db=0.0), 12, 64, 4) / 255 - 0.5
    corner = (slice(None), slice(0, 8), slice(0, 8))
    assert np.mean(even[corner] ** 2) / np.mean(empty[corner] ** 2) == pytest.approx(0.5, rel=0.05)


def test_events_show_only_in_their_interval_and_modality() -> None:
    heard = Event(3, 2.0, 3.0, gain_visual=0.0)
    seen = Event(3, 1.0, 2.0, gain_audio=0.0)
    frames = render_frames(_scene(heard, seen), 12, 64, 4).astype(float) - 127.5
    energy = np.mean(frames**2, axis=(1, 2, 3))
    assert energy[4:8].min() > 20 * max(energy[:4].max(), energy[8:].max())
    loudness = np.mean(render_audio(_scene(heard, seen), 12, RATE).reshape(4, RATE) ** 2, axis=1)
    assert loudness[2] > 1000 * max(loudness[0], loudness[1], loudness[3])


@pytest.mark.parametrize("classes", [2, 12, 25, 31])
def test_every_class_has_its_own_sound_and_its_own_hue(classes: int) -> None:
    sounds = {(p.family, p.pitch) for p in (audio_prototype(c, classes) for c in range(classes))}
    hues = sorted(visual_prototype(c, classes).hue for c in range(classes))
    assert len(sounds) == classes
    assert np.allclose(np.diff(hues), 1 / classes)


@pytest.mark.parametrize("cls", range(12))
def test_clean_objects_have_the_hue_of_their_class(cls: int) -> None:
    frames = render_frames(_scene(Event(cls, 0, 4)), 12, 64, 4) / 255 - 0.5
    # the colour of hue h is cos(2 pi (h + (0, -1/3, 1/3))): its Fourier coefficient over RGB points at h
    red, green, blue = frames.sum(axis=(0, 1, 2))
    hue = np.angle(red + green * np.exp(2j * np.pi / 3) + blue * np.exp(-2j * np.pi / 3)) / (2 * np.pi)
    prototype = visual_prototype(cls, 12)
    distance = abs((hue - prototype.hue + 0.5) % 1.0 - 0.5)
    assert distance < 3 * prototype.hue_spread


def test_a_simple_viewer_sees_more_classes_the_higher_the_snr() -> None:
    hues = np.array([visual_prototype(c, 12).hue for c in range(12)])
    accuracy = []
    for snr in (-25.0, -3.0, 14.0):
        right = []
        for k in range(96):
            scene = replace(plan_single_event(2, k, k % 12, 4.0, LAW), snr_visual_db=snr)
            red, green, blue = render_frames(scene, 12, 64, 4)[:, 16:48, 16:48].mean(axis=(0, 1, 2))
            hue = np.angle(red + green * np.exp(2j * np.pi / 3) + blue * np.exp(-2j * np.pi / 3)) / (2 * np.pi)
            right.append(np.argmin(abs((hue - hues + 0.5) % 1.0 - 0.5)) == k % 12)
        accuracy.append(np.mean(right))
    # neighbouring hues overlap by design: a spread of half their distance caps hue alone at about .68
    assert accuracy[0] < 0.2 and accuracy[0] < accuracy[1] < accuracy[2] and accuracy[2] > 0.5


def test_slow_prototypes_are_distinct() -> None:
    looks = {(p.shape, p.texture) for p in map(slow_visual_prototype, range(SLOW_LOOKS))}
    assert len(looks) == SLOW_LOOKS
    for classes in (2, 6, 12, 25):
        sounds = [slow_audio_prototype(cls, classes) for cls in range(classes)]
        assert len({(p.rhythm, p.contour) for p in sounds}) == classes


def _hues(cls: int, slow: bool) -> np.ndarray:
    """Hue in turns of clean objects of a class in 60 clips."""
    scenes = [replace(_scene(Event(cls, 0, 4)), seed=(8, k)) for k in range(60)]
    red, green, blue = np.array([render_frames(s, 12, 32, 1, slow).mean(axis=(0, 1, 2)) for s in scenes]).T
    return np.angle(red + green * np.exp(2j * np.pi / 3) + blue * np.exp(-2j * np.pi / 3)) / (2 * np.pi)


@pytest.mark.parametrize("cls", [0, 5, 11])
def test_the_hue_of_slow_pictures_says_nothing_of_their_class(cls: int) -> None:
    # the mean direction of 60 hues drawn uniformly is shorter than .3 but for one time in 250 (exp(-60 * .3^2))
    assert abs(np.exp(2j * np.pi * _hues(cls, slow=True)).mean()) < 0.3
    assert abs(np.exp(2j * np.pi * _hues(cls, slow=False)).mean()) > 0.9


def _centroids(cls: int, slow: bool) -> np.ndarray:
    """Logarithm of the mean frequency of clean sounds of a class in 40 clips."""
    found = []
    for k in range(40):
        power = np.abs(np.fft.rfft(render_audio(replace(_scene(Event(cls, 0, 4)), seed=(8, k)), 12, RATE, slow))) ** 2
        found.append(np.log(np.sum(power * np.arange(power.size)) / power.sum()))
    return np.array(found)


def test_the_pitch_of_slow_sounds_says_nothing_of_their_class() -> None:
    spread = {}
    for slow in (False, True):
        found = np.array([_centroids(cls, slow) for cls in (0, 4, 11)])
        spread[slow] = found.mean(axis=1).std() / found.std(axis=1).mean()
    # between classes over within: for equal classes of 40 clips about sqrt(1 / 40) = .16
    assert spread[False] > 3 and spread[True] < 0.4


@pytest.mark.parametrize("contour", range(4))
def test_slow_sounds_glide_as_their_class_says(contour: int) -> None:
    from avbalance.data.render import _CONTOURS

    beat = np.linspace(0, 1, 1001)
    octaves = _CONTOURS[contour](beat)
    assert abs(octaves.mean()) < 1e-3 and np.ptp(octaves) == pytest.approx(1.0)


def test_quick_clips_have_not_changed() -> None:
    # means of absolute differences of neighbours, as they were before there were slow modalities
    scene = plan_single_event(101, 7, 7, 2.0, LAW)
    frames, sound = render_frames(scene, 12, 32, 2).astype(float), render_audio(scene, 12, 8000)
    seen = [np.abs(np.diff(frames, axis=axis)).mean() for axis in range(4)]
    heard = [float(np.abs(np.diff(sound, order)).mean()) for order in range(3)]
    assert seen == pytest.approx([23.1747, 14.37265, 14.15331, 53.33862], rel=1e-3)
    assert heard == pytest.approx([0.0638009, 0.0461293, 0.0727318], rel=1e-3)


def test_gain_scales_an_event() -> None:
    full = render_audio(_scene(Event(0, 0, 4)), 12, RATE)
    half = render_audio(_scene(Event(0, 0, 4, gain_audio=0.5)), 12, RATE)
    assert np.mean(half**2) / np.mean(full**2) == pytest.approx(0.25, rel=0.01)
