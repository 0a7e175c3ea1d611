"""TFRecord files of made-up embeddings, as AudioSet's are laid out, and lists that name their clips."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avbalance.data.tfrecords import masked_crc32c

SECONDS, WIDTH = 10, 128


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, content: bytes) -> bytes:
    """A field that holds bytes: a message, text or packed numbers."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def entry(name: str, value: bytes) -> bytes:
    return field(1, field(1, name.encode()) + field(2, value))


def sequence_example(
    video: str, start: float, embeddings: NDArray[np.uint8], labels: tuple[int, ...] = (0, 500)
) -> bytes:
    """Data of one record; the names in an order of their own, as maps have none."""
    context = [
        entry("labels", field(3, field(1, b"".join(map(varint, labels))))),
        entry("end_time_seconds", field(2, field(1, struct.pack("<f", start + 10)))),
        entry("video_id", field(1, field(1, video.encode()))),
        entry("start_time_seconds", field(2, field(1, struct.pack("<f", start)))),
    ]
    seconds = b"".join(field(1, field(1, field(1, row.tobytes()))) for row in embeddings)
    return field(1, b"".join(context)) + field(2, entry("audio_embedding", seconds))


def record(data: bytes) -> bytes:
    """Data with its frame."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


def embeddings(seed: int, seconds: int = SECONDS) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (seconds, WIDTH), np.uint8)


def write_records(path: Path, *clips: tuple[str, float]) -> list[int]:
    """Write a record of ten seconds for each (YouTube id, start); returns where they begin."""
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [record(sequence_example(video, start, embeddings(place))) for place, (video, start) in enumerate(clips)]
    path.write_bytes(b"".join(records))
    return [sum(map(len, records[:place])) for place in range(len(records))]
