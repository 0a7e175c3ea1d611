"""What restore makes of every state of a file, and that a restored set is one on which nothing is to be done.

A row of the decision table is a test; the table stands in provenance/judgement.py.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from published_set import (
    BEGIN,
    CARD,
    FILES,
    HISTORY,
    INDEX,
    JOBS,
    MANIFEST,
    NAME,
    PREDICTIONS,
    TABLE,
    Checkout,
    make_everything,
    record_of,
)
from workspace import Workspace

from avbalance.errors import UserError
from avbalance.plan.commandline import load_plan_for
from avbalance.provenance import restore as restoring
from avbalance.provenance import stamp as stamps
from avbalance.provenance.ledger import build_ledger, ledger_path, read_ledger, write_ledger
from avbalance.provenance.records import incomplete_files, record_path, write_record
from avbalance.provenance.restore import Restored, remember, restore, verify
from avbalance.provenance.stamp import stamp_path

LATER = BEGIN + 5000


def assert_as_published(reader: Checkout, maker: Checkout, paths: list[str] = FILES) -> None:
    """Records and times are those of the maker's checkout."""
    for path in paths:
        assert reader.record(path) == maker.record(path), path
        assert reader.time(path) == pytest.approx(maker.time(path), abs=1e-5), path
    assert incomplete_files(reader.root) == []


def making(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in ("starttime", "endtime", "job_hash")}


@pytest.fixture
def restored(reader: Checkout) -> Checkout:
    """A checkout that fetched everything and restored it."""
    assert restore(reader.root, NAME) == Restored(len(FILES), 0, [])
    return reader


