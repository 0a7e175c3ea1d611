"""The ledger: complete, small, equal for equal sets, and not to be trusted by whoever reads it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small import FILES, HISTORY, INDEX, LATER, NAME, TABLE, Clone

from flowkeeper import ledger as ledgers
from flowkeeper.errors import UserError
from flowkeeper.interface import ResultSet
from flowkeeper.ledger import Ledger, build_ledger, own_entries, read_ledger, remember_own, write_ledger
from flowkeeper.records import mark_incomplete, record_path, write_record
from flowkeeper.restore import restore


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_every_file_stands_in_it_with_its_bytes_and_its_record(maker: Clone) -> None:
    ledger = read_ledger(maker.results)
    assert ledger.header == {"format": 2, "name": NAME, "record_format_version": 6, "commit": "c0ffee"}
    assert set(ledger.entries) == set(FILES)
    for path, entry in ledger.entries.items():
        content = (maker.root / path).read_bytes()
        assert (entry.size, entry.md5) == (len(content), hashlib.md5(content).hexdigest())
        assert entry.record == maker.record(path)
        assert entry.endtime == maker.time(path)
    assert ledger.entries == maker.write_down().entries
    assert str(maker.root) not in maker.results.ledger.read_text()


def test_equal_ledgers_are_equal_bytes(maker: Clone, tmp_path: Path) -> None:
    ledger = maker.write_down()
    entries = dict(reversed(ledger.entries.items()))
    write_ledger(tmp_path / "again.jsonl", Ledger(dict(reversed(ledger.header.items())), entries))
    assert (tmp_path / "again.jsonl").read_bytes() == maker.results.ledger.read_bytes()
    told = [line for line in lines_of(maker.results.ledger) if "record" in line]
    assert len(told) == len({entry.job for entry in entries.values()}) == 4, "files of one job share a record"


def test_what_is_absent_is_left_out(maker: Clone) -> None:
    maker.delete(HISTORY, TABLE)
    (maker.root / TABLE).symlink_to("nowhere")
    assert set(maker.write_down().entries) == set(FILES) - {HISTORY, TABLE}


def test_files_without_a_record_are_named(maker: Clone) -> None:
    record_path(maker.root, TABLE).unlink()
    write_record(maker.root, HISTORY, maker.record(HISTORY) | {"record_format_version": 5})
    with pytest.raises(UserError, match=rf"^{TABLE}, {HISTORY}: no record .+`snakemake`\.$"):
        maker.write_down()
    many = [f"results/{NAME}/n{number:02}.csv" for number in range(12)]
    for path in many:
        maker.write(path, b"", LATER)
    with pytest.raises(UserError, match=r"n08\.csv, \S+n09\.csv and 2 more: no record"):
        maker.write_down(many)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose bytes were read."""
    names: list[str] = []
    md5_file = ledgers.md5_file

    def note(path: Path) -> str:
        names.append(path.name)
        return md5_file(path)

    monkeypatch.setattr(ledgers, "md5_file", note)
    return names


def test_bytes_are_read_again_only_where_something_changed(maker: Clone, hashed: list[str]) -> None:
    restore(maker.results)
    before = maker.results.ledger.read_bytes()
    maker.write_down()
    assert hashed == []
    assert maker.results.ledger.read_bytes() == before
    os.utime(maker.root / INDEX)
    maker.job("table", code="v2")
    entries = maker.write_down().entries
    assert sorted(hashed) == sorted([Path(INDEX).name, Path(TABLE).name])
    assert entries[TABLE].md5 == hashlib.md5((maker.root / TABLE).read_bytes()).hexdigest()


def test_a_file_made_here_is_not_published_with_the_old_md5(maker: Clone) -> None:
    restore(maker.results)
    maker.job("table", code="v2")
    maker.restore()
    maker.restore()
    assert maker.write_down().entries[TABLE].md5 == hashlib.md5((maker.root / TABLE).read_bytes()).hexdigest()


def test_the_ledger_of_what_was_made_here_has_what_is_finished_and_reads_news_alone(
    tmp_path: Path, hashed: list[str]
) -> None:
    made = Clone(tmp_path).run_all()
    record_path(made.root, TABLE).unlink()
    mark_incomplete(made.root, HISTORY)
    remember_own(made.results, [*FILES, "elsewhere/x"])
    assert set(own_entries(made.results)) == set(FILES) - {TABLE, HISTORY}
    assert not made.results.ledger.exists()
    hashed.clear()
    made.job("table")
    remember_own(made.results, FILES)
    assert hashed == [Path(TABLE).name]
    made.results.own_ledger.write_text("{")
    assert own_entries(made.results) == {}


OUTSIDE = [
    "../../.bashrc",
    "/etc/passwd",
    "results/demo/../../.bashrc",
    "results/other/table1.md",
    "results/demo",
    "results/demo//table1.md",
    "results/demo/",
    "data/manifest.parquet",
    "data/../src/steps/cli.py",
    "results/demo/a\0b",
    "",
]


