"""Noise for sound and for pictures, and real clips made harder to read, to a signal-to-noise ratio (SNR) that is known.

The SNR of a sound is the mean power of the spoken words over that of the noise that is added. The SNR of pictures is
the power of their contrast, the mean square of what differs from the mean colour of all pictures of a clip, over that
of the blocks that are added, or over that of the contrast that blur takes away. Whatever the SNR, the result has one
loudness, within 2 dB, and one contrast, so that neither tells of the SNR.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LOUDNESS = 0.1  # rms of signal plus noise, of full scale 1: leaves 20 dB of headroom
CONTRAST = 0.22  # rms of pictures plus clutter, of full scale 1: little is lost to clipping at black and white
_SILENCE = 1e-10  # power of what is no signal: -100 dB
_WIDEST = 8.0  # blur of that many sides: nothing but the mean colour is left
_STEPS = 40  # halvings of the range of blur
_BACKGROUND = 0.75  # share of the clutter's power in large blocks: small ones average out over the object

Frames = NDArray[np.uint8]
Sound = NDArray[np.float32]


def pink_noise(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit power whose spectral power falls as 1/f, float32 (samples,)."""
    length = 1 << (samples - 1).bit_length()  # a power of two: the transform of an arbitrary length can be slow
    spectrum = rng.standard_normal(length + 2, dtype=np.float32).view(np.complex64)
    frequency = np.arange(spectrum.size, dtype=np.float32)
    frequency[0] = 1.0
    spectrum /= np.sqrt(frequency)
    spectrum[: max(1, length // 1024)] = 0.0  # below the lowest pitch: rumble would eat the power and mask nothing
    noise = np.fft.irfft(spectrum, n=length)[:samples].astype(np.float32)
    return noise / np.sqrt(np.mean(noise**2))


def clutter(count: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """Blocky coloured noise of unit power per channel, float32 (count, side, side, 3).

    Large blocks stand still like a background; small ones change with every frame.
    """
    large = rng.standard_normal((1, 4, 4, 3), dtype=np.float32) * np.float32(np.sqrt(_BACKGROUND))
    small = rng.standard_normal((count, 16, 16, 3), dtype=np.float32) * np.float32(np.sqrt(1.0 - _BACKGROUND))
    small += large[:, np.arange(16) // 4][:, :, np.arange(16) // 4]
    cell = np.arange(side) * 16 // side
    return small[:, cell][:, :, cell]


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
    loudness = LOUDNESS * 10.0 ** (rng.uniform(-2.0, 2.0) / 20.0)
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
    picture = np.clip(0.5 + CONTRAST * contrast, 0.0, 1.0)
    return (picture * 255.0 + 0.5).astype(np.uint8)
