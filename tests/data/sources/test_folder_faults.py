"""Tables as spreadsheets and other systems leave them: refused with row and column, or understood and said."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from avbalance.data import sources
from avbalance.data.manifest import Manifest, make_manifest, rows_of
from avbalance.data.sources.base import SourceCheck
from avbalance.errors import Faults, UserError

HEAD = "id,label,split,group,video\n"
FOUR = "a,x,train,,a.mp4\nb,y,train,,b.mp4\nc,x,test,,c.mp4\nd,y,test,,d.mp4\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Media of four clips; the tests write the table."""
    root = tmp_path / "in"
    root.mkdir()
    for name in "abcd":
        (root / f"{name}.mp4").write_bytes(name.encode())
    return root


def spec(root: Path | str, **options: Any) -> dict[str, Any]:
    return {"kind": "folder", "stands_for": None, "describe": "mine", "options": {"root": str(root), **options}}


def check(root: Path, table: str | bytes, **options: Any) -> SourceCheck:
    """What is found before anything is decoded."""
    (root / "manifest.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    return sources.read_source(spec(root, **options)).check()


def build(root: Path) -> Manifest:
    return sources.build("mine", spec(root), root.parent / "data" / "mine")


def test_a_plain_table_needs_no_word(folder: Path) -> None:
    assert check(folder, HEAD + FOUR) == SourceCheck()
    assert "odd" not in build(folder).card


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace(",", ";"), "4 rows, 5 columns, separated by semicolons"),
        (lambda text: "sep=;\n" + text.replace(",", ";"), "separated by semicolons"),
        (lambda text: text.replace(",", "\t").replace("\n", "\r\n"), "separated by tabs"),
        (lambda text: text.replace("\n", "\r"), None),
        (lambda text: text.replace("\n", ",,\n"), None),  # columns without names and cells
    ],
)
def test_separators_and_line_ends_are_understood(folder: Path, change: Any, told: str | None) -> None:
    found = check(folder, change(HEAD + FOUR))
    assert found.faults == [] and [told is not None and told in note for note in found.notes] == [True] * bool(told)
    frame = build(folder).frame
    assert frame["id"].tolist() == list("abcd") and frame["visual"].tolist() == [f"{name}.mp4" for name in "abcd"]


def test_labels_that_look_alike_are_one_class_and_said(folder: Path) -> None:
    rows = [("a", "Dog", "train"), ("b", "caf\u00e9", "train"), ("c", "dog", "test"), ("d", "cafe\u0301\u200b", "test")]
    table = HEAD + "".join(f"{name},{label},{part},,{name}.mp4\n" for name, label, part in rows)
    notes = check(folder, table).notes
    assert notes == [
        "labels 'Dog', 'dog' are taken as one class, 'Dog'",
        "labels 'cafe\\u0301\\u200b', 'caf\\xe9' are taken as one class, 'caf\u00e9'",
    ]
    manifest = build(folder)
    assert manifest.classes == ["Dog", "caf\u00e9"] and manifest.card["odd"] == notes
    listed = check(folder, table, classes=["Dog", "dog", "caf\u00e9"]).notes  # who lists both means both
    assert not any("'dog' are taken" in note for note in listed)
    assert any("dog: in test and not in train" in note for note in listed)


