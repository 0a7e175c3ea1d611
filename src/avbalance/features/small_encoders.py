"""Fixed encoders of sound and pictures: nothing is learned or fetched, equal input gives equal output.

They stand where pretrained networks stand in the papers, with the widths of those networks' features. All constants are
decisions, made on generated clips, those of the grey encoders on real mouths, before any method was compared; each
block of values comes out at a scale of about one, since models take them as they are.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avbalance.features.audio import Floats, hann, mel_filters

Chroma = NDArray[np.complex64]  # of pixels or means of pixels: the angle is the hue, the length how coloured they are

_MEL_BANDS = 64
_MEL_RANGE_HZ = (125.0, 7500.0)
_WINDOW_S, _HOP_S = 0.064, 0.016  # long enough to keep the harmonics of a low pitch apart
_MEL_FLOOR = 1e-4  # power below this is silence
_MEL_CENTRE, _SPREAD_CENTRE, _SPREAD_SCALE = 1.8, 0.54, 0.3  # mean and spread of generated clips: values about zero

_PIXELS = 32  # side to which frames are averaged: H.264 keeps the colour of a 64-pixel frame no finer
_GRID = 7
_HUES, _SHARPNESS = 24, 8.0  # directions of the colour wheel in a cell, and how narrow each of them is
_FINE_HUES, _FINE_SHARPNESS = 64, 40.0  # of large regions: 28 classes differ by hue
_FILTERS, _FILTER_SIDE = 42, 7
_STILLS = 4  # frames of a second that grey encoders look at


def mel_statistics(waveform: Floats, rate: int, seconds: int = 10) -> NDArray[np.float16]:
    """Mean, then standard deviation over each second, of 64 log-mel bands (125 to 7500 Hz).

    waveform (n,), mono, in [-1, 1], at `rate` Hz: cut to `seconds`, or filled up with silence. Returns (seconds, 128).
    """
    length = seconds * rate
    waveform = np.pad(waveform[:length].astype(np.float32, copy=False), (0, max(0, length - len(waveform))))
    per_second = waveform.reshape(seconds, rate)
    window, hop = round(_WINDOW_S * rate), round(_HOP_S * rate)
    frames = np.lib.stride_tricks.sliding_window_view(per_second, window, axis=1)[:, ::hop]
    # The next power of two, for which the FFT is fast; zeros fill it up.
    n_fft = 1 << (window - 1).bit_length()
    spectrum = np.fft.rfft(frames * hann(window), n=n_fft, axis=-1)
    power = spectrum.real**2 + spectrum.imag**2
    bank = np.ascontiguousarray(mel_filters(_MEL_BANDS, n_fft, rate, *_MEL_RANGE_HZ).T)
    log_mel = np.log(power @ bank + np.float32(_MEL_FLOOR))
    mean = log_mel.mean(axis=1) - _MEL_CENTRE
    spread = (log_mel.std(axis=1) - _SPREAD_CENTRE) / _SPREAD_SCALE
    return np.concatenate([mean, spread], axis=1).astype(np.float16)


def frame_statistics(frames: NDArray[np.uint8], times: Floats, seconds: int = 10) -> NDArray[np.float16]:
    """2048 statistics of the look of frames, averaged over each second, then 512 of the motion within it.

    frames (n, S, S, 3), RGB, n > 0; times (n,), ascending, in seconds. Returns (seconds, 2560). A second without
    frames takes those of the frame nearest to its middle; a second with one frame has no motion.
    """
    chroma, luma = _colour_planes(frames)
    appearance = _membership(times, seconds) @ _appearance(chroma)
    return np.concatenate([appearance, _motion(chroma, luma, times, seconds)], axis=1).astype(np.float16)


def frame_grid(frames: NDArray[np.uint8], times: Floats, seconds: int = 10, channels: int = 64) -> NDArray[np.float16]:
    """Statistics of each cell of a 7 x 7 grid, averaged over each second: hue directions, then filter energies.

    frames and times as in `frame_statistics`. Three quarters of the channels are directions of the colour wheel, the
    rest seeded filters. Returns (seconds, 7, 7, channels).
    """
    chroma, _ = _colour_planes(frames)
    hues = channels * 3 // 4
    toned = 12.0 * _hue_response(_pool(chroma, _GRID), hues, _SHARPNESS)
    edges = 15.0 * _filter_energy(_towards_main_hue(chroma), channels - hues, _GRID)
    features = np.concatenate([toned, edges], axis=-1).reshape(len(frames), -1)
    return (_membership(times, seconds) @ features).reshape(seconds, _GRID, _GRID, channels).astype(np.float16)


def grey_frames(frames: NDArray[np.uint8], times: Floats, seconds: int = 10) -> NDArray[np.float16]:
    """Four frames of each second in grey, side by side: 2048 values of how they look, then 512 of what changes.

    frames and times as in `frame_statistics`. Look: 16 x 32 pixels of each frame. Change: 8 x 16 pixels of each frame
    less the frame before it, of the first one less the last. Returns (seconds, 2560). Where there are fewer
    frames, one that is still shown counts again.
    """
    luma = _luma(frames)[_shown(times, seconds)]
    look = 5.0 * _centred(_pool(luma, 16, 32))
    coarse = _pool(luma, 8, 16)
    change = 16.0 * (coarse - np.roll(coarse, 1, axis=1))
    return np.concatenate([look.reshape(seconds, -1), change.reshape(seconds, -1)], axis=1).astype(np.float16)


def grey_grid(frames: NDArray[np.uint8], times: Floats, seconds: int = 10) -> NDArray[np.float16]:
    """Four frames of each second in grey, 28 x 28 pixels, cut into 7 x 7 cells of 4 frames x 4 x 4 pixels.

    frames and times as in `frame_statistics`, frames as in `grey_frames`. Returns (seconds, 7, 7, 64).
    """
    look = 5.0 * _centred(_pool(_luma(frames), 4 * _GRID, 4 * _GRID)[_shown(times, seconds)])
    cells = look.reshape(seconds, _STILLS, _GRID, 4, _GRID, 4).transpose(0, 2, 4, 1, 3, 5)
    return cells.reshape(seconds, _GRID, _GRID, -1).astype(np.float16)


def clip_statistics(frames: NDArray[np.uint8], width: int = 64) -> NDArray[np.float16]:
    """One vector (width,) of the look of a clip, averaged over its frames (n, S, S, 3), RGB, n > 0.

    Three quarters of the values say which hues its middle and the ring around that have, as many each; all but four of
    the rest are filter energies. The last four say how bright its quarters are, grey being 0: a black frame, which has
    no hue, is not a vector of zeros. width: a multiple of 8 from 16 on.
    """
    chroma, luma = _colour_planes(frames)
    hues = width * 3 // 8
    regions = _regions(chroma.mean(axis=0, keepdims=True))[:, 1:3]
    blocks = (
        20.0 * _hue_response(regions, hues, _FINE_SHARPNESS * min(1.0, hues / _FINE_HUES)),
        15.0 * _filter_energy(_towards_main_hue(chroma), width - 2 * hues - 4, 1),
        4.0 * (_pool(luma, 2) - np.float32(0.5)),
    )
    means = [block.reshape(len(block), -1).mean(axis=0) for block in blocks]
    return np.concatenate(means).astype(np.float16)


def clip_greys(frames: NDArray[np.uint8], width: int = 2048) -> NDArray[np.float16]:
    """Frames (n, S, S, 3), RGB, n > 0, of a clip in grey, side by side: one vector (width,), grey being 0.

    Each frame is averaged to a square of width / n pixels. Black frames give -2.5 everywhere.
    """
    side = math.isqrt(width // len(frames))
    return (5.0 * (_pool(_luma(frames), side) - np.float32(0.5))).reshape(-1).astype(np.float16)


def _luma(frames: NDArray[np.uint8]) -> Floats:
    """Grey (n, 32, 32), 0 to 1, of frames (n, H, W, 3), averaged to that size."""
    rows, columns = _averaging(frames.shape[1], _PIXELS), _averaging(frames.shape[2], _PIXELS)
    luma: Floats = rows @ (frames.mean(axis=3, dtype=np.float32) / np.float32(255.0)) @ columns.T
    return luma


def _centred(planes: Floats) -> Floats:
    """Planes (..., P, Q) less their means: how bright a frame is tells nothing."""
    centred: Floats = planes - planes.mean(axis=(-2, -1), keepdims=True)
    return centred


def _shown(times: Floats, seconds: int) -> NDArray[np.intp]:
    """Which frames (seconds, 4) are shown in the middle of each quarter of a second."""
    middles = (np.arange(seconds * _STILLS) + 0.5) / _STILLS
    shown = np.maximum(0, np.searchsorted(times, middles, side="right") - 1)
    return shown.reshape(seconds, _STILLS)


def _appearance(chroma: Chroma) -> Floats:
    """Statistics (n, 2048) of single frames, of their chroma (n, 32, 32)."""
    outline = _towards_main_hue(chroma)
    halved = _pool(chroma, _PIXELS // 2)
    blocks = (
        12.0 * _hue_response(_pool(chroma, _GRID), _HUES, _SHARPNESS),  # 7 * 7 * 24 = 1176
        20.0 * _hue_response(_regions(chroma), _FINE_HUES, _FINE_SHARPNESS),  # 4 * 64 = 256
        6.0 * _hue_histogram(halved),  # 64
        6.0 * _hue_histogram(halved[:, 4:12, 4:12]),  # 64, of the middle
        3.0 * _pool(outline, 16),  # 256
        3.0 * _pool(np.abs(chroma), 8),  # 64
        15.0 * _filter_energy(outline, _FILTERS, 2),  # 2 * 2 * 42 = 168
    )
    return np.concatenate([block.reshape(len(chroma), -1) for block in blocks], axis=1)


def _motion(chroma: Chroma, luma: Floats, times: Floats, seconds: int) -> Floats:
    """Statistics (seconds, 512) of neighbouring frames of one second, of their planes (n, 32, 32), on an 8 x 8 grid.

    Change times slope is where an edge moves, and which way.
    """
    change, middle = np.diff(chroma, axis=0), (chroma[1:] + chroma[:-1]) / 2
    across, down = (np.real(change * np.gradient(middle, axis=axis).conj()) for axis in (2, 1))
    maps = (
        8.0 * np.abs(change),
        8.0 * np.abs(np.diff(luma, axis=0)),
        32.0 * np.abs(across),
        32.0 * np.abs(down),
        32.0 * across,
        32.0 * down,
        8.0 * np.real(chroma[1:] * chroma[:-1].conj()),
        8.0 * np.abs(middle),
    )
    pooled = np.concatenate([_pool(each, 8).reshape(len(change), 64) for each in maps], axis=1)
    second = np.floor(times)
    pairs = (second[1:] == np.arange(seconds)[:, None]) & (second[1:] == second[:-1])
    means: Floats = (pairs / np.maximum(1, pairs.sum(axis=1, keepdims=True))).astype(np.float32) @ pooled
    return means


def _colour_planes(frames: NDArray[np.uint8]) -> tuple[Chroma, Floats]:
    """Chroma and luma (n, 32, 32) of frames (n, H, W, 3), averaged to that size."""
    rows, columns = _averaging(frames.shape[1], _PIXELS), _averaging(frames.shape[2], _PIXELS)
    small = rows @ (frames.transpose(0, 3, 1, 2).astype(np.float32) @ columns.T) / np.float32(255.0)
    red, green, blue = small[:, 0], small[:, 1], small[:, 2]
    # Red, green and blue at 120 degrees to each other: grey of any brightness is 0, and hue is the angle.
    third = np.complex64(np.exp(2j * np.pi / 3))
    chroma: Chroma = red + green * third + blue * third.conjugate()
    return chroma, small.mean(axis=1, dtype=np.float32)


def _towards_main_hue(chroma: Chroma) -> Floats:
    """Chroma (n, P, P) along the mean direction of the frame's middle: an outline, whatever the colour."""
    middle = chroma[:, 8:24, 8:24].mean(axis=(1, 2))
    direction = middle / np.maximum(np.abs(middle), np.float32(1e-6))
    return np.real(chroma * direction.conj()[:, None, None])