@pytest.fixture
def read_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths whose bytes were read to be judged."""
    names: list[str] = []
    md5_file = restoring.md5_file

    def note(path: Path) -> str:
        names.append(path.name)
        return md5_file(path)

    monkeypatch.setattr(restoring, "md5_file", note)
    return names


# --- The published bytes ---


def test_a_fetched_set_gets_its_records_and_times(reader: Checkout, maker: Checkout) -> None:
    assert restore(reader.root, NAME) == Restored(len(FILES), 0, [])
    assert_as_published(reader, maker)
    times = [max(reader.time(path) for path in paths) for paths in JOBS.values()]
    assert times == sorted(times), "no output is older than what it was made of"


def test_without_a_ledger_nothing_happens(tmp_path: Path) -> None:
    made = make_everything(tmp_path / "new")
    before = made.state()
    assert restore(made.root, NAME) == Restored(0, 0, [])
    assert made.state() == before


def test_where_it_was_made_nothing_changes(maker: Checkout) -> None:
    before = maker.state()
    assert restore(maker.root, NAME) == Restored(0, len(FILES), [])
    after = maker.state()
    assert after.pop(str(stamp_path(Path(), NAME)))
    assert after == before


def test_touched_files_get_their_times_back(restored: Checkout, maker: Checkout) -> None:
    os.utime(restored.root / INDEX)
    os.utime(restored.root / TABLE, (BEGIN - 100, BEGIN - 100))
    assert restore(restored.root, NAME) == Restored(2, len(FILES) - 2, [])
    assert_as_published(restored, maker)


def test_lost_and_truncated_records_come_back(restored: Checkout, maker: Checkout) -> None:
    record_path(restored.root, TABLE).unlink()
    assert restore(restored.root, NAME) == Restored(1, len(FILES) - 1, [])
    shutil.rmtree(restored.root / ".snakemake")
    assert restore(restored.root, NAME) == Restored(len(FILES), 0, [])
    record_path(restored.root, TABLE).write_text('{"rule": "tab')
    os.utime(restored.root / TABLE)
    assert restore(restored.root, NAME) == Restored(1, len(FILES) - 1, [])
    assert_as_published(restored, maker)


def test_an_equal_record_of_an_own_run_is_kept_and_the_file_gets_its_time(reader: Checkout, maker: Checkout) -> None:
    for rule in JOBS:
        reader.job(rule, LATER)
    own = {path: reader.record(path) for path in FILES}
    assert own != {path: maker.record(path) for path in FILES}, "at other times"
    assert restore(reader.root, NAME) == Restored(0, len(FILES), [])
    os.utime(reader.root / TABLE)
    assert restore(reader.root, NAME) == Restored(1, len(FILES) - 1, [])
    assert {path: reader.record(path) for path in FILES} == own
    assert reader.time(TABLE) == pytest.approx(own[TABLE]["endtime"], abs=1e-5)


def test_what_was_made_here_anew_with_equal_bytes_keeps_its_record(restored: Checkout) -> None:
    restored.job("table", LATER, "v2", content="v1")
    own, time = restored.record(TABLE), restored.time(TABLE)
    for _ in range(3):
        assert restore(restored.root, NAME) == Restored(0, len(FILES), [])
        assert (restored.record(TABLE), restored.time(TABLE)) == (own, time)
        os.utime(ledger_path(restored.root, NAME))  # as if it came again


def test_a_published_file_over_an_own_one_gets_the_published_record(restored: Checkout, maker: Checkout) -> None:
    restored.job("table", LATER, "v2")
    assert restore(restored.root, NAME) == Restored(0, len(FILES), [])
    restored.fetch(maker)
    assert restore(restored.root, NAME) == Restored(1, len(FILES) - 1, [])
    assert_as_published(restored, maker)


# --- Other bytes ---


def test_what_was_made_here_anew_with_other_bytes_stays(restored: Checkout) -> None:
    restored.job("table", LATER, "v2")
    os.utime(restored.root / TABLE)  # and whatever became of its time
    own, before = restored.record(TABLE), restored.time(TABLE)
    assert restore(restored.root, NAME) == Restored(0, len(FILES), [])
    assert (restored.record(TABLE), restored.time(TABLE)) == (own, before)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def flip_in_silence(path: Path) -> None:
    found = path.stat()
    flip(path)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[Callable[[Path], None], str] = {
    truncate: "1000 bytes, recorded {size}",
    flip: "content differs from its recorded md5 {md5}",
    become_a_folder: "not a file",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("first", [True, False], ids=["on arrival", "later"])
def test_damage_is_named_with_the_repair_and_nothing_is_written(
    reader: Checkout, damage: Callable[[Path], None], first: bool
) -> None:
    if not first:
        restore(reader.root, NAME)
    os.utime(reader.root / TABLE)
    damage(reader.root / INDEX)
    entry = read_ledger(ledger_path(reader.root, NAME)).entries()[INDEX]
    what = DAMAGES[damage].format(size=entry.size, md5=entry.md5)
    before = reader.state()
    for _ in range(2):
        with pytest.raises(UserError) as raised:
            restore(reader.root, NAME)
        assert str(raised.value).splitlines() == [
            "results/demo: 1 file is not what was published:",
            f"  {INDEX}: {what}",
            "run `avbalance repair demo`, or delete what is named here to have it computed again.",
        ]
    assert reader.state() == before
    assert verify(reader.root, NAME).damaged == [(INDEX, what)]


def test_at_most_ten_damaged_files_are_named(tmp_path: Path) -> None:
    made = Checkout(tmp_path)
    paths = [f"results/demo/n{number:02}.csv" for number in range(12)]
    for path in paths:
        made.write(path, b"right", BEGIN)
        write_record(made.root, path, record_of("table", "v1") | {"starttime": BEGIN - 1, "endtime": BEGIN})
    write_ledger(ledger_path(made.root, NAME), build_ledger(made.root, NAME, paths, {}))
    for path in paths:
        made.write(path, b"wrong", BEGIN + 1)
    with pytest.raises(UserError) as raised:
        restore(made.root, NAME)
    lines = str(raised.value).splitlines()
    assert len(lines) == 13
    assert "12 files are not" in lines[0]
    assert lines[11] == "  and 2 more"


def test_a_byte_that_flipped_in_silence_is_found_by_verify_alone(restored: Checkout) -> None:
    flip_in_silence(restored.root / INDEX)
    before = restored.state()
    assert restore(restored.root, NAME) == Restored(0, len(FILES), [])
    found = verify(restored.root, NAME)
    assert [path for path, _ in found.damaged] == [INDEX]
    assert "content differs from its recorded md5" in found.damaged[0][1]
    assert found.good == len(FILES) - 1
    assert restored.state() == before, "looking changes nothing"


def test_a_damaged_file_that_was_deleted_no_longer_stands_in_the_way(restored: Checkout) -> None:
    truncate(restored.root / INDEX)
    with pytest.raises(UserError):
        restore(restored.root, NAME)
    (restored.root / INDEX).unlink()
    assert restore(restored.root, NAME) == Restored(0, len(FILES) - 1, [INDEX])
    restored.job("features", LATER, "v2")
    assert restore(restored.root, NAME) == Restored(0, len(FILES), [])


def test_what_an_unfinished_job_left_is_for_snakemake_to_make_again(restored: Checkout) -> None:
    (restored.root / HISTORY).unlink()
    restored.write(PREDICTIONS, b"of a job that was killed before it was recorded", LATER)
    marks = restored.root / ".snakemake" / "incomplete"
    for path in (HISTORY, PREDICTIONS):
        (marks / record_path(restored.root, path).name).write_text("{}")
    before = restored.record(PREDICTIONS)
    assert restore(restored.root, NAME) == Restored(0, len(FILES) - 1, [HISTORY])
    assert restored.record(PREDICTIONS) == before
    assert verify(restored.root, NAME).rebuilt == [PREDICTIONS]
    for path in marks.iterdir():
        path.unlink()
    with pytest.raises(UserError, match=PREDICTIONS):
        restore(restored.root, NAME)


def test_verify_tells_damaged_absent_good_and_made_here_apart(restored: Checkout) -> None:
    restored.job("table", LATER, "v2")
    (restored.root / HISTORY).unlink()
    truncate(restored.root / CARD)
    found = verify(restored.root, NAME)
    assert [path for path, _ in found.damaged] == [CARD]
    assert (found.absent, found.good, found.rebuilt) == ([HISTORY], len(FILES) - 3, [TABLE])


# --- Absent files ---


def test_a_deleted_file_is_told_once(restored: Checkout) -> None:
    (restored.root / TABLE).unlink()
    assert restore(restored.root, NAME) == Restored(0, len(FILES) - 1, [TABLE])
    assert restore(restored.root, NAME) == Restored(0, len(FILES) - 1, [])


def test_a_part_of_a_set_is_restored_and_the_rest_when_it_comes(tmp_path: Path, maker: Checkout) -> None:
    reader = Checkout(tmp_path / "part")
    part = [MANIFEST, PREDICTIONS, TABLE]
    reader.fetch(maker, part)
    assert restore(reader.root, NAME) == Restored(3, 0, [])
    assert_as_published(reader, maker, part)
    os.utime(ledger_path(reader.root, NAME))
    for _ in range(2):
        assert restore(reader.root, NAME) == Restored(0, 3, [])
    assert verify(reader.root, NAME).absent == [CARD, INDEX, HISTORY]
    reader.fetch(maker)
    assert restore(reader.root, NAME) == Restored(3, 3, [])
    assert_as_published(reader, maker)


def test_absent_files_have_records_without_which_snakemake_compares_nothing(tmp_path: Path, maker: Checkout) -> None:
    reader = Checkout(tmp_path / "part")
    reader.fetch(maker, [TABLE, PREDICTIONS])
    restore(reader.root, NAME)
    for path in FILES:
        assert reader.record(path) == maker.record(path)
    record_path(reader.root, HISTORY).unlink()
    restore(reader.root, NAME)
    assert reader.record(HISTORY) == maker.record(HISTORY)


def test_records_of_absent_files_that_were_made_here_stay(restored: Checkout, maker: Checkout) -> None:
    restored.job("train", LATER, "v2")
    own = restored.record(HISTORY)
    (restored.root / HISTORY).unlink()
    restore(restored.root, NAME)
    assert restored.record(HISTORY) == own
    os.utime(ledger_path(restored.root, NAME))  # as if it were another one
    restore(restored.root, NAME)
    assert restored.record(HISTORY) == own


def test_records_of_a_job_that_was_done_here_and_all_of_whose_outputs_were_deleted_stay(restored: Checkout) -> None:
    restored.job("train", LATER, "v2")
    restore(restored.root, NAME)
    own = restored.record(HISTORY)
    for path in JOBS["train"]:
        (restored.root / path).unlink()
    assert restore(restored.root, NAME).gone == JOBS["train"]
    assert restored.record(HISTORY) == own


def test_records_of_absent_files_follow_the_version_of_the_set(reader: Checkout, maker: Checkout) -> None:
    second = next_version(maker)
    restore(reader.root, NAME)
    (reader.root / HISTORY).unlink()
    for version in (second, maker, second):
        reader.fetch(version, [path for path in FILES if path != HISTORY])
        restore(reader.root, NAME)
        assert making(reader.record(HISTORY)) == making(version.record(HISTORY))


def test_a_link_to_nothing_is_absent(restored: Checkout) -> None:
    (restored.root / TABLE).unlink()
    (restored.root / TABLE).symlink_to("nowhere")
    assert restore(restored.root, NAME).gone == [TABLE]


# --- Versions of a set ---


def next_version(maker: Checkout) -> Checkout:
    """The maker's set after a change: trained and printed anew, of which the history has equal bytes."""
    second = maker.copy(maker.root.with_name("second"))
    second.job("train", LATER, "v2")
    second.write(HISTORY, (maker.root / HISTORY).read_bytes(), second.record(HISTORY)["endtime"])
    second.job("table", LATER + 20, "v2")
    second.publish()
    return second


