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
        # The state so far acts like four more bytes at the block's beginning.
        block[:first] ^= np.frombuffer(crc.to_bytes(4, "little"), np.uint8)[:first]
        crc = (crc >> 8 * size) ^ int(np.bitwise_xor.reduce(_TABLES.take(_ROWS[_BLOCK - size :] + block)))
    return crc ^ _ONES


def _tables() -> NDArray[np.uint32]:
    """What byte b adds at each place of a block, uint32 (_BLOCK, 256), the last place of the block last."""
    table: NDArray[np.uint32] = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        # Eight single bits make the table of a byte, as in every table-driven CRC.
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
    """What a record of AudioSet's features holds; raises UserError, beginning with `where`, for anything else.

    Values are lists in a Feature: of bytes in its field 1, of floats in 2, of integers in 3. Numbers are packed: their
    bytes in a row.
    """
    try:
        context, lists = (_map(_only(data, number)) for number in (1, 2))
        rows = [_only(_only(feature, 1), 1) for feature in _fields(lists["audio_embedding"], 1)]
        return EmbeddedClip(
            video=_only(_only(context["video_id"], 1), 1).decode("ascii"),
            start=_float(context["start_time_seconds"]),
            end=_float(context["end_time_seconds"]),
            labels=_integers(_only(_only(context["labels"], 3), 1)),
            embeddings=np.stack([np.frombuffer(row, np.uint8) for row in rows]),
        )
    except (ValueError, KeyError, IndexError, struct.error) as error:
        raise UserError(
            f"{where}: not a SequenceExample with video_id, start_time_seconds, end_time_seconds, labels and "
            f"audio_embedding ({error}); {_AGAIN}."
        ) from error


def _map(message: bytes) -> dict[str, bytes]:
    """Name -> value of Features or FeatureLists: a map is repeated messages of key (1) and value (2)."""
    return {_only(entry, 1).decode("ascii"): _only(entry, 2) for entry in _fields(message, 1)}


def _float(feature: bytes) -> float:
    return float(struct.unpack("<f", _only(_only(feature, 2), 1))[0])


def _integers(packed: bytes) -> tuple[int, ...]:
    place, numbers = 0, []
    while place < len(packed):
        number, place = _varint(packed, place)
        numbers.append(number)
    return tuple(numbers)


def _only(message: bytes, number: int) -> bytes:
    """The one field of that number; raises ValueError unless there is exactly one."""
    fields = _fields(message, number)
    if len(fields) != 1:
        raise ValueError(f"field {number} occurs {len(fields)} times")
    return fields[0]


def _fields(message: bytes, number: int) -> list[bytes]:
    """The fields of that number that hold bytes: messages, text, packed numbers."""
    fields, place = [], 0
    while place < len(message):
        key, place = _varint(message, place)
        kind, size = key & 7, 0
        if kind == 0:
            _, place = _varint(message, place)
        elif kind == 2:
            size, place = _varint(message, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        if place + size > len(message):
            raise ValueError("a field is longer than its message")
        if key == number << 3 | 2:
            fields.append(message[place : place + size])
        place += size
    return fields


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A number of 7 bits per byte, the lowest first, and the place after it; raises IndexError past the end."""
    value, shift = 0, 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