def _regions(chroma: Chroma) -> Chroma:
    """Mean chroma (n, 4) of the middle, of a wider middle, of the ring around it and of the whole frame."""
    axis = (np.arange(_PIXELS) + 0.5) / _PIXELS - 0.5
    radius = np.hypot(axis[:, None], axis[None, :])
    masks = np.stack([radius < 0.18, radius < 0.3, (radius >= 0.18) & (radius < 0.36), radius < 1.0])
    weights = (masks / masks.sum(axis=(1, 2), keepdims=True)).astype(np.float32)
    means: Chroma = chroma.reshape(len(chroma), -1) @ weights.reshape(len(masks), -1).T
    return means


def _hue_response(chroma: Chroma, directions: int, sharpness: float) -> Floats:
    """Responses (..., directions) to chroma (...) of units that are each tuned to one direction of the colour wheel."""
    wheel = np.exp(-2j * np.pi * np.arange(directions) / directions).astype(np.complex64)
    strength = np.abs(chroma)[..., None]
    # A grey pixel has no direction: 1e-6 keeps 0 / 0 away, and `strength` makes its response 0 anyway.
    cosine = np.real(chroma[..., None] * wheel) / np.maximum(strength, np.float32(1e-6))
    response: Floats = strength * np.exp(np.float32(sharpness) * (cosine - 1))
    return response


