"""From a waveform to the stored spectrogram (STFT magnitude, log-mel, Kaldi filter bank), or what a network is shown.

Every clip is transformed by itself in float32, so its values cannot depend on what else is in the job.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from avbalance.features.recipes import AudioRecipe

Floats = NDArray[np.float32]

# VGGish, as in its public TensorFlow release (tensorflow/models, research/audioset/vggish)
_SOUND_RATE = 16_000
_PATCH_FRAMES, _MEL_BANDS = 96, 64
_WINDOW, _HOP, _FFT = 400, 160, 512  # 25 ms and 10 ms
_RANGE_HZ = (125.0, 7500.0)
_LOG_OFFSET = 0.01


def spectrogram(waveform: Floats, rate: int, recipe: AudioRecipe) -> NDArray[np.float16]:
    """Array of `recipe.shape` from a mono waveform (n,) at `rate`; the logarithm is taken in float32."""
    if recipe.kind == "kaldi-fbank":
        values = kaldi_fbank(waveform, rate, recipe)
    else:
        fitted = fit_length(waveform, recipe)
        if recipe.clip:
            fitted = np.clip(fitted, -1.0, 1.0)
        values = _TRANSFORMS[recipe.kind](fitted, recipe)
    return ((values - recipe.mean) / recipe.scale).astype(np.float16)


def fit_length(waveform: Floats, recipe: AudioRecipe) -> Floats:
    """Waveform (n,), n > 0, brought to rate * seconds samples by the recipe's rule for short clips."""
    assert recipe.rate is not None
    assert recipe.seconds is not None
    length = round(recipe.rate * recipe.seconds)
    if recipe.fit == "tile":
        waveform = np.tile(waveform, recipe.tiles)
    elif len(waveform) < length and recipe.fit == "double":
        waveform = np.tile(waveform, 2 ** math.ceil(math.log2(length / len(waveform))))
    elif len(waveform) < length and recipe.fit == "repeat-last-second":
        tail = waveform[(math.ceil(len(waveform) / recipe.rate) - 1) * recipe.rate :]
        copies = math.ceil((length - len(waveform)) / len(tail))
        waveform = np.concatenate([waveform, np.tile(tail, copies)])
    waveform = waveform[:length]
    return np.pad(waveform, (0, length - len(waveform)))


