"""TFRecord files without TensorFlow: records written here, damaged ones, and the real release."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from embedding_files import embeddings, entry, field, sequence_example, write_records
from hypothesis import given
from hypothesis import strategies as st
from real_data import real

from avbalance.data.audioset import read_class_names, read_segments
from avbalance.data.tfrecords import crc32c, embedded_clip, masked_crc32c, read_record, read_records
from avbalance.errors import UserError

VIDEO = "-0AAAAAAA_1"


def slow_crc32c(data: bytes) -> int:
    """Bit by bit, as the definition has it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_checksums_are_those_of_the_standard() -> None:
    # RFC 3720, appendix B.4, and the check value of CRC-32C
    assert crc32c(bytes(32)) == 0x8A9136AA and crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E and crc32c(bytes(range(31, -1, -1))) == 0x113FDB5C
    assert crc32c(b"123456789") == 0xE3069283 and crc32c(b"") == 0
    # the frame of the first record of the release's eval/--.tfrecord: its length, 1510, and that checksum
    assert masked_crc32c(bytes.fromhex("e605000000000000")) == 0xD9828E36


@given(st.one_of(st.binary(max_size=9), st.integers(2045, 4100).map(lambda size: (b"\x07\x00\xc1" * size)[:size])))
def test_checksums_of_any_length_are_those_of_the_definition(data: bytes) -> None:
    assert crc32c(data) == slow_crc32c(data)


def test_a_record_gives_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "-0.tfrecord"
    offsets = write_records(path, (VIDEO, 30.0), ("-0BBBBBBBB2", 0.0))
    found = list(read_records(path))
    assert [offset for offset, _ in found] == offsets
    clip = embedded_clip(found[0][1], "here")
    assert (clip.video, clip.start, clip.end, clip.labels) == (VIDEO, 30.0, 40.0, (0, 500))
    assert np.array_equal(clip.embeddings, embeddings(0)) and clip.embeddings.dtype == np.uint8
    assert np.array_equal(embedded_clip(read_record(path, offsets[1]), "here").embeddings, embeddings(1))


def test_what_is_not_needed_is_passed_over() -> None:
    further = b"\x18\x96\x01" + b"\x21" + bytes(8) + b"\x2d" + bytes(4)  # fields 3, 4, 5: a number, 8 and 4 bytes
    data = further + sequence_example(VIDEO, 0.0, embeddings(0, 3)) + field(9, entry("more", b""))
    assert embedded_clip(data, "here").embeddings.shape == (3, 128)


DAMAGES = {
    "length": (0, "checksum of the record's length is wrong"),
    "checksum of the length": (9, "checksum of the record's length is wrong"),
    "data": (700, "checksum of the record's data is wrong"),
    "checksum of the data": (-2, "checksum of the record's data is wrong"),
}


@pytest.mark.parametrize("place", DAMAGES)
def test_a_wrong_bit_is_named_with_file_and_offset(tmp_path: Path, place: str) -> None:
    path = tmp_path / "-0.tfrecord"
    _, second = write_records(path, (VIDEO, 30.0), ("-0BBBBBBBB2", 0.0))
    content = bytearray(path.read_bytes())
    where, message = DAMAGES[place]
    content[second + where if where >= 0 else where] ^= 4
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"-0\.tfrecord, byte {second}: the {message}; take the file again\.$"):
        list(read_records(path))
    with pytest.raises(UserError, match=rf"byte {second}: the {message}"):
        read_record(path, second)
    assert read_record(path, 0)


@pytest.mark.parametrize("kept", [5, 12, 800, -1])
def test_a_file_that_is_cut_short_is_named_with_the_offset(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "-0.tfrecord"
    _, second = write_records(path, (VIDEO, 30.0), ("-0BBBBBBBB2", 0.0))
    whole = path.read_bytes()
    path.write_bytes(whole[: second + kept if kept > 0 else kept])
    with pytest.raises(UserError, match=rf"-0\.tfrecord, byte {second}: the record is cut short; take the file again"):
        list(read_records(path))
    with pytest.raises(UserError, match=rf"byte {len(whole)}: the file ends before it; take the file again"):
        read_record(path, len(whole))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "field 1 occurs 0 times"),
        (b"<html>", "unknown kind 4"),
        (sequence_example(VIDEO, 0.0, embeddings(0))[:-1], "a field is longer than its message"),
        (b"\xff", "index out of range"),
        (sequence_example(VIDEO, 0.0, embeddings(0, 0)), "need at least one array"),
        (field(1, b"") + field(2, entry("audio_embedding", b"")), "('video_id')"),
        (field(1, b"") + field(2, entry("rgb", b"")), "('audio_embedding')"),
    ],
)
def test_other_data_are_refused_in_one_sentence(data: bytes, what: str) -> None:
    with pytest.raises(UserError) as caught:
        embedded_clip(data, "-0.tfrecord, byte 12")
    said = str(caught.value)
    assert said.startswith("-0.tfrecord, byte 12: not a SequenceExample with video_id,")
    assert what in said and said.endswith("take the file again.")


def test_a_real_file_is_read() -> None:
    clips = [
        embedded_clip(data, str(offset))
        for offset, data in read_records(real("audioset", "vggish", "eval", "--.tfrecord"))
    ]
    assert len(clips) == 4 and clips[0].video == "--4gqARaEJE" and clips[0].labels == (72, 73, 74, 361)
    assert [(clip.end - clip.start, clip.embeddings.shape) for clip in clips[2:]] == [(10, (10, 128)), (9, (9, 128))]
    assert clips[0].embeddings[0, :4].tolist() == [0x83, 0x23, 0x82, 0x69]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "files", "number", "listed"),
    [("bal_train", 4070, 22_160, "balanced_train_segments.csv"), ("eval", 4062, 20_371, "eval_segments.csv")],
)
def test_all_real_records_are_those_of_the_list(folder: str, files: int, number: int, listed: str) -> None:
    paths = sorted(real("audioset", "vggish", folder).glob("*.tfrecord"))
    lists = paths[0].parents[2]
    places = {label: place for place, label in enumerate(read_class_names(lists / "class_labels_indices.csv"))}
    wanted = {
        (segment.video, round(segment.start, 3)): {places[label] for label in segment.labels}
        for segment in read_segments(lists / listed)
    }
    before, found = time.process_time(), {}
    for path in paths:
        for offset, data in read_records(path):
            clip = embedded_clip(data, f"{path}, byte {offset}")
            assert clip.video[:2] == path.stem and 1 <= len(clip.embeddings) <= 10
            found[clip.video, round(clip.start, 3)] = set(clip.labels)  # 79 end before the list says
    assert time.process_time() - before < 10  # seconds; 2.5 where this was written
    assert (len(paths), len(found)) == (files, number)
    assert found == {clip: wanted[clip] for clip in found}