def _hue_histogram(chroma: Chroma) -> Floats:
    """Root of the share of power per direction (n, 64), of chroma (n, P, P); a pixel counts to the two nearest ones."""
    n = len(chroma)
    power = np.abs(chroma).reshape(n, -1) ** 2
    place = np.angle(chroma).reshape(n, -1) / (2 * np.pi) % 1.0 * _FINE_HUES
    lower = np.floor(place).astype(np.intp)
    share = np.zeros(n * _FINE_HUES)
    for direction, weight in ((lower, 1 - (place - lower)), (lower + 1, place - lower)):
        bins = direction % _FINE_HUES + np.arange(n)[:, None] * _FINE_HUES
        share += np.bincount(bins.ravel(), (weight * power).ravel(), len(share))
    root: Floats = np.sqrt(share.reshape(n, -1) / (power.sum(axis=1, keepdims=True) + 1e-6)).astype(np.float32)
    return root


def _filter_energy(plane: Floats, filters: int, cells: int) -> Floats:
    """Mean rectified response (n, cells, cells, filters) of zero-mean filters to planes (n, P, P)."""
    side = (_FILTER_SIDE, _FILTER_SIDE)
    # Every second row and column: neighbouring responses of 7 x 7 filters are nearly equal.
    patches = np.lib.stride_tricks.sliding_window_view(plane, side, axis=(1, 2))[:, ::2, ::2]
    response = np.maximum(patches.reshape(*patches.shape[:3], -1) @ _filter_bank(filters), 0)
    matrix = _averaging(response.shape[1], cells)
    n, height = response.shape[:2]
    pooled = (matrix @ response.reshape(n, height, -1)).reshape(n, cells, height, filters)
    energy: Floats = matrix @ pooled
    return energy


