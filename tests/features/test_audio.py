import cmath
import dataclasses
import math

import numpy as np
import pytest
from clip_files import RATE, tone

from avbalance.features.audio import decibel_mel, fit_length, kaldi_fbank, mel_filters, spectrogram, stft
from avbalance.features.recipes import get_audio_recipe


def test_stft_is_the_discrete_fourier_transform_of_hann_windows():
    x = np.array([0.1, -0.4, 0.3, 0.9, -0.2, 0.5, 0.7, -0.6, 0.2, 0.0], np.float32)
    # Reflection by n_fft / 2 = 4 on both sides: x4 x3 x2 x1 | x0 ... x9 | x8 x7 x6 x5
    padded = [x[4], x[3], x[2], x[1], *x, x[8], x[7], x[6], x[5]]
    result = stft(x, n_fft=8, hop=3)
    assert result.shape == (5, 4)  # 8 / 2 + 1 bins, 10 // 3 + 1 frames
    for t in range(4):
        for k in range(5):
            expected = sum(
                (0.5 - 0.5 * math.cos(2 * math.pi * n / 8)) * padded[3 * t + n] * cmath.exp(-2j * math.pi * k * n / 8)
                for n in range(8)
            )
            assert abs(result[k, t] - expected) < 1e-6


@pytest.mark.parametrize("name", ["paper48k", "ogm_vgg", "ogm_cremad"])
def test_log_magnitude_of_a_tone_and_of_silence(name):
    recipe = get_audio_recipe(name)
    # A tone of amplitude 0.5 on bin 32: Hann windows sum to n_fft / 2, so |X| = 0.5 * n_fft / 4.
    frequency = 32 * recipe.rate / recipe.n_fft
    values = spectrogram(tone(recipe.seconds, recipe.rate, frequency), recipe.rate, recipe)
    assert values.shape == recipe.shape
    assert values.dtype == np.float16
    middle = values[:, recipe.frames // 2].astype(float)
    assert middle.argmax() == 32
    assert middle[32] == pytest.approx(math.log(recipe.n_fft / 8), abs=4e-3)
    silent = spectrogram(np.zeros(recipe.rate, np.float32), recipe.rate, recipe)
    assert (silent == np.float16(math.log(1e-7))).all()


def test_samples_are_clipped_before_the_transform():
    recipe = get_audio_recipe("ogm_vgg")
    loud = 4 * tone(10, 16_000)
    assert np.array_equal(spectrogram(loud, 16_000, recipe), spectrogram(loud.clip(-1, 1), 16_000, recipe))


def short_recipe(fit, seconds, tiles=1):
    return dataclasses.replace(get_audio_recipe("paper48k"), rate=4, seconds=seconds, fit=fit, tiles=tiles)


@pytest.mark.parametrize(
    ("fit", "tiles", "length", "expected"),
    [
        # rate 4, target 3 s = 12 samples
        ("repeat-last-second", 1, 6, [0, 1, 2, 3, 4, 5, 4, 5, 4, 5, 4, 5]),  # the last, partial second is 4 5
        ("repeat-last-second", 1, 8, [0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7]),  # a whole second
        ("double", 1, 5, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]),  # 5 -> 10 -> 20, cut
        ("tile", 3, 5, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]),  # 15, cut
        ("tile", 3, 3, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 0, 0]),  # 9, and zeros
        ("pad", 1, 5, [0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0]),
        ("pad", 1, 14, list(range(12))),
    ],
)
def test_short_clips_follow_their_profile(fit, tiles, length, expected):
    waveform = np.arange(length, dtype=np.float32)
    assert fit_length(waveform, short_recipe(fit, 3.0, tiles)).tolist() == expected


def test_logmel_averages_power_over_its_steps():
    recipe = get_audio_recipe("logmel32x64-4s")
    rng = np.random.default_rng(3)
    waveform = (0.1 * rng.standard_normal(64_000)).astype(np.float32)
    values = spectrogram(waveform, 16_000, recipe).astype(float)
    power = np.abs(stft(waveform, 512, 250)) ** 2
    # Frame 5 averages steps 20 to 23.
    expected = np.log(mel_filters(32, 512, 16_000) @ power[:, 20:24].mean(axis=1) + 1e-6)
    assert values.shape == (32, 64)
    np.testing.assert_allclose(values[:, 5], expected, atol=4e-3)