def test_versions_of_a_set_replace_one_another(reader: Checkout, maker: Checkout) -> None:
    second = next_version(maker)
    for version in (maker, second, maker, second):
        reader.fetch(version)
        done = restore(reader.root, NAME)
        assert done.gone == []
        for path in FILES:
            assert making(reader.record(path)) == making(version.record(path)), path
        assert_as_published(reader, version, [TABLE, PREDICTIONS])
        assert restore(reader.root, NAME) == Restored(0, len(FILES), [])


def test_equal_bytes_get_the_record_of_the_version_that_came(restored: Checkout, maker: Checkout) -> None:
    second = next_version(maker)
    assert restored.record(HISTORY) == maker.record(HISTORY)
    shutil.rmtree(restored.root / ".avbalance")
    restored.fetch(second)
    restore(restored.root, NAME)
    assert restored.record(HISTORY) == second.record(HISTORY)


def test_an_earlier_version_of_a_file_sends_to_fetch(restored: Checkout, maker: Checkout) -> None:
    second = next_version(maker)
    restored.fetch(second, [TABLE])
    before = restored.state()
    with pytest.raises(UserError) as raised:
        restore(restored.root, NAME)
    assert str(raised.value).splitlines() == [
        "results/demo: 1 file is not what was published:",
        f"  {PREDICTIONS}: an earlier version, get the published one with `avbalance fetch demo`",
        "run `avbalance fetch demo`, or delete what is named here to have it computed again.",
    ]
    assert restored.state() == before
    truncate(restored.root / CARD)
    with pytest.raises(UserError, match=r"run `avbalance repair demo`, or delete"):
        restore(restored.root, NAME)
    flip(restored.root / PREDICTIONS)
    assert [what for _, what in verify(restored.root, NAME).damaged][1].startswith("content differs")


