"""TFRecord files of SequenceExample, as AudioSet's features are released in, read without TensorFlow.

Framing (TensorFlow, "TFRecords format details"): a record is the length of its data (8 bytes, little-endian), a
checksum of these 8 bytes, the data, and a checksum of the data. A checksum (4 bytes) is CRC-32C (Castagnoli), masked:
turned right by 15 bits, plus 0xa282ead8. The data are a protocol buffer (tensorflow/core/example, example.proto and
feature.proto) of which only what is needed here is read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from avbalance.errors import UserError

_HEADER, _CHECKSUM = 12, 4  # bytes: length and its checksum; the data's
_POLYNOMIAL, _ONES = 0x82F63B78, 0xFFFFFFFF  # CRC-32C, the lowest bit first
_BLOCK = 2048  # bytes that are summed at once: a record of ten seconds has 1.4 kB
_AGAIN = "take the file again"


@dataclass(frozen=True)
class EmbeddedClip:
    """One record: YouTube id, start and end in seconds, label numbers, and uint8 embeddings (T, D), one per second."""

    video: str
    start: float
    end: float
    labels: tuple[int, ...]
    embeddings: NDArray[np.uint8]


# Framing


def read_records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield offset, in bytes, and data of every record of a file, both checksums checked.

    Raises FileNotFoundError for an absent file, and UserError, naming file and offset, for a record that is cut short
    or has another checksum.
    """
    with path.open("rb") as file:
        offset = 0
        while (data := _record(file, path, offset)) is not None:
            yield offset, data
            offset += _HEADER + len(data) + _CHECKSUM


def read_record(path: Path, offset: int) -> bytes:
    """Data of the record that begins at `offset`; raises as `read_records` does."""
    with path.open("rb") as file:
        file.seek(offset)
        data = _record(file, path, offset)
    if data is None:
        raise UserError(f"{path}, byte {offset}: the file ends before it; {_AGAIN}.")
    return data


def _record(file: BinaryIO, path: Path, offset: int) -> bytes | None:
    """Data of the record at the file's position, which is `offset`; None at the end of the file."""
    header = file.read(_HEADER)
    if not header:
        return None
    if len(header) < _HEADER:
        raise UserError(f"{path}, byte {offset}: the record is cut short; {_AGAIN}.")
    length, checksum = struct.unpack("<QI", header)
    if masked_crc32c(header[:8]) != checksum:
        raise UserError(f"{path}, byte {offset}: the checksum of the record's length is wrong; {_AGAIN}.")
    rest = file.read(length + _CHECKSUM)
    if len(rest) < length + _CHECKSUM:
        raise UserError(f"{path}, byte {offset}: the record is cut short; {_AGAIN}.")
    data = rest[:length]
    if masked_crc32c(data) != int.from_bytes(rest[length:], "little"):
        raise UserError(f"{path}, byte {offset}: the checksum of the record's data is wrong; {_AGAIN}.")
    return data


def masked_crc32c(data: bytes) -> int:
    """The masked CRC-32C of some bytes, see above."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & _ONES


def crc32c(data: bytes) -> int:
    """CRC-32C of some bytes (RFC 3720, appendix B.4: of 32 zeros 0x8a9136aa).

    A CRC is linear over XOR: a byte adds what it alone, with nothing but zeros after it, would give. So the bytes of a
    block are looked up in the table of their distance to its end; what came before is added to its first four bytes.
    """
    crc = _ONES
    for start in range(0, len(data), _BLOCK):
        block = np.frombuffer(data[start : start + _BLOCK], np.uint8).copy()
        first, size = min(4, len(block)), len(block)
        block[:first] ^= np.frombuffer(crc.to_bytes(4, "little"), np.uint8)[:first]
        found = np.bitwise_xor.reduce(_TABLES.take(_ROWS[_BLOCK - size :] + block))
        crc = (crc >> 8 * size) ^ int(found)
    return crc ^ _ONES


def _tables() -> NDArray[np.uint32]:
    """What byte b adds at each place of a block, uint32 (_BLOCK, 256), the last place of the block last."""
    table: NDArray[np.uint32] = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = table >> np.uint32(1) ^ np.where(table & np.uint32(1), np.uint32(_POLYNOMIAL), np.uint32(0))
    places = [table]
    while len(places) < _BLOCK:
        before = places[-1]
        places.append(before >> np.uint32(8) ^ table[before & np.uint32(0xFF)])
    return np.stack(places[::-1])


_TABLES = _tables()
_ROWS = np.arange(_BLOCK) * 256


# Protocol buffers


def embedded_clip(data: bytes, where: str) -> EmbeddedClip:
    """What a record of AudioSet's features holds; raises UserError, beginning with `where`, for anything else."""
    try:
        context = dict(_entries(_only(data, 1)))
        seconds = dict(_entries(_only(data, 2)))["audio_embedding"]
        rows = [_only(_only(feature, 1), 1) for feature in _nested(seconds, 1)]
        return EmbeddedClip(
            video=_only(_only(context["video_id"], 1), 1).decode("ascii"),
            start=_float(context["start_time_seconds"]),
            end=_float(context["end_time_seconds"]),
            labels=_integers(context["labels"]),
            embeddings=np.stack([np.frombuffer(row, np.uint8) for row in rows]),
        )
    except (ValueError, KeyError, IndexError, struct.error) as error:
        raise UserError(
            f"{where}: not a SequenceExample with video_id, start_time_seconds, end_time_seconds, labels and "
            f"audio_embedding ({error}); {_AGAIN}."
        ) from error


def _entries(features: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and value of every entry of Features or FeatureLists: a map is repeated messages of key (1), value (2)."""
    for entry in _nested(features, 1):
        yield _only(entry, 1).decode("ascii"), _only(entry, 2)


def _float(feature: bytes) -> float:
    """The number of a Feature with a FloatList (2) of one value; a list of numbers is packed: their bytes in a row."""
    return float(struct.unpack("<f", _only(_only(feature, 2), 1))[0])


def _integers(feature: bytes) -> tuple[int, ...]:
    """The numbers of a Feature with an Int64List (3)."""
    packed, place, found = _only(_only(feature, 3), 1), 0, []
    while place < len(packed):
        value, place = _varint(packed, place)
        found.append(value)
    return tuple(found)


def _only(message: bytes, number: int) -> bytes:
    """The one field of that number; raises ValueError unless there is exactly one."""
    found = _nested(message, number)
    if len(found) != 1:
        raise ValueError(f"field {number} occurs {len(found)} times")
    return found[0]


def _nested(message: bytes, number: int) -> list[bytes]:
    """The fields of that number that hold bytes: messages, text, packed numbers."""
    found, place = [], 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == 0:
            _, place = _varint(message, place)
            continue
        if kind == 2:
            size, place = _varint(message, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        if place + size > len(message):
            raise ValueError("a field is longer than its message")
        if kind == 2 and key >> 3 == number:
            found.append(message[place : place + size])
        place += size
    return found


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A number of 7 bits per byte, the lowest first, and the place after it; raises IndexError past the end."""
    value, shift = 0, 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
