"""What the modality-relevance networks see of a clip: a log-mel in decibels, and 8 frames at even distances.

The paper (section 3.1) states 16,000 Hz, one channel, 10 s, log-mel, and 8 frames by uniform temporal sampling; all
else here is a decision of this project.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avbalance.errors import UserError
from avbalance.features.audio import mel_filters, stft

RATE, SECONDS, N_FFT, HOP, BINS = 16_000, 10.0, 1024, 512, 64
FRAMES = 8
POWER_FLOOR = 1e-10

Floats = NDArray[np.float32]


def decibel_log_mel(waveform: Floats, seconds: float = SECONDS) -> Floats:
    """`(64, frames)` of a mono waveform `(n,)` at 16 kHz: 313 frames for 10 s, 32 for 1 s.

    The waveform is filled up with zeros, or cut, at its end to `seconds`. Then `10 log10(max(S, 1e-10))` of the mel
    power S (HTK scale, 0 to 8,000 Hz, filters of height 1): -100 in every cell of digital silence. Neither scaled nor
    standardised. Raises UserError for less sound than one window of 1,024 samples.
    """
    length = round(RATE * seconds)
    if length < N_FFT:
        raise UserError(f"{seconds} s of sound is less than one window of {N_FFT / RATE} s; keep more of a clip.")
    cut = waveform[:length]
    spectrum = stft(np.pad(cut, (0, length - len(cut))), N_FFT, HOP)
    power = spectrum.real**2 + spectrum.imag**2
    mel = mel_filters(BINS, N_FFT, RATE) @ power
    decibels: Floats = (10 * np.log10(np.maximum(mel.astype(np.float64), POWER_FLOOR))).astype(np.float32)
    return decibels


def uniform_frames(available: int, wanted: int = FRAMES) -> NDArray[np.intp]:
    """Which of F frames are kept, `(wanted,)`: `round(k (F - 1) / (wanted - 1))`; the last is repeated if F is less.

    Halves, which occur for no k when `wanted` is 8, would be rounded to even. Raises UserError without a frame.
    """
    if available < 1:
        raise UserError("the clip has no frame to choose from; leave it out.")
    if available < wanted:
        return np.minimum(np.arange(wanted), available - 1)
    return np.round(np.linspace(0, available - 1, wanted)).astype(np.intp)
