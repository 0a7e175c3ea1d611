"""Real recordings with planted noise, or dubbed: words of one talker of GRID, of which it is known what each tells.

A symbol is the colour that is said: the sound and the pictures of half a second around the word. Where sound and
pictures show one symbol they are of one clip, else each is of any clip of the same part that shows it. Noise is added
to the wave and to the pixels (data/noise.py), in training as in tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avbalance.data.noise import add_blocks, in_noise, pink_noise, unit_power
from avbalance.data.sources.grid import GridOptions
from avbalance.diagnosis.worlds import Stores, Symbols, World, WorldClips, write_clips
from avbalance.errors import LostClip
from avbalance.features.audio import spectrogram
from avbalance.features.clip import frame_block
from avbalance.features.recipes import AudioRecipe, VisualRecipe, get_audio_recipe, get_visual_recipe

SECONDS, FPS, SIDE, RATE = 0.5, 10, 32, 16_000
DATA: dict[str, Any] = {  # as config/tiers/real.yaml has words
    "audio_recipe": "logmel32x16-0.5s", "visual_recipe": "fps5-first-32-0.6s-grey", "crop": SIDE,
    "crop_scale": [0.8, 1.0], "crop_ratio": [3 / 4, 4 / 3], "flip": 0.5,
}  # fmt: skip
EPOCHS = 50
SIZES = {"train": 500, "val": 100, "test": 400}
MOUTH = [0.311, 0.625, 0.578, 0.847]  # of talker 1, see config/datasets/grid-colours.yaml


@dataclass(frozen=True)
class Recordings:
    """Sounds (N, samples) float32, pictures (N, 5, 32, 32, 3) uint8, colours (N,) and parts (N,) of clips."""

    sounds: NDArray[np.float32]
    pictures: NDArray[np.uint8]
    colours: Symbols
    split: NDArray[np.str_]


def read_recordings(root: Path, sizes: Mapping[str, int] = SIZES) -> Recordings:
    """Decode the words of talker 1 below `root`; raises UserError where that is not GRID, or has too few clips."""
    options = {
        "root": str(root), "talkers": ["s1"], "label": "colour", "seed": 0, "clips": dict(sizes), "region": MOUTH,
        "seconds": SECONDS, "fps": FPS, "side": SIDE, "rate": RATE,
    }  # fmt: skip
    source = GridOptions.of({"kind": "grid", "options": options})
    sounds, pictures, told = [], [], []
    for clip in source.plan():
        with suppress(LostClip):
            frames, sound = source.render(clip)
            sounds.append(sound)
            pictures.append(frames)
            told.append((clip.utterance.cls("colour"), clip.split))
    colours, split = zip(*told, strict=True)
    return Recordings(np.stack(sounds), np.stack(pictures), np.array(colours), np.array(split))


def write_recorded(recordings: Recordings, world: World, folder: Path, seed: int = 0) -> Stores:
    """Make the clips of a world out of recordings, as many as there are, and write manifest and feature stores."""
    generator = np.random.default_rng(seed)
    labels = np.arange(len(recordings.split)) % world.classes
    said, shown = world.symbols(labels, generator)
    heard = _drawn(said, recordings, generator)
    seen = heard if np.array_equal(said, shown) else _drawn(shown, recordings, generator)
    audio, visual = get_audio_recipe(DATA["audio_recipe"]), get_visual_recipe(DATA["visual_recipe"])
    assert isinstance(audio, AudioRecipe)
    assert isinstance(visual, VisualRecipe)
    sounds = [_in_noise(sound, world.loud[0], generator) for sound in recordings.sounds[heard]]
    maps = np.stack([spectrogram(sound, RATE, audio) for sound in sounds])
    blocks = [_under_blocks(pictures, world.loud[1], visual, generator) for pictures in recordings.pictures[seen]]
    clips = WorldClips(labels, recordings.split, maps, np.stack(blocks))
    return write_clips(world, clips, (DATA, EPOCHS), generator, folder)


def _drawn(symbols: Symbols, recordings: Recordings, generator: np.random.Generator) -> NDArray[np.int64]:
    """For each clip a recording (N,) of its part that shows its symbol; all of them as often, or once more."""
    rows = np.empty(len(symbols), np.int64)
    for part in np.unique(recordings.split):
        for symbol in np.unique(symbols):
            places = np.flatnonzero((recordings.split == part) & (symbols == symbol))
            known = np.flatnonzero((recordings.split == part) & (recordings.colours == symbol))
            rows[places] = generator.permutation(np.resize(known, len(places)))
    return rows


def _in_noise(sound: NDArray[np.float32], snr_db: float, generator: np.random.Generator) -> NDArray[np.float32]:
    if snr_db == np.inf:
        return sound
    return in_noise(unit_power(sound), pink_noise(len(sound), generator), snr_db, generator)


def _under_blocks(
    pictures: NDArray[np.uint8], snr_db: float, recipe: VisualRecipe, generator: np.random.Generator
) -> NDArray[Any]:
    """The three grey pictures that a network sees of five: the channels of one."""
    from PIL import Image

    noisy = pictures if snr_db == np.inf else add_blocks(pictures, snr_db, generator)
    return frame_block([Image.fromarray(frame) for frame in noisy[::2]], recipe)