def test_a_later_version_of_a_file_stays(reader: Checkout, maker: Checkout) -> None:
    second = next_version(maker)
    reader.fetch(second)
    restore(reader.root, NAME)
    reader.fetch(maker, [TABLE])
    restore(reader.root, NAME)
    assert_as_published(reader, maker, [TABLE])
    assert reader.record(PREDICTIONS) == second.record(PREDICTIONS)


# --- The stamp ---


def test_a_second_call_reads_neither_ledger_nor_files(
    restored: Checkout, monkeypatch: pytest.MonkeyPatch, read_files: list[str]
) -> None:
    monkeypatch.setattr(restoring, "read_ledger", lambda path: pytest.fail("the ledger was read"))
    before = restored.state()
    assert restore(restored.root, NAME) == Restored(0, len(FILES), [])
    assert restored.state() == before
    assert read_files == []


def test_only_changed_files_are_read(restored: Checkout, read_files: list[str]) -> None:
    os.utime(restored.root / INDEX)
    os.utime(ledger_path(restored.root, NAME))
    restore(restored.root, NAME)
    assert read_files == [Path(INDEX).name]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"ledger": [1, 2], "files": {"a": [1]}}', '{"ledger": null}'])
def test_a_broken_stamp_vouches_for_nothing(restored: Checkout, maker: Checkout, content: str) -> None:
    stamp_path(restored.root, NAME).write_text(content)
    os.utime(restored.root / TABLE)
    assert restore(restored.root, NAME) == Restored(1, len(FILES) - 1, [])
    assert_as_published(restored, maker)


