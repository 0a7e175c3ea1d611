"""Tables as people have them: any delimiter, encoding and names of columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from avbalance.diagnosis.tables import guess, merged_labels, read_table, split_of
from avbalance.errors import UserError


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"id,label\na,x\nb,y\n", "2 rows, 2 columns, separated by commas"),
        (b"sep=;\nid;label\na;x, y\nb;z\n", "2 rows, 2 columns, separated by semicolons"),
        (b"id\tlabel\na\tx\n", "separated by tabs"),
        ("id;label\na;é\n".encode("cp1252"), "in Windows-1252"),
        ("id;label\na;é\n".encode("utf-16"), "in UTF-16"),
        (b"\xef\xbb\xbfid,label\na,x\n", "2 columns"),
    ],
)
def test_a_table_is_recognised(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "clips.csv"
    path.write_bytes(content)
    frame, sentence = read_table(path)
    assert list(frame) == ["id", "label"] and frame["id"][0] == "a"
    assert told in sentence


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is empty"),
        ("id,label\n", "no clip"),
        ("id,id\na,b\n", "row 1: two columns are named 'id'"),
        ("id,label\na,b,c\n", "row 2: has 3 cells, the first row 2"),
        ('id,label\n"a,b\n', "a quote that is not closed"),
        ("id\0", "not a table of text"),
    ],
)
def test_what_is_wrong_is_told_with_its_row(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "clips.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=told):
        read_table(path)


def test_names_of_columns_and_parts_are_guessed() -> None:
    assert guess(["Clip ID", "Emotion", "Speaker-ID", "x"], "id") == "Clip ID"
    assert guess(["Clip ID", "Emotion", "Speaker-ID"], "group") == "Speaker-ID"
    assert guess(["a", "b"], "label") is None
    assert [split_of(word) for word in ("Training", "dev", "EVAL", "half")] == ["train", "val", "test", None]


def test_labels_that_look_alike_are_one_class_and_said() -> None:
    merged, told = merged_labels(["Dog", "dog", "dog", "caf\u00e9", "cafe\u0301", "ca\u200bt", "cat", "cow"])
    assert merged == ["dog", "dog", "dog", "caf\u00e9", "caf\u00e9", "cat", "cat", "cow"]
    assert len(told) == 3 and any("'Dog', 'dog' are taken as one class, 'dog'" in sentence for sentence in told)
