"""The ledger: complete, small, equal for equal sets, and not to be trusted by whoever reads it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from published_set import BEGIN, FILES, HISTORY, INDEX, JOBS, MANIFEST, NAME, PREDICTIONS, TABLE, Checkout

from avbalance.errors import UserError
from avbalance.provenance import ledger as ledgers
from avbalance.provenance.ledger import Job, Ledger, build_ledger, ledger_path, read_ledger, write_ledger
from avbalance.provenance.records import record_path, write_record
from avbalance.provenance.restore import remember, restore


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_every_file_stands_in_it_with_its_bytes_and_its_record(maker: Checkout) -> None:
    entries = read_ledger(ledger_path(maker.root, NAME)).entries()
    assert set(entries) == set(FILES)
    for path, entry in entries.items():
        content = (maker.root / path).read_bytes()
        assert (entry.size, entry.md5) == (len(content), hashlib.md5(content).hexdigest())
        assert entry.record == maker.record(path)
        assert entry.endtime == maker.time(path)


def test_it_is_read_as_it_was_written(maker: Checkout) -> None:
    ledger = maker.publish()
    again = read_ledger(ledger_path(maker.root, NAME))
    assert again.header == ledger.header
    assert again.entries() == ledger.entries()
    assert again.header == {"format": 1, "name": NAME, "record_format_version": 6, "commit": "c0ffee"}


def test_outputs_of_a_job_share_a_line_though_their_times_differ(maker: Checkout) -> None:
    lines = lines_of(ledger_path(maker.root, NAME))
    assert lines[0]["jobs"] == len(lines) - 1 == len(JOBS)
    found = [[output["path"] for output in line["outputs"]] for line in lines[1:]]
    assert sorted(found) == sorted(sorted(paths) for paths in JOBS.values())


def test_outputs_of_equal_records_but_another_setting_do_not_share(maker: Checkout) -> None:
    write_record(maker.root, HISTORY, maker.record(HISTORY) | {"params": ["'other'"]})
    assert len(maker.publish().jobs) == len(JOBS) + 1


def test_equal_ledgers_are_equal_bytes(maker: Checkout, tmp_path: Path) -> None:
    ledger = maker.publish()
    jobs = [Job(dict(reversed(job.record.items())), tuple(reversed(job.outputs))) for job in reversed(ledger.jobs)]
    write_ledger(tmp_path / "again.jsonl", Ledger(dict(reversed(ledger.header.items())), tuple(jobs)))
    assert (tmp_path / "again.jsonl").read_bytes() == ledger_path(maker.root, NAME).read_bytes()


def test_only_paths_below_the_root_stand_in_it(maker: Checkout) -> None:
    assert str(maker.root) not in ledger_path(maker.root, NAME).read_text()


def test_what_is_absent_is_left_out(maker: Checkout) -> None:
    (maker.root / HISTORY).unlink()
    (maker.root / TABLE).unlink()
    (maker.root / TABLE).symlink_to("nowhere")
    assert set(maker.publish().entries()) == set(FILES) - {HISTORY, TABLE}


def test_files_without_a_record_are_named(maker: Checkout) -> None:
    record_path(maker.root, TABLE).unlink()
    write_record(maker.root, HISTORY, maker.record(HISTORY) | {"record_format_version": 5})
    with pytest.raises(UserError, match=rf"^{TABLE}, {HISTORY}: no record .+`snakemake`\.$"):
        maker.publish()
    many = [f"results/{NAME}/n{number:02}.csv" for number in range(12)]
    for path in many:
        maker.write(path, b"", BEGIN)
    with pytest.raises(UserError, match=r"n08\.csv, \S+n09\.csv and 2 more: no record"):
        build_ledger(maker.root, NAME, many, {})


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


def test_bytes_are_read_again_only_where_something_changed(maker: Checkout, hashed: list[str]) -> None:
    remember(maker.root, NAME)
    before = ledger_path(maker.root, NAME).read_bytes()
    maker.publish()
    assert hashed == []
    assert ledger_path(maker.root, NAME).read_bytes() == before
    os.utime(maker.root / INDEX)
    maker.job("table", BEGIN + 500, "v2")
    entries = maker.publish().entries()
    assert sorted(hashed) == sorted([Path(INDEX).name, Path(TABLE).name])
    assert entries[TABLE].md5 == hashlib.md5((maker.root / TABLE).read_bytes()).hexdigest()


def test_a_file_made_here_is_not_published_with_the_old_md5(maker: Checkout) -> None:
    remember(maker.root, NAME)
    maker.job("table", BEGIN + 500, "v2")
    restore(maker.root, NAME)
    restore(maker.root, NAME)
    assert maker.publish().entries()[TABLE].md5 == hashlib.md5((maker.root / TABLE).read_bytes()).hexdigest()


OUTSIDE = [
    "../../.bashrc",
    "/etc/passwd",
    "results/demo/../../.bashrc",
    "results/other/table1.md",
    "results/demo",
    "results/demo/./table1.md",
    "results/demo//table1.md",
    "results/demo/",
    "data/manifest.parquet",
    "data/../src/avbalance/cli.py",
    "results/demo/a\0b",
    "",
    7,
    None,
    ["data", "a", "b"],
]


@pytest.mark.parametrize("path", OUTSIDE, ids=repr)
def test_a_path_outside_the_set_is_refused(maker: Checkout, path: Any) -> None:
    file = ledger_path(maker.root, NAME)
    lines = lines_of(file)
    lines[2]["outputs"][0]["path"] = path
    write_lines(file, lines)
    with pytest.raises(UserError) as raised:
        read_ledger(file)
    assert f"the path {path!r} lies outside results/demo/ and data/; nothing was done" in str(raised.value)
    assert str(raised.value).endswith("run `avbalance fetch demo`.")
    assert "\n" not in str(raised.value)
    if isinstance(path, str):
        with pytest.raises(UserError, match="lies outside"):
            build_ledger(maker.root, NAME, [path], {})


def header(**changes: Any) -> Callable[[list[dict[str, Any]]], Any]:
    return lambda lines: lines[0].update(changes)


def output(**changes: Any) -> Callable[[list[dict[str, Any]]], Any]:
    return lambda lines: lines[2]["outputs"][0].update(changes)


DAMAGES = {
    "a name that leads elsewhere": (header(name="../.."), "line 1 .+ no name"),
    "a name that is none": (header(name=3), "line 1 .+ no name"),
    "no name": (lambda lines: lines[0].pop("name"), "line 1 .+'name'"),
    "no format": (lambda lines: lines[0].pop("format"), "line 1 .+'format'"),
    "jobs that are no number": (header(jobs=-1), "line 1 .+-1 is no number"),
    "a job too many": (lambda lines: lines.append(lines[1]), "it ends after line 6, 5 were written"),
    "a job that is missing": (lambda lines: lines.pop(), "line 5 "),
    "a line that is a list": (lambda lines: lines.__setitem__(2, []), "line 3 "),
    "a job without record": (lambda lines: lines[2].pop("record"), "line 3 .+'record'"),
    "a job without outputs": (lambda lines: lines[2].update(outputs=[]), "line 3 .+ record and outputs"),
    "a record that is a list": (lambda lines: lines[2].update(record=[]), "line 3 "),
    "a record of format 7": (lambda lines: lines[2]["record"].update(record_format_version=7), "line 3 .+format 7"),
    "an unknown key": (output(mode=493), "line 3 .+'mode'"),
    "a size below nothing": (output(size=-1), "line 3 .+-1 is no size"),
    "a size that is a word": (output(size="1"), "line 3 .+'1' is no size"),
    "an md5 that leads elsewhere": (output(md5="../../../../etc/passwd"), "line 3 .+ no md5"),
    "a time that is none": (output(endtime=float("inf")), "line 3 .+inf is no time"),
    "a time that is a word": (output(starttime="now"), "line 3 .+'now' is no time"),
    "a file twice": (lambda lines: lines[3]["outputs"].append(lines[2]["outputs"][0]), "listed twice"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ledger_ends_in_one_sentence(maker: Checkout, damage: str) -> None:
    change, reason = DAMAGES[damage]
    file = ledger_path(maker.root, NAME)
    lines = lines_of(file)
    change(lines)
    write_lines(file, lines)
    with pytest.raises(UserError, match=reason) as raised:
        read_ledger(file)
    assert str(raised.value).startswith(f"{file}: ")
    assert str(raised.value).endswith("delete this file and run `avbalance fetch demo`.")
    assert "\n" not in str(raised.value)


def test_a_ledger_cut_short_anywhere_is_noticed(maker: Checkout) -> None:
    file = ledger_path(maker.root, NAME)
    content = file.read_bytes()
    ends = [number for number, byte in enumerate(content) if byte == ord("\n")]
    for kept in {0, 1, len(content) // 2, len(content) - 1, *ends, *(end + 1 for end in ends[:-1])}:
        file.write_bytes(content[:kept])
        with pytest.raises(UserError, match=r"delete this file and run `avbalance fetch demo`\.$"):
            read_ledger(file)
    file.write_bytes(content)
    assert read_ledger(file).entries()


def test_bytes_that_are_no_text_are_noticed(maker: Checkout) -> None:
    file = ledger_path(maker.root, NAME)
    content = file.read_bytes().split(b"\n")
    file.write_bytes(b"\n".join([content[0], b"\xff\xfe" + content[1], *content[2:]]))
    with pytest.raises(UserError, match="line 2 is not that of a ledger"):
        read_ledger(file)


def test_other_versions_are_named_both(maker: Checkout) -> None:
    file = ledger_path(maker.root, NAME)
    lines = lines_of(file)
    write_lines(file, [lines[0] | {"format": 2}, *lines[1:]])
    with pytest.raises(UserError, match=r"a ledger of format 2, this avbalance reads format 1; [^.]+\.$"):
        read_ledger(file)
    write_lines(file, [lines[0] | {"record_format_version": 7}, *lines[1:]])
    with pytest.raises(UserError, match=r"Snakemake's record format 7, here it is 6; [^.]+\.$"):
        read_ledger(file)


def test_an_absent_ledger_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such file; get the set with `avbalance fetch demo`"):
        read_ledger(ledger_path(tmp_path, NAME))


def test_the_header_cannot_claim_another_set(maker: Checkout) -> None:
    ledger = build_ledger(maker.root, NAME, [MANIFEST, PREDICTIONS], {"name": "other", "format": 9, "closures": {}})
    assert ledger.header == {"name": NAME, "format": 1, "record_format_version": 6, "closures": {}}
