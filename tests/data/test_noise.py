"""Real sound and pictures made harder to read: the SNR is what is asked for, and nothing else tells it."""

from __future__ import annotations

import numpy as np
import pytest

from avbalance.data.noise import add_blocks, blur, mix_sound, pink_noise, unit_power


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """Smooth pictures with little contrast that change slowly, (6, 32, 32, 3)."""
    rng = np.random.default_rng(0)
    coarse = np.repeat(np.repeat(rng.normal(size=(6, 8, 8, 3)), 4, axis=1), 4, axis=2)
    return np.clip(120 + 12 * coarse + 8 * rng.normal(size=(6, 32, 32, 3)), 0, 255).astype(np.uint8)


def _speech(samples: int = 8000) -> tuple[np.ndarray, tuple[int, int]]:
    """A tone in the middle third."""
    speech, span = np.zeros(samples, np.float32), (samples // 3, 2 * samples // 3)
    speech[slice(*span)] = 0.01 * np.sin(np.arange(span[1] - span[0]))
    return speech, span


@pytest.mark.parametrize("snr", [-12.0, 0.0, 12.0])
def test_the_snr_of_sound_is_the_power_of_the_words_over_that_of_the_noise(snr: float) -> None:
    speech, span = _speech()
    noise = pink_noise(len(speech), np.random.default_rng(1))
    mixed = mix_sound(speech, span, noise, snr, np.random.default_rng(2))
    silent = np.r_[0 : span[0], span[1] : len(speech)]
    scale = mixed[silent] @ noise[silent] / (noise[silent] @ noise[silent])  # outside of the words there is noise alone
    words = mixed[slice(*span)] - scale * noise[slice(*span)]
    assert 10 * np.log10(np.mean(words**2) / (scale**2 * np.mean(noise**2))) == pytest.approx(snr, abs=0.01)
    assert mixed.dtype == np.float32 and np.abs(mixed).max() <= 1.0


def test_silence_in_noise_is_noise() -> None:
    noise = unit_power(np.random.default_rng(0).normal(size=800).astype(np.float32))
    silence = np.zeros(800, np.float32)
    mixed = mix_sound(silence, (0, 800), noise, 0.0, np.random.default_rng(0))
    assert np.isfinite(mixed).all() and np.corrcoef(mixed, noise)[0, 1] > 0.99
    assert not unit_power(silence).any()


@pytest.mark.parametrize("snr", [-6.0, 0.0, 6.0])
def test_the_snr_of_pictures_is_the_power_of_their_contrast_over_that_of_the_blocks(
    face: np.ndarray, snr: float
) -> None:
    contrast = face / 255 - (face / 255).mean(axis=(0, 1, 2))
    shown = np.concatenate([add_blocks(face, snr, np.random.default_rng(k)) / 255 - 0.5 for k in range(40)])
    contrast = np.concatenate([contrast] * 40)
    slope = (shown * contrast).sum() / (contrast**2).sum()
    noise = shown - slope * contrast
    found = 10 * np.log10(slope**2 * np.mean(contrast**2) / np.mean(noise**2))
    assert found == pytest.approx(snr, abs=1.0)  # some contrast is cut at black and white
    assert np.sqrt(np.mean(shown**2)) == pytest.approx(0.22, abs=0.02)


@pytest.mark.parametrize("snr", [1.0, 6.0, 15.0])
def test_blur_takes_contrast_of_the_power_that_the_snr_says(face: np.ndarray, snr: float) -> None:
    contrast = face / 255 - (face / 255).mean(axis=(0, 1, 2))
    kept = blur(face, snr) / 255 - 0.5
    assert np.sqrt(np.mean(kept**2)) == pytest.approx(0.22, abs=0.02)
    edges = [np.mean(np.diff(values, axis=2) ** 2) / np.mean(values**2) for values in (contrast, kept)]
    assert edges[1] < edges[0]
    # the best rescaling of what is kept is what the blur left, up to the contrast that it left at the right scale
    spectrum, blurred = (np.fft.fft2(np.concatenate([v, v[:, ::-1]], 1), axes=(1,)) for v in (contrast, kept))
    scale = np.abs(spectrum[:, 0]).mean() / np.abs(blurred[:, 0]).mean()  # the lowest wave is hardly blurred
    lost = np.mean((contrast - scale * kept) ** 2) / np.mean(contrast**2)
    assert 10 * np.log10(1 / lost) == pytest.approx(snr, abs=1.5)


def test_loudness_does_not_tell_the_snr() -> None:
    speech, span = _speech()
    noise = pink_noise(len(speech), np.random.default_rng(1))
    loudness = [
        np.sqrt(np.mean(mix_sound(speech, span, noise, snr, np.random.default_rng(2))[slice(*span)] ** 2))
        for snr in (-20.0, 0.0, 20.0)
    ]
    assert np.ptp(20 * np.log10(loudness)) < 2.0