def test_mel_filters_are_triangles_on_the_htk_scale():
    filters = mel_filters(2, 512, 16_000)
    # 0..8000 Hz = 0..2840.0 mel; edges at 0, 946.7, 1893.4, 2840.0 mel = 0, 921.6, 3056.4, 8000 Hz.
    # Bin 32 = 1000 Hz: first falls (3056.4 - 1000) / 2134.8 = .9633,
    # second rises (1000 - 921.6) / 2134.8 = .0367.
    np.testing.assert_allclose(filters[:, 32], [0.9633, 0.0367], atol=2e-4)
    assert filters[:, 0].tolist() == [0, 0]
    assert filters.max() <= 1


def fbank_by_formula(x, rate):
    """Kaldi's filter bank: mean off, pre-emphasis .97, Hann, 20 Hz to Nyquist, mel = 1127 ln(1 + f / 700)."""
    size, shift = rate // 40, rate // 100
    n_fft = 1 << (size - 1).bit_length()
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / (size - 1))

    def mel(f):
        return 1127 * np.log(1 + f / 700)

    edges = np.linspace(mel(20), mel(rate / 2), 130)
    position = mel(np.arange(n_fft // 2) * rate / n_fft)
    up = (position - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - position) / (edges[2:] - edges[1:-1])[:, None]
    filters = np.maximum(0, np.minimum(up, down))
    x = x - x.mean()
    rows = []
    for start in range(0, len(x) - size + 1, shift):
        frame = x[start : start + size] - x[start : start + size].mean()
        frame = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
        power = np.abs(np.fft.rfft(frame * window, n_fft)[:-1]) ** 2
        rows.append(np.log(np.maximum(filters @ power, np.finfo(np.float32).eps)))
    return np.array(rows)


def test_ks_fbank_equals_the_formula_padded_and_normalised():
    recipe = get_audio_recipe("ks_fbank")
    rng = np.random.default_rng(1)
    waveform = (0.1 * rng.standard_normal(8000) + 0.05).astype(np.float32)
    values = spectrogram(waveform, 16_000, recipe).astype(float)
    expected = fbank_by_formula(waveform.astype(float), 16_000)
    assert values.shape == (1024, 128)
    assert len(expected) == 48  # (8000 - 400) / 160 + 1
    np.testing.assert_allclose(values[:48], (expected + 4.503877) / 10.282552, atol=3e-3)
    # Padding is zero before the normalisation: 4.503877 / 10.282552 = 0.43801.
    np.testing.assert_allclose(values[48:], 0.43801, atol=3e-4)


def test_ks_fbank_keeps_the_native_rate_and_cuts_at_1024_frames():
    recipe = get_audio_recipe("ks_fbank")
    noise = (0.1 * np.random.default_rng(2).standard_normal(11 * 8000)).astype(np.float32)
    whole = kaldi_fbank(noise, 8000, recipe)
    assert whole.shape == (1024, 128)
    # 11 s give 1098 frames; the last one kept is not padding.
    assert np.abs(whole[1023]).min() > 0


# Log-mel in decibels; silence and lengths: tests/fidelity/test_modality_relevance.py, item 4


def test_a_tone_has_the_decibels_of_its_filters():
    frequency = 64 * RATE / 1024  # in the middle of bin 64
    wave = (0.5 * np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)).astype(np.float32)
    column = decibel_mel(wave, get_audio_recipe("decibel64-1s"))[:, 16]
    # A Hann window of 1,024 sums to 512: |X| = 0.5 / 2 * 512 in the bin, half of that in its two neighbours.
    filters = mel_filters(64, 1024, RATE)[:, 63:66].astype(np.float64)
    expected = 10 * np.log10(filters @ np.array([64.0**2, 128.0**2, 64.0**2]) + 1e-30)
    heard = expected > 0
    assert heard.sum() >= 1 and column.argmax() == expected.argmax()
    assert column[heard] == pytest.approx(expected[heard], abs=0.01)
