"""Tables as people have them: any delimiter and encoding, and labels that look alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from avbalance.data.clip_tables import merged_labels, read_table
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
    table = read_table(path)
    assert table.names == ["id", "label"] and table.rows[2][0] == "a" and table.wrong == []
    assert told in table.told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is empty"),
        ("id,label\n", "has no rows"),
        ("id,id\na,b\n", "row 1: two columns are named 'id'"),
        ('id,label\n"a,b\n', "a quote that is not closed"),
        ("id\0", "not a table of text"),
    ],
)
def test_what_is_wrong_is_told_with_its_row(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "clips.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=told):
        read_table(path)


def test_rows_of_another_width_are_told_by_the_number_that_a_spreadsheet_shows(tmp_path: Path) -> None:
    path = tmp_path / "clips.csv"
    path.write_text('id,label\n"a\nb",x\n\na,b,c\na,y\n')
    table = read_table(path)
    assert table.rows == {2: ["a\nb", "x"], 5: ["a", "y"]}
    assert table.wrong == [(4, "has 3 cells, the first row 2; put cells that hold commas in quotes.")]


def test_labels_that_look_alike_are_one_class_and_said() -> None:
    merged, told = merged_labels(["Dog", "dog", "dog", "caf\u00e9", "cafe\u0301", "ca\u200bt", "cat", "cow"])
    assert merged == ["dog", "dog", "dog", "caf\u00e9", "caf\u00e9", "cat", "cat", "cow"]
    assert len(told) == 3 and any("'Dog', 'dog' are taken as one class, 'dog'" in sentence for sentence in told)
