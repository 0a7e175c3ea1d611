"""A made-up corpus in the layout of GRID: sound and pictures tell the time, so that a test sees what was cut out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from real_data import real

from avbalance.data.grid import CODES, FPS, KINDS, SECONDS, UNIT
from avbalance.data.media_write import write_clip

RATE, SIDE = 16000, 64
STARTS = (0.5, 0.8, 1.1, 1.3, 1.5, 1.9)  # of the words, s
ENDS = (0.8, 1.1, 1.3, 1.5, 1.9, 2.3)


def words_of(name: str) -> list[str]:
    """The words that a sentence's name tells."""
    return [CODES[kind][letter] for kind, letter in zip(KINDS, name, strict=True)]


def timings(name: str) -> str:
    """Text of an .align file, as the corpus writes it."""
    spans = zip(STARTS, ENDS, words_of(name), strict=True)
    rows = [f"{start * UNIT:.0f} {end * UNIT:.0f} {word}" for start, end, word in spans]
    return "\r\n".join([f"0 {STARTS[0] * UNIT:.0f} sil", *rows, f"{ENDS[-1] * UNIT:.0f} 74500 sil", ""])


def write_sentence(root: Path, talker: str, name: str, frames: int = round(SECONDS * FPS), tone: float = 0.0) -> Path:
    """A clip and its timings. Red rises with the number of a picture, the left half is blue; sound rises with time.

    tone: Hz of what is added to the rise.
    """
    pictures = np.zeros((frames, SIDE, SIDE, 3), np.uint8)
    pictures[..., 0] = (3 * np.arange(frames))[:, None, None]
    pictures[:, :, : SIDE // 2, 2] = 200
    time = np.arange(round(frames / FPS * RATE)) / RATE
    sound = (time / 4 + 0.2 * np.sin(2 * np.pi * tone * time)).astype(np.float32)
    path = root / talker / f"{name}.mp4"
    write_clip(path, pictures, sound, FPS, RATE)
    align = root / "align" / talker / f"{name}.align"
    align.parent.mkdir(parents=True, exist_ok=True)
    align.write_text(timings(name), encoding="utf-8", newline="")
    return path


def write_corpus(root: Path, talker: str, names: Iterable[str]) -> None:
    """Several sentences, each with a tone of its own."""
    for number, name in enumerate(names):
        write_sentence(root, talker, name, tone=300.0 + 50 * number)


def real_grid() -> Path:
    """The folder of real recordings; skips the test where there is none."""
    return real("grid")