def test_what_is_odd_is_counted_and_named_and_no_part_of_the_digest(folder: Path) -> None:
    (folder / "c.mp4").write_bytes(b"a")
    table = HEAD + "a,air horn,train,ann,a.mp4\nb,y,train,bob,b.mp4\nc,air_horn,test,ann,c.mp4\nd,y,test,eve,b.mp4\n"
    notes = check(folder, table).notes
    assert notes == [
        "labels 'air horn' and 'air_horn' look alike; are they one class?",
        "air_horn: in test and not in train, so that no model can know them",
        "1 groups have clips in several parts (ann): models may know the speaker",
        "1 files are named in several parts (b.mp4): tests leak",
        "1 files are the same in two parts, such as a.mp4 and c.mp4: tests leak",
    ]
    manifest = build(folder)
    assert manifest.card["odd"] == notes
    card = {key: value for key, value in manifest.card.items() if key not in ("odd", "digest")}
    assert make_manifest(rows_of(manifest.frame), card, "again").card["digest"] == manifest.card["digest"]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("id,label,split,video,video\n", r"csv, row 1: two columns are named 'video'"),
        (HEAD + FOUR.replace("y", "x"), r"csv: all clips are of one class, 'x'; list clips of two"),
        (HEAD + FOUR.replace("test", "train"), r"csv: no row has test in column 'split'; name some"),
        (HEAD + FOUR.replace("train", "test"), r"csv: no row has train in column 'split'; name some"),
        (HEAD + FOUR + f"e,x,test,,{'e' * 300}\n", r"row 6: column 'video': 'e{40}'\.\.\. is a name of 300 characters"),
        (HEAD + FOUR + "e,x,test,,C:\\clips\\e.mp4\n", r"row 6: column 'video': 'C:.*' leads out of"),
        (HEAD + FOUR + "e,x,test,,../e.mp4\n", r"row 6: column 'video': '\.\./e\.mp4' leads out of"),
        (HEAD + FOUR + "\ne,x,half,,a.mp4\n", r"row 7: column 'split' is 'half'"),
        (
            HEAD + FOUR + '"e\nf",x,test,,a.mp4\n',
            r"row 6: column 'id' is empty, or has a line break or tab inside; write",
        ),
        ("clip,label\n", r"has no rows"),
        (HEAD.replace("label", "Label") + FOUR, r"no column 'label' \(there are id, Label, split, group, video\)"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(folder: Path, table: str, told: str) -> None:
    faults = check(folder, table).faults
    assert len(faults) == 1 and "\n" not in faults[0]
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(faults[0])


def test_all_faults_are_told_at_once_and_equal_ones_counted(folder: Path) -> None:
    rows = "".join(f"{name},x,dev,,a.mp4\n" for name in "efg") + "a,x,test,,b.mp4\nh,,test,,b.mp4\ni,x,test,,b.mp4,1\n"
    faults = [fault.partition("manifest.csv, ")[2] for fault in check(folder, HEAD + FOUR + rows).faults]
    assert faults == [
        "row 6 (and 2 more, to row 8): column 'split' is 'dev'; use 'train', 'val' or 'test'.",
        "row 9: id 'a' already stands in row 2; rename or remove one.",
        "row 10: column 'label' is empty; fill it in.",
        "row 11: has 6 cells, the first row 5; put cells that hold commas in quotes.",
    ]
    with pytest.raises(Faults, match=r"row 6 .*'test'\. \(And 3 more\.\)"):
        build(folder)
    many = "".join(f"{number},x,part{number},,a.mp4\n" for number in range(50))
    assert [fault.partition("manifest.csv, ")[2] for fault in check(folder, HEAD + many).faults] == [
        "row 2 (and 49 more, to row 51): column 'split' is 'part0'; use 'train', 'val' or 'test'."
    ]


def test_paths_of_other_systems_are_understood_and_said(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "a.mp4").rename(folder / "sub" / "a.mp4")
    table = HEAD + FOUR.replace("a.mp4", "sub\\a.mp4").replace("b.mp4", str(folder / "b.mp4"))
    found = check(folder, table)
    assert found.faults == [] and found.notes == [
        "1 paths have backslashes, which are read as slashes, such as sub\\a.mp4",
        f"1 paths are absolute and lie in the folder, such as {folder / 'b.mp4'}",
    ]
    assert build(folder).frame["visual"].tolist() == ["sub/a.mp4", "b.mp4", "c.mp4", "d.mp4"]


def test_links_into_a_store_are_followed_and_said(folder: Path) -> None:
    store = folder.parent / "store"
    store.mkdir()
    for name in "ab":
        (folder / f"{name}.mp4").rename(store / name)
        (folder / f"{name}.mp4").symlink_to(store / name)
    found = check(folder, HEAD + FOUR)
    assert found.faults == []
    assert found.notes == [f"2 files are links out of {folder}, such as a.mp4 to {store / 'a'}: they are followed"]
    assert build(folder).frame["status"].tolist() == ["ok"] * 4


@pytest.mark.parametrize(
    ("target", "reason"),
    [("a.mp4", "a.mp4 is a link to itself"), ("../gone", "a.mp4 is a link to ../gone, which is not there")],
)
def test_a_link_to_nothing_costs_its_clip_with_the_reason(folder: Path, target: str, reason: str) -> None:
    (folder / "a.mp4").unlink()
    (folder / "a.mp4").symlink_to(target)
    assert (
        f"1 of 4 clips have no files and are left out, the first in row 2: {reason}" in check(folder, HEAD + FOUR).notes
    )
    assert build(folder).frame["reason"].tolist() == [reason, "", "", ""]


def test_home_and_variables_are_known_in_root(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    (folder / "manifest.csv").write_text(HEAD + FOUR)
    for root in ("~/in", "$HOME/in", "${HOME}/in"):
        manifest = sources.build("mine", spec(root), folder.parent / "data")
        assert manifest.card["media_root"] == str(folder) and manifest.card["options"]["root"] == root
    with pytest.raises(UserError, match=r"root: is '\$NOWHERE/in', and \$NOWHERE is not known; write the folder"):
        sources.read_source(spec("$NOWHERE/in"))


def test_ten_thousand_clips_are_looked_at_in_seconds(folder: Path) -> None:
    parts = ("train", "train", "test")
    table = "".join(f"{n},c{n % 50},{parts[n % 3]},,{'abcd'[n % 4]}.mp4\n" for n in range(10_000))
    before = time.process_time()
    assert check(folder, HEAD + table).faults == []
    assert time.process_time() - before < 10
