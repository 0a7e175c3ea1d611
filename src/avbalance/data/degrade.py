"""Real sound and pictures made harder to read, to a signal-to-noise ratio (SNR) that is known.

The SNR of a sound is the mean power of the spoken words over that of the noise that is added. The SNR of pictures is
the power of their contrast, the mean square of what differs from the mean colour of all pictures of a clip, over that
of the blocks that are added, or over that of the contrast that blur takes away. Whatever the SNR, the result has one
loudness, within 2 dB, and one contrast, so that neither tells of the SNR.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avbalance.data.noise import clutter

_LOUDNESS = 0.1  # rms of speech plus noise, of full scale 1, as in generated clips
_CONTRAST = 0.22  # rms of pictures plus blocks, of full scale 1, as in generated clips
_SILENCE = 1e-10  # power of what is no signal: -100 dB
_WIDEST = 8.0  # blur of that many sides: nothing but the mean colour is left
_STEPS = 40  # halvings of the range of blur

Frames = NDArray[np.uint8]
Sound = NDArray[np.float32]


def unit_power(sound: Sound) -> Sound:
    """The sound with a mean power of 1; silence stays as it is."""
    power = float(np.mean(sound**2))
    return sound / np.float32(np.sqrt(power)) if power > _SILENCE else sound


def mix_sound(speech: Sound, spoken: tuple[int, int], noise: Sound, snr_db: float, rng: np.random.Generator) -> Sound:
    """Speech (n,) in noise (n,) of unit power, float32 in [-1, 1].

    spoken: first and last sample of the words, whose power counts.
    """
    power = float(np.mean(speech[slice(*spoken)] ** 2))
    return in_noise(speech / np.float32(np.sqrt(max(power, _SILENCE))), noise, snr_db, rng)


def in_noise(signal: Sound, noise: Sound, snr_db: float, rng: np.random.Generator) -> Sound:
    """Signal (n,) of unit power where it is, in noise (n,) of unit power, float32 in [-1, 1]."""
    level = 10.0 ** (snr_db / 20.0)
    loudness = _LOUDNESS * 10.0 ** (rng.uniform(-2.0, 2.0) / 20.0)
    return np.clip((signal * np.float32(level) + noise) * np.float32(loudness / np.hypot(1.0, level)), -1.0, 1.0)


def add_blocks(frames: Frames, snr_db: float, rng: np.random.Generator) -> Frames:
    """Pictures (T, side, side, 3) under blocky noise, most of which stands still."""
    level = 10.0 ** (snr_db / 20.0)
    mixed = _contrast(frames) * np.float32(level) + clutter(len(frames), frames.shape[1], rng)
    return _shown(mixed / np.float32(np.hypot(1.0, level)))


def blur(frames: Frames, snr_db: float) -> Frames:
    """Pictures (T, side, side, 3) so blurred, by a Gaussian, that the contrast lost has the power of that SNR.

    Nothing of the contrast is left at 0 dB; snr_db must not be below.
    """
    from scipy.fft import dctn, idctn

    spectrum = dctn(_contrast(frames), axes=(1, 2), norm="ortho")  # mirrors at the edges
    power = np.mean(spectrum**2, axis=(0, 3))
    waves = np.arange(len(power)) / len(power)  # half waves per pixel
    squares = waves[:, None] ** 2 + waves[None, :] ** 2
    low, high = 0.0, _WIDEST * len(power)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        lost = np.sum(power * (1.0 - _kept(squares, middle)) ** 2) / max(np.sum(power), _SILENCE)
        low, high = (middle, high) if lost < 10.0 ** (-snr_db / 10.0) else (low, middle)
    kept = idctn(spectrum * _kept(squares, low)[None, :, :, None], axes=(1, 2), norm="ortho")
    return _shown(kept / max(float(np.sqrt(np.mean(kept**2))), 1e-3))


def _kept(squares: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Share of each wave's amplitude that a Gaussian of standard deviation `sigma` (pixels) leaves."""
    return np.exp(-0.5 * (np.pi * sigma) ** 2 * squares)


def _contrast(frames: Frames) -> NDArray[np.float32]:
    """What differs from the mean colour, of unit power, float32."""
    values = frames.astype(np.float32) / np.float32(255.0)
    values -= values.mean(axis=(0, 1, 2))
    return values / np.float32(np.sqrt(max(float(np.mean(values**2)), _SILENCE)))


def _shown(contrast: NDArray[np.float32]) -> Frames:
    """Contrast of unit power on grey, as uint8."""
    picture = np.clip(0.5 + _CONTRAST * contrast, 0.0, 1.0)
    return (picture * 255.0 + 0.5).astype(np.uint8)
