"""Damage of all sorts, told by verify and put right by repair, with real git and DVC."""

from __future__ import annotations

from pathlib import Path

import pytest
from small import ARRAY, CARD, FILES, INDEX, LATER, LEDGER, MANIFEST, NAME, PREDICTIONS, TABLE, Clone, address, spoil

from flowkeeper.errors import UserError
from flowkeeper.ledger import Ledger, read_ledger, remember_own, write_ledger
from flowkeeper.repair import Repaired
from flowkeeper.verify import check


def checked(clone: Clone, name: str | None = None) -> tuple[bool, list[str]]:
    return check(clone.workflow, clone.root, name)


@pytest.fixture
def good(publisher: Clone) -> dict[str, bytes]:
    return publisher.files()


# --- verify ---


def test_what_verify_says(publisher: Clone) -> None:
    assert checked(publisher, NAME) == (
        True,
        ["results/demo: good: 6, absent: 0, damaged: 0", "arrays of feature stores: good: 1, damaged: 0"],
    )
    size = (publisher.root / PREDICTIONS).stat().st_size
    publisher.damage(TABLE)
    publisher.damage(ARRAY)
    publisher.delete(INDEX)
    (publisher.root / PREDICTIONS).write_bytes(b"cut")
    publisher.job("dataset", 1_800_000_000.0, "mine")
    well, lines = checked(publisher)
    assert not well
    assert lines[0] == "results/demo: good: 2, absent: 1, damaged: 3, made here since and not published: 1"
    assert lines[1] == "arrays of feature stores: good: 0, damaged: 1"
    assert {line.split(":")[0].strip() for line in lines[2:5]} == {TABLE, PREDICTIONS, ARRAY}
    assert f"  {PREDICTIONS}: 3 bytes, recorded {size}" in lines
    assert any(line.startswith(f"  {TABLE}: content differs from its recorded md5 ") for line in lines)
    assert any(line.startswith(f"  {ARRAY}: content differs from its recorded sha256 ") for line in lines)
    assert lines[-1] == "repair them with: keep repair demo"


def test_an_unpublished_set_is_verified_too(newcomer: Clone) -> None:
    with pytest.raises(UserError, match=r"results/other.dvc: no such file"):
        checked(newcomer, "other")
    remember_own(newcomer.results, FILES)
    assert checked(newcomer, NAME)[1][0] == "results/demo: not published, good: 6, absent: 0, damaged: 0"
    newcomer.damage(TABLE)
    well, lines = checked(newcomer, NAME)
    assert not well
    assert lines[-1].startswith("nothing is published, so no good copy is known: delete them")


def test_a_ledger_that_is_not_the_commits_is_told(publisher: Clone) -> None:
    ledger = read_ledger(publisher.results)
    write_ledger(publisher.results.ledger, Ledger({**ledger.header, "commit": "of somebody else"}, ledger.entries))
    well, lines = checked(publisher)
    assert not well
    assert lines[-1] == (
        f"  {LEDGER}: not the ledger that results/demo.dvc stands for; get the published one with `keep fetch demo`"
    )


def test_a_pointer_with_other_bytes_than_the_ledger_tells_is_told(publisher: Clone) -> None:
    publisher.damage(TABLE, keep_times=False)
    publisher.dvc("add", "--quiet", "results/demo")
    assert f"  {TABLE}: results/demo.dvc and the ledger tell of different bytes; get" in checked(publisher)[1][-2]


# --- repair ---


def test_damaged_files_are_put_back_from_the_cache_with_their_times(publisher: Clone, good: dict[str, bytes]) -> None:
    times = {path: publisher.time(path) for path in FILES}
    publisher.damage(TABLE)
    publisher.damage(MANIFEST, keep_times=False)
    (publisher.root / PREDICTIONS).write_bytes(b"cut")
    done = publisher.repair()
    assert set(done.repaired) == {TABLE, MANIFEST, PREDICTIONS} and not done.beyond
    assert publisher.files() == good
    assert publisher.commands == [], "no need for the remote"
    assert {path: publisher.time(path) for path in FILES} == pytest.approx(times, abs=1e-3)
    assert publisher.restore().restored == 0


def test_a_damaged_cache_is_passed_by(publisher: Clone, good: dict[str, bytes]) -> None:
    publisher.damage(TABLE)
    spoil(publisher.root / ".dvc/cache", good[TABLE])
    assert publisher.repair().repaired == [TABLE]
    assert publisher.files() == good
    assert publisher.commands == ["dvc fetch results/flowkeeper-transfer.dvc"]
    assert address(publisher.root / ".dvc/cache", good[TABLE]).read_bytes() == good[TABLE]


@pytest.mark.parametrize(
    "remote_is", ["gone", *(pytest.param(x, marks=pytest.mark.slow) for x in ("damaged", "empty"))]
)
def test_without_a_good_copy_the_file_stays_and_the_way_out_is_told(
    publisher: Clone, good: dict[str, bytes], remote: Path, remote_is: str
) -> None:
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
    done = publisher.repair()
    assert (done.repaired, done.beyond) == ([PREDICTIONS], [TABLE])
    assert publisher.files() == {**good, TABLE: damaged}
    assert any(f"`rm {TABLE}`, `snakemake -- {TABLE}`" in line for line in publisher.said)


def test_deleted_files_are_listed_and_come_back_when_asked_for(colleague: Clone, good: dict[str, bytes]) -> None:
    colleague.fetch("tables")
    assert colleague.repair(deleted=True) == Repaired([], [], []), "what was never fetched was not deleted"
    colleague.fetch()
    colleague.delete(TABLE, CARD)
    done = colleague.repair()
    assert set(done.deleted) == {TABLE, CARD} and not done.repaired
    assert any("`keep repair demo --deleted` brings 2 files back" in line for line in colleague.said)
    colleague.restore()  # every snakemake takes note of what is absent
    assert set(colleague.repair(deleted=True).repaired) == {TABLE, CARD}
    assert colleague.contents(TABLE) == {TABLE: good[TABLE]}


def test_files_that_were_made_here_since_are_left_alone(publisher: Clone) -> None:
    publisher.job("table", LATER, "mine")
    before = publisher.files()
    assert publisher.repair() == Repaired([], [], [])
    assert publisher.files() == before


@pytest.mark.parametrize("what", ["cut", "absent"])
def test_the_ledger_itself_comes_back(publisher: Clone, good: dict[str, bytes], what: str) -> None:
    if what == "cut":
        (publisher.root / LEDGER).write_bytes(good[LEDGER][:100])
    else:
        publisher.delete(LEDGER)
    publisher.damage(TABLE)
    publisher.repair()
    assert publisher.files() == good


@pytest.mark.slow
def test_an_array_comes_back_only_if_it_was_published(
    publisher: Clone, good: dict[str, bytes], nothing_pending: None
) -> None:
    publisher.damage(ARRAY)
    assert publisher.repair().beyond == [ARRAY]
    assert any(
        line.endswith(f"`rm {ARRAY}`, the next training that needs it makes it again") for line in publisher.said
    )
    (publisher.root / ARRAY).write_bytes(good[ARRAY])
    publisher.publish(bulk=True)
    publisher.damage(ARRAY)
    assert publisher.repair().repaired == [ARRAY]
    assert publisher.contents(ARRAY) == {ARRAY: good[ARRAY]}
