"""Noise for sound and for pictures, of unit power."""

from __future__ import annotations

import numpy as np

_BACKGROUND = 0.75  # share of the clutter's power in large blocks: small ones average out over the object


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