def stft(waveform: Floats, n_fft: int, hop: int) -> NDArray[np.complex64]:
    """Short-time Fourier transform (n_fft // 2 + 1, n // hop + 1): periodic Hann, centred, reflected."""
    # Centred and reflected, as torch.stft and librosa do it by default: frame i is about sample i * hop.
    padded = np.pad(waveform, n_fft // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    return np.fft.rfft(frames * hann(n_fft), axis=-1).T.astype(np.complex64, copy=False)


def log_magnitude(waveform: Floats, recipe: AudioRecipe) -> Floats:
    """log(|STFT| + floor), (F, T)."""
    magnitude = np.abs(stft(waveform, recipe.n_fft, recipe.hop))
    return log_of_magnitude(magnitude, recipe)


def log_of_magnitude(magnitude: Floats, recipe: AudioRecipe) -> Floats:
    """log(magnitude + floor), (F, T): also for magnitudes that were computed elsewhere."""
    values: Floats = np.log(magnitude.astype(np.float32) + np.float32(recipe.floor))
    return values


def log_mel(waveform: Floats, recipe: AudioRecipe) -> Floats:
    """log(mel power + floor), (F, T), of power averaged over `pool` frames; the last one is dropped."""
    assert recipe.rate is not None
    spectrum = stft(waveform, recipe.n_fft, recipe.hop)[:, : recipe.frames * recipe.pool]
    power = spectrum.real**2 + spectrum.imag**2
    pooled = power.reshape(len(power), recipe.frames, recipe.pool).mean(axis=-1)
    mel = mel_filters(recipe.bins, recipe.n_fft, recipe.rate) @ pooled
    values: Floats = np.log(mel + np.float32(recipe.floor))
    return values


def decibel_mel(waveform: Floats, recipe: AudioRecipe) -> Floats:
    """10 log10(max(S, floor)), (F, T), of the mel power S; with a floor of 1e-10, -100 in every cell of silence."""
    assert recipe.rate is not None
    spectrum = stft(waveform, recipe.n_fft, recipe.hop)
    power = spectrum.real**2 + spectrum.imag**2
    mel = mel_filters(recipe.bins, recipe.n_fft, recipe.rate) @ power
    decibels: Floats = (10 * np.log10(np.maximum(mel.astype(np.float64), recipe.floor))).astype(np.float32)
    return decibels


_TRANSFORMS = {"log-magnitude": log_magnitude, "log-mel": log_mel, "decibel-mel": decibel_mel}


@functools.cache
def mel_filters(bins: int, n_fft: int, rate: int, low: float = 0.0, high: float | None = None) -> Floats:
    """Triangular filters (bins, n_fft // 2 + 1) of height 1, evenly spaced in HTK mel from low to high (Hz).

    high: rate / 2 unless given. Mel of f: 2595 log10(1 + f / 700).
    """
    bottom, top = (2595 * math.log10(1 + hertz / 700) for hertz in (low, rate / 2 if high is None else high))
    edges = 700 * (10 ** (np.linspace(bottom, top, bins + 2) / 2595) - 1)
    # Straight in Hz between edges that are even in mel: how torchaudio makes filters without area normalisation.
    frequency = np.arange(n_fft // 2 + 1) * rate / n_fft
    rising = (frequency - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - frequency) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


@functools.cache
def hann(length: int) -> Floats:
    """Periodic Hann window (length,)."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)


def kaldi_fbank(waveform: Floats, rate: int, recipe: AudioRecipe) -> Floats:
    """Kaldi log filter bank (frames, bins) of the waveform less its mean.

    25 ms Hann windows 10 ms apart, no dither, no energy term.
    Zeros are put after the last frame, or frames beyond `recipe.frames` cut, before the recipe's
    normalisation; source: the OGM-GE repository's Kinetics-Sounds script. Loads torch.
    """
    import torch
    from torchaudio.compliance import kaldi

    # The mean in float64: a float32 sum over a million samples loses digits.
    centred = torch.from_numpy(waveform - waveform.mean(dtype=np.float64).astype(np.float32))
    values = kaldi.fbank(
        centred[None],
        htk_compat=True,
        sample_frequency=float(rate),
        use_energy=False,
        window_type="hanning",
        num_mel_bins=recipe.bins,
        dither=0.0,
        frame_length=25.0,
        frame_shift=10.0,
    ).numpy()[: recipe.frames]
    return np.pad(values, ((0, recipe.frames - len(values)), (0, 0)))


# What pretrained networks are shown


def log_mel_patches(waveform: Floats) -> Floats:
    """VGGish's patches (seconds, 96, 64) of a mono waveform (seconds * 16000,) in [-1, 1]: log(mel magnitude + 0.01).

    Each second is transformed by itself: 98 windows fit, the first 96 are kept (AVVP-ECCV20).
    """
    # Resampling overshoots a little; the reference reads 16-bit files, whose values cannot.
    per_second = np.clip(waveform, -1.0, 1.0).reshape(-1, _SOUND_RATE)
    frames = np.lib.stride_tricks.sliding_window_view(per_second, _WINDOW, axis=1)[:, ::_HOP][:, :_PATCH_FRAMES]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
    magnitude = np.abs(np.fft.rfft(frames * hann, n=_FFT, axis=-1))
    return np.log(magnitude @ _mel_weights() + _LOG_OFFSET).astype(np.float32)


@functools.cache
def _mel_weights() -> NDArray[np.float64]:
    """Triangles (257, 64) of height 1, straight in mel (1127 ln(1 + f / 700)), not in Hz; the constant bin counts 0."""
    mel = 1127 * np.log1p(np.arange(_FFT // 2 + 1) * _SOUND_RATE / _FFT / 700)[:, None]
    lowest, highest = (1127 * np.log1p(hertz / 700) for hertz in _RANGE_HZ)
    edges = np.linspace(lowest, highest, _MEL_BANDS + 2)
    rising = (mel - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - mel) / np.diff(edges)[1:]
    weights = np.maximum(0.0, np.minimum(rising, falling))
    # As in the TensorFlow release, after HTK: the constant bin never counts.
    weights[0] = 0.0
    return weights


def vggsound_spectrogram(waveform: Floats) -> Floats:
    """(257, 1004), of mean 0 and deviation 1, of a mono waveform (n,) at 16 kHz, which is repeated until 10 s.

    As the data loader of hche11/VGGSound makes it: log(power density + 1e-7) with the defaults of scipy (Tukey window,
    each window less its mean). Of less than 1 s, which the loader leaves shorter, more copies are made (decision).
    """
    from scipy.signal import spectrogram

    fitted = np.clip(np.resize(waveform, 10 * _SOUND_RATE).astype(np.float64), -1.0, 1.0)
    _, _, power = spectrogram(fitted, _SOUND_RATE, nperseg=512, noverlap=353)
    logarithm = np.log(power + 1e-7)
    # Of the clip by itself, as in the loader: the network has never seen an absolute level.
    return ((logarithm - logarithm.mean()) / (logarithm.std() + 1e-9)).astype(np.float32)