@functools.cache
def _filter_bank(filters: int) -> Floats:
    """Filters (49, filters) of unit length from a fixed seed; the first ones of a larger bank are the smaller one's."""
    bank = np.random.default_rng(7).standard_normal((filters, _FILTER_SIDE**2)).astype(np.float32).T
    # Without a mean, so that a brighter picture does not answer more.
    bank = bank - bank.mean(axis=0)
    return bank / np.linalg.norm(bank, axis=0)


def _pool(plane: NDArray[Any], rows: int, columns: int | None = None) -> NDArray[Any]:
    """Means (..., rows, columns) of planes (..., P, Q) over a grid of equal cells, a square one if not told."""
    down, across = _averaging(plane.shape[-2], rows), _averaging(plane.shape[-1], columns or rows)
    return down @ plane @ across.T


@functools.cache
def _averaging(size: int, cells: int) -> Floats:
    """Matrix (cells, size) whose rows average equal shares of `size` pixels, split where a border cuts one."""
    edges = np.linspace(0, size, cells + 1)
    pixel = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return (np.maximum(overlap, 0) * cells / size).astype(np.float32)


def _membership(times: Floats, seconds: int) -> Floats:
    """Matrix (seconds, n) that averages the frames of each second; without any, takes that nearest to its middle."""
    matrix = np.floor(times) == np.arange(seconds)[:, None]
    # Slow recorders leave seconds without a frame, in which the last one is still to be seen.
    for second in np.flatnonzero(~matrix.any(axis=1)):
        matrix[second, np.abs(times - (second + 0.5)).argmin()] = True
    return (matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float32)