@pytest.mark.parametrize("path", OUTSIDE, ids=repr)
def test_a_path_outside_the_set_is_refused(maker: Clone, path: str) -> None:
    lines = lines_of(maker.results.ledger)
    lines[2]["path"] = path
    write_lines(maker.results.ledger, lines)
    with pytest.raises(UserError) as raised:
        read_ledger(maker.results)
    assert f"line 3 is not that of a ledger (the path {path!r} lies outside results/demo/ and data/)" in str(
        raised.value
    )
    with pytest.raises(UserError, match="lies outside"):
        build_ledger(maker.results, [path], {})


def line(number: int, **changes: Any) -> Callable[[list[dict[str, Any]]], Any]:
    return lambda lines: lines[number - 1].update(changes)


DAMAGES = {
    "no name": (lambda lines: lines[0].pop("name"), "line 1 .+'name'"),
    "no format": (lambda lines: lines[0].pop("format"), "line 1 .+'format'"),
    "a header that is a list": (lambda lines: lines.__setitem__(0, []), "line 1 "),
    "files that are no number": (line(1, files="many"), "line 1 "),
    "a file too many": (lambda lines: lines.append(lines[1]), "it ends after line 8, 7 were written"),
    "a file too few": (lambda lines: lines.pop(), "line 7 "),
    "a line that is a list": (lambda lines: lines.__setitem__(2, []), "line 3 "),
    "a file without record": (lambda lines: lines[1].pop("record"), "line 2 "),
    "a record that is a list": (line(3, record=[]), "line 3 "),
    "a record of format 7": (line(3, record={"record_format_version": 7}), "line 3 .+format 7"),
    "a time that is none": (line(3, endtime=float("inf")), "line 3 .+endtime"),
    "a time that is a word": (line(3, starttime="now"), "line 3 .+starttime"),
    "no time": (lambda lines: lines[2].pop("endtime"), "line 3 .+endtime"),
    "an unknown key": (line(3, mode=493), "line 3 .+mode"),
    "a path that is none": (line(3, path=7), "line 3 .+path"),
    "a size below nothing": (line(3, size=-1), "line 3 .+size"),
    "a size that is a word": (line(3, size="1"), "line 3 .+size"),
    "an md5 that leads elsewhere": (line(3, md5="../../../../etc/passwd"), "line 3 .+md5"),
    "a file twice": (lambda lines: lines.__setitem__(3, lines[2]), "listed twice"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ledger_ends_in_one_sentence(maker: Clone, damage: str) -> None:
    change, reason = DAMAGES[damage]
    lines = lines_of(maker.results.ledger)
    change(lines)
    write_lines(maker.results.ledger, lines)
    with pytest.raises(UserError, match=reason) as raised:
        read_ledger(maker.results)
    assert str(raised.value).startswith(f"{maker.results.ledger}: ")
    assert str(raised.value).endswith("delete this file and run `keep fetch demo`.")
    assert "\n" not in str(raised.value)


def test_a_ledger_cut_short_anywhere_or_no_text_is_noticed(maker: Clone) -> None:
    file = maker.results.ledger
    content = file.read_bytes()
    ends = [number for number, byte in enumerate(content) if byte == ord("\n")]
    for kept in {0, 1, len(content) // 2, len(content) - 1, *ends, *(end + 1 for end in ends[:-1])}:
        file.write_bytes(content[:kept])
        with pytest.raises(UserError, match=r"delete this file and run `keep fetch demo`\.$"):
            read_ledger(maker.results)
    first, second, *rest = content.split(b"\n")
    file.write_bytes(b"\n".join([first, b"\xff\xfe" + second, *rest]))
    with pytest.raises(UserError, match="line 2 is not that of a ledger"):
        read_ledger(maker.results)


def test_other_versions_are_named_both_and_another_set_too(maker: Clone) -> None:
    file = maker.results.ledger
    lines = lines_of(file)
    write_lines(file, [lines[0] | {"format": 1}, *lines[1:]])
    with pytest.raises(UserError, match=r"a ledger of format 1, this keep reads format 2; [^;]+again\.$"):
        read_ledger(maker.results)
    write_lines(file, [lines[0] | {"record_format_version": 7}, *lines[1:]])
    with pytest.raises(UserError, match=r"Snakemake's record format 7, here it is 6; [^.]+\.$"):
        read_ledger(maker.results)
    write_lines(file, lines)
    with pytest.raises(
        UserError, match=r"the ledger of another result set, demo; delete it and run `keep fetch other`"
    ):
        read_ledger(ResultSet(maker.workflow, maker.root, "other"), file)
    file.unlink()
    with pytest.raises(UserError, match=r"no such file; get the set with `keep fetch demo`"):
        read_ledger(maker.results)
