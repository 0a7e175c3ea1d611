"""The cache of finished runs: whole entries only, linked without change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from avbalance.training import runcache
from avbalance.training.runcache import RunCache, link_files
from flowkeeper.files import write_json


def fill(cache: RunCache, key: str = "k", text: str = "numbers") -> Path:
    with cache.create(key) as draft:
        (draft / "history.csv").write_text(text)
        (draft / "model.bin").write_bytes(b"\0\1")
    return cache.root / key


def test_a_finished_run_is_found_again(tmp_path: Path) -> None:
    cache = RunCache(tmp_path)
    assert cache.find("k") is None
    folder = fill(cache)
    assert cache.find("k") == folder
    assert sorted(path.name for path in folder.iterdir()) == ["contents.json", "history.csv", "model.bin"]


@pytest.mark.parametrize("damage", ["changed", "removed", "contents", "other contents"])
def test_a_damaged_entry_is_discarded(damage: str, tmp_path: Path) -> None:
    cache = RunCache(tmp_path)
    folder = fill(cache)
    if damage == "changed":
        (folder / "history.csv").write_text("Numbers")
    elif damage == "removed":
        (folder / "model.bin").unlink()
    else:
        (folder / "contents.json").write_text("{" if damage == "contents" else "[]")
    assert cache.find("k") is None
    assert not folder.exists()
    assert cache.find("k") is None
    assert cache.find(fill(cache).name) == folder


def test_a_failed_run_leaves_nothing(tmp_path: Path) -> None:
    cache = RunCache(tmp_path)
    with pytest.raises(ValueError, match="no"), cache.create("k") as draft:
        (draft / "history.csv").write_text("half")
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []
    assert cache.find("k") is None


def test_an_unfinished_folder_is_no_run_and_is_replaced(tmp_path: Path) -> None:
    cache = RunCache(tmp_path)
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / "history.csv").write_text("half")
    assert cache.find("k") is None
    assert (fill(cache) / "history.csv").read_text() == "numbers"


def test_what_a_killed_process_left_of_the_same_run_is_removed(tmp_path: Path) -> None:
    cache = RunCache(tmp_path)
    (tmp_path / "k.partial").mkdir()
    (tmp_path / "k.partial" / "history.csv").write_text("half")
    (tmp_path / "k.partial" / "other.csv").write_text("half")
    folder = fill(cache)
    assert sorted(path.name for path in folder.iterdir()) == ["contents.json", "history.csv", "model.bin"]
    assert [path.name for path in tmp_path.iterdir()] == ["k"]


KEY = "0123456789abcdef" * 4


def finished_run(folder: Path, key: str = KEY) -> list[str]:
    write_json(folder / "record.json", {"key": key})
    (folder / "history.csv").write_text("numbers")
    return ["history.csv", "record.json"]


def test_a_run_from_elsewhere_is_kept_and_found(tmp_path: Path) -> None:
    cache, run = RunCache(tmp_path / "cache" / "runs"), tmp_path / "results" / "run"
    names = finished_run(run)
    assert cache.adopt(run, names) and cache.adopt(run, names)
    for name in names:
        (run / name).unlink()  # as the workflow does before a job
    found = cache.find(KEY)
    assert found is not None
    link_files(found, run, names)
    assert (run / "history.csv").read_text() == "numbers"


@pytest.mark.parametrize("key", ["../../elsewhere", "k", "", KEY.upper(), f"{KEY}/.."])
def test_a_record_cannot_choose_another_folder(key: str, tmp_path: Path) -> None:
    cache, run = RunCache(tmp_path / "cache" / "runs"), tmp_path / "results" / "run"
    assert not cache.adopt(run, finished_run(run, key))
    assert not (tmp_path / "cache").exists()


def test_an_incomplete_run_is_not_kept(tmp_path: Path) -> None:
    cache, run = RunCache(tmp_path / "cache" / "runs"), tmp_path / "results" / "run"
    names = finished_run(run)
    assert not cache.adopt(run, [*names, "model.safetensors"])
    assert not cache.adopt(run, ["history.csv"])
    assert cache.find(KEY) is None


@pytest.mark.parametrize("links", [True, False])
def test_linked_files_keep_their_bytes(links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not links:

        def refuse(*_: object) -> None:
            raise OSError("no links across disks")

        monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(runcache, "_LINKED_BYTES", 4)  # of the two files the longer one, history.csv
    source = fill(RunCache(tmp_path / "cache"))
    old = source / "history.csv"
    os.utime(old, (1, 1))
    target = tmp_path / "results" / "run"
    for _ in range(2):  # the second time over files that are there
        link_files(source, target, ["history.csv", "model.bin"])
    assert sorted(path.name for path in target.iterdir()) == ["history.csv", "model.bin"]
    assert (target / "history.csv").read_text() == "numbers"
    assert (target / "model.bin").read_bytes() == b"\0\1"
    assert (target / "history.csv").stat().st_mtime > 1_000_000
    assert (target / "history.csv").samefile(old) is links
    assert not (target / "model.bin").samefile(source / "model.bin")