def test_after_publishing_the_first_look_is_short(maker: Checkout, read_files: list[str]) -> None:
    os.utime(maker.root / TABLE)  # dvc add may do so
    remember(maker.root, NAME)
    assert restore(maker.root, NAME) == Restored(1, len(FILES) - 1, [])
    assert read_files == [Path(TABLE).name]
    remember(maker.root, NAME)
    assert restore(maker.root, NAME) == Restored(0, len(FILES), [])
    assert read_files == [Path(TABLE).name]


def test_remembering_vouches_for_no_damage(maker: Checkout) -> None:
    truncate(maker.root / TABLE)
    remember(maker.root, NAME)
    with pytest.raises(UserError, match=TABLE):
        restore(maker.root, NAME)


# --- Interruptions and obstacles ---


class Killed(BaseException):
    """The end of the process."""


@pytest.mark.parametrize("survived", range(3 * len(FILES)))
def test_a_call_that_was_killed_is_finished_by_the_next(
    reader: Checkout, maker: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    (reader.root / HISTORY).unlink()
    whole = reader.copy(tmp_path / "whole")
    restore(whole.root, NAME)
    done: list[str] = []

    def until_killed(name: str, function: Callable[..., None]) -> Callable[..., None]:
        def write(*arguments: Any, **named: Any) -> None:
            if len(done) == survived:
                raise Killed
            done.append(name)
            function(*arguments, **named)

        return write

    with monkeypatch.context() as patch:
        for module, name in ((restoring, "write_record"), (os, "utime"), (restoring, "write_stamp")):
            patch.setattr(module, name, until_killed(name, getattr(module, name)))
        try:
            restore(reader.root, NAME)
        except Killed:
            assert not stamp_path(reader.root, NAME).exists(), "the stamp is written last"
        else:
            assert done[-1] == "write_stamp"
            assert survived >= 2 * len(FILES), "records, times and the stamp"
    restore(reader.root, NAME)
    assert reader.state() == whole.state()
    assert restore(reader.root, NAME) == Restored(0, len(FILES) - 1, [])


def test_a_link_gets_the_time_and_its_target_does_not(reader: Checkout, maker: Checkout, tmp_path: Path) -> None:
    cached = tmp_path / "cache" / "object"
    cached.parent.mkdir()
    (reader.root / INDEX).rename(cached)
    cached.chmod(0o444)
    (reader.root / INDEX).symlink_to(cached)
    time = cached.stat().st_mtime
    assert restore(reader.root, NAME) == Restored(len(FILES), 0, [])
    assert cached.stat().st_mtime == time
    assert_as_published(reader, maker)
    assert restore(reader.root, NAME) == Restored(0, len(FILES), [])
    (reader.root / INDEX).unlink()
    (reader.root / INDEX).symlink_to(maker.root / TABLE)
    with pytest.raises(UserError, match=rf"{INDEX}: \d+ bytes, recorded"):
        restore(reader.root, NAME)


def test_files_of_others_keep_their_time(reader: Checkout, maker: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    utime = os.utime

    def refuse(path: Path, *arguments: Any, **named: Any) -> None:
        if path.name == Path(INDEX).name:
            raise PermissionError(1, "Operation not permitted")
        utime(path, *arguments, **named)

    monkeypatch.setattr(os, "utime", refuse)
    assert restore(reader.root, NAME).restored == len(FILES)
    assert reader.record(INDEX) == maker.record(INDEX)
    assert_as_published(reader, maker, [path for path in FILES if path != INDEX])
    assert restore(reader.root, NAME) == Restored(0, len(FILES), [])


def test_a_file_that_cannot_be_read_is_named(reader: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: Any, digest: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(stamps.hashlib, "file_digest", fail)
    before = reader.state()
    with pytest.raises(
        UserError, match=r"^\S+: cannot be read \(Input/output error\); mend the rights or delete it\.$"
    ):
        restore(reader.root, NAME)
    assert reader.state() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"format":1', '"format":2'),
        ('"record_format_version":6', '"record_format_version":7'),
        ('"name":"demo"', '"name":"other"'),
        ('"path":"results/demo/papers', '"path":"results/demo/../..'),
    ],
)
def test_a_foreign_ledger_ends_in_one_sentence_and_writes_nothing(reader: Checkout, old: str, new: str) -> None:
    file = ledger_path(reader.root, NAME)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    before = reader.state()
    for function in (restore, verify, remember):
        with pytest.raises(UserError) as raised:
            function(reader.root, NAME)
        assert "\n" not in str(raised.value)
        assert str(raised.value).startswith(f"{file}: ")
    assert reader.state() == before


def test_the_ledger_of_another_set_is_refused(reader: Checkout) -> None:
    file = ledger_path(reader.root, "other")
    file.parent.mkdir()
    shutil.copy(ledger_path(reader.root, NAME), file)
    for function in (restore, verify, remember):
        with pytest.raises(UserError, match=r"the ledger of another result set, demo; delete it and run"):
            function(reader.root, "other")


# --- With snakemake ---


def shuffle_times(root: Path, names: list[str]) -> None:
    draw = random.Random(0)
    for path in names:
        time = 1_600_000_000 + draw.uniform(0, 1e8)
        os.utime(root / path, (time, time))


def test_snakemake_finds_nothing_to_do_on_a_restored_set_and_much_on_another(workspace: Workspace) -> None:
    root = workspace.root
    artifacts = [path for path in load_plan_for(root, [], []).artifacts() if (root / path).is_file()]
    assert len(artifacts) > 50
    ledger = build_ledger(root, "smoke", artifacts, {})
    shutil.rmtree(root / ".snakemake")
    shuffle_times(root, artifacts)
    assert not workspace.plan().idle, "without its records the shuffled set is to be made again"
    shutil.rmtree(root / ".snakemake")
    write_ledger(ledger_path(root, "smoke"), ledger)
    assert restore(root, "smoke") == Restored(len(artifacts), 0, [])
    assert workspace.plan().idle
    workspace.edit("src/avbalance/methods/greedy.py", "math.log10(bypass / main)", "math.log2(bypass / main)")
    changed = workspace.plan()
    assert changed.kinds["train"] == 1
    shutil.rmtree(root / "results/smoke/runs/balanced-audiovisual/synthetic-balanced-smoke/greedy")
    shutil.rmtree(root / ".snakemake")
    restore(root, "smoke")
    assert workspace.plan().kinds == changed.kinds, "absent files are as stale as present ones"
