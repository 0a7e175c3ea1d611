"""Folders of tiny clips, in the forms that people have them."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from PIL import Image


def sound(path: Path, number: int = 0, seconds: float = 1.0) -> None:
    """A wav file of its own tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(8000 * seconds)) / 8000
    samples = (8000 * np.sin(2 * np.pi * (200 + 10 * number) * time)).astype("<i2")
    with wave.open(str(path), "wb") as handle:
        handle.setnchannels(1)
        handle.setsampwidth(2)
        handle.setframerate(8000)
        handle.writeframes(samples.tobytes())


def picture(path: Path, number: int = 0) -> None:
    """A picture of its own colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32), (number % 256, 100, 200)).save(path)


def pairs(root: Path, labels: tuple[str, ...] = ("cat", "dog"), each: int = 20) -> None:
    """A folder per class, with sounds and pictures of equal names."""
    for place, label in enumerate(labels):
        for number in range(each):
            sound(root / label / f"{label}{number}.wav", place * each + number)
            picture(root / label / f"{label}{number}.png", place * each + number)
