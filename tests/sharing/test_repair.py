"""Damage of all sorts, found by verify and put right by repair, with real git and DVC."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from people_at_work import ARRAY, LEDGER, Person, address
from published_set import CARD, FILES, MANIFEST, NAME, PREDICTIONS, TABLE, Checkout

from avbalance import cli
from avbalance.errors import UserError
from avbalance.provenance.restore import restore
from avbalance.sharing.repair import Repaired, check, repair, report

SLOW = pytest.mark.slow


def mend(person: Person, deleted: bool = False) -> Repaired:
    person.said.clear()
    return repair(person.root, None, deleted, person.said.append)


def spoil(store: Path, content: bytes) -> Path:
    """Damage DVC's object of some bytes."""
    target = address(store, content)
    target.chmod(0o644)
    target.write_bytes(b"bad")
    return target


@pytest.fixture
def good(publisher: Person) -> dict[str, bytes]:
    return publisher.files()


def test_what_verify_says(publisher, capsys, monkeypatch):
    monkeypatch.chdir(publisher.root)
    assert cli.main(["verify", "demo"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "results/demo: good: 6, absent: 0, damaged: 0",
        "arrays of feature stores: good: 1, damaged: 0",
    ]
    size = (publisher.root / PREDICTIONS).stat().st_size
    publisher.damage(TABLE)
    publisher.damage(ARRAY)
    publisher.delete(CARD.replace("card.json", "index.parquet"))
    (publisher.root / PREDICTIONS).write_bytes(b"cut")
    Checkout(publisher.root).job("dataset", 1_800_000_000.0, "mine")
    assert cli.main(["verify"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "results/demo: good: 2, absent: 1, damaged: 3, made here since and not published: 1"
    assert lines[1] == "arrays of feature stores: good: 0, damaged: 1"
    assert {line.split(":")[0].strip() for line in lines[2:5]} == {TABLE, PREDICTIONS, ARRAY}
    assert f"  {PREDICTIONS}: 3 bytes, recorded {size}" in lines
    assert any(line.startswith(f"  {TABLE}: content differs from its recorded md5 ") for line in lines)
    assert any(line.startswith(f"  {ARRAY}: content differs from its recorded sha256 ") for line in lines)
    assert lines[-1] == "repair them with: avbalance repair demo"


def test_an_array_that_was_made_again_is_checked_against_its_own_note(publisher):
    """Another build of the codec libraries gives other bytes; array.json says which."""
    array = publisher.root / ARRAY
    array.write_bytes(b"made again")
    assert check(publisher.root, NAME).good_arrays == 0
    card = json.loads((publisher.root / CARD).read_text())
    facts = {"sha256": hashlib.sha256(b"made again").hexdigest(), "card_sha256": card["sha256"]}
    array.with_name("array.json").write_text(json.dumps(facts))
    assert check(publisher.root, NAME).good_arrays == 1
    array.with_name("array.json").write_text(json.dumps({**facts, "card_sha256": "that of an earlier card"}))
    assert check(publisher.root, NAME).good_arrays == 0


def test_damaged_files_are_put_back_from_the_cache_with_their_times(publisher, good):
    times = {path: Checkout(publisher.root).time(path) for path in FILES}
    publisher.damage(TABLE)
    publisher.damage(MANIFEST, keep_times=False)
    (publisher.root / PREDICTIONS).write_bytes(b"cut")
    done = mend(publisher)
    assert set(done.repaired) == {TABLE, MANIFEST, PREDICTIONS} and not done.beyond
    assert publisher.files() == good
    assert publisher.commands == [], "no need for the remote"
    assert {path: Checkout(publisher.root).time(path) for path in FILES} == pytest.approx(times, abs=1e-3)
    assert restore(publisher.root, NAME).restored == 0


def test_a_damaged_cache_is_passed_by(publisher, good):
    publisher.damage(TABLE)
    spoil(publisher.root / ".dvc/cache", good[TABLE])
    assert mend(publisher).repaired == [TABLE]
    assert publisher.files() == good
    assert publisher.commands == [f"dvc fetch {TABLE}"]
    assert address(publisher.root / ".dvc/cache", good[TABLE]).read_bytes() == good[TABLE]


@pytest.mark.parametrize(
    "remote_is", ["gone", *(pytest.param(x, marks=pytest.mark.slow) for x in ("damaged", "empty"))]
)
def test_without_a_good_copy_the_file_stays_and_the_way_out_is_told(publisher, good, remote, remote_is):
    publisher.damage(TABLE)
    publisher.damage(PREDICTIONS)
    damaged = publisher.files()[TABLE]
    spoil(publisher.root / ".dvc/cache", good[TABLE])
    if remote_is == "gone":
        remote.rename(remote.with_name("elsewhere"))
    elif remote_is == "empty":
        address(remote, good[TABLE]).unlink()
    else:
        spoil(remote, good[TABLE])
    done = mend(publisher)
    assert (done.repaired, done.beyond) == ([PREDICTIONS], [TABLE])
    assert publisher.files() == {**good, TABLE: damaged}
    assert any(f"`rm {TABLE}`, `snakemake -- {TABLE}`" in line for line in publisher.said)


def test_deleted_files_are_listed_and_come_back_when_asked_for(colleague, good, capsys, monkeypatch):
    colleague.fetch("tables", "predictions")
    colleague.delete(TABLE, CARD)
    done = mend(colleague)
    assert set(done.deleted) == {TABLE, CARD} and not done.repaired
    assert any("`avbalance repair demo --deleted` brings 2 files back" in line for line in colleague.said)
    restore(colleague.root, NAME)  # every snakemake takes note of what is absent
    monkeypatch.chdir(colleague.root)
    assert cli.main(["repair", "--deleted"]) == 0
    assert "put right: 2, without a good copy: 0, deleted here: 0" in capsys.readouterr().out
    assert (colleague.root / TABLE).read_bytes() == good[TABLE]


def test_what_was_never_fetched_does_not_count_as_deleted(colleague):
    colleague.fetch("tables")
    done = mend(colleague, deleted=True)
    assert done == Repaired([], [], [])
    assert not (colleague.root / PREDICTIONS).exists()


def test_files_that_were_made_here_since_are_left_alone(publisher):
    Checkout(publisher.root).job("table", 1_800_000_000.0, "mine")
    before = publisher.files()
    assert mend(publisher) == Repaired([], [], [])
    assert publisher.files() == before


@pytest.mark.parametrize("what", ["cut", "absent"])
def test_the_ledger_itself_comes_back(publisher, good, what):
    if what == "cut":
        (publisher.root / LEDGER).write_bytes(good[LEDGER][:100])
    else:
        publisher.delete(LEDGER)
    publisher.damage(TABLE)
    mend(publisher)
    assert publisher.files() == good


@pytest.mark.slow
def test_an_array_comes_back_only_if_it_was_published(publisher, good):
    publisher.damage(ARRAY)
    done = mend(publisher)
    assert done.beyond == [ARRAY]
    assert f"{ARRAY}: no good copy; `rm {ARRAY}`, the next training that needs it makes it again" in publisher.said
    (publisher.root / ARRAY).write_bytes(good[ARRAY])
    publisher.publish(features=True)
    publisher.damage(ARRAY)
    assert mend(publisher).repaired == [ARRAY]
    assert (publisher.root / ARRAY).read_bytes() == good[ARRAY]


def test_a_set_without_ledger_cannot_be_verified(colleague):
    with pytest.raises(UserError, match=r"provenance.jsonl: no such file; get the set with `avbalance fetch demo`"):
        list(report(check(colleague.root, NAME), NAME))
