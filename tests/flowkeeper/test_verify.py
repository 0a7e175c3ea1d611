"""Every byte of a set, read whatever the times say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from small import ARRAY, ARRAY_BYTES, ARRAY_CARD, CARD, FILES, HISTORY, INDEX, PREDICTIONS, TABLE, Clone

from flowkeeper.errors import UserError
from flowkeeper.ledger import remember_own
from flowkeeper.verify import verify


def damaged(clone: Clone) -> list[str]:
    return [path for path, _ in verify(clone.results).damaged]


@pytest.fixture
def restored(reader: Clone) -> Clone:
    reader.restore()
    return reader


@pytest.fixture
def unpublished(tmp_path: Path) -> Clone:
    """Everything was made, and a snakemake has come to its end."""
    made = Clone(tmp_path / "unpublished").run_all()
    remember_own(made.results, FILES)
    return made


def test_a_byte_that_changed_in_silence_is_noticed_here_alone(restored: Clone) -> None:
    restored.damage(INDEX)
    before = restored.state()
    assert restored.restore().restored == 0
    verified = verify(restored.results)
    assert [path for path, _ in verified.damaged] == [INDEX]
    assert "content differs from its recorded md5" in verified.damaged[0][1]
    assert verified.good == len(FILES) - 1
    assert restored.state() == before, "looking changes nothing"


def test_of_what_was_made_here_the_own_ledger_knows_the_bytes(restored: Clone) -> None:
    restored.job("table", code="v2")
    remember_own(restored.results, FILES)
    assert verify(restored.results).made_here == [TABLE]
    restored.damage(TABLE)
    assert damaged(restored) == [TABLE]


def test_an_unpublished_set_is_verified_by_it_alone(unpublished: Clone) -> None:
    verified = verify(unpublished.results)
    assert (verified.published, verified.good, verified.damaged, verified.made_here) == (False, len(FILES), [], [])
    unpublished.damage(INDEX)
    unpublished.delete(HISTORY)
    unpublished.job("table", code="v2")  # by a snakemake that was killed then
    verified = verify(unpublished.results)
    assert [path for path, _ in verified.damaged] == [INDEX]
    assert (verified.absent, verified.made_here, verified.good) == ([HISTORY], [TABLE], len(FILES) - 3)
    shutil.rmtree(unpublished.root / ".snakemake")
    assert set(damaged(unpublished)) == {INDEX, TABLE}, "nothing says any more that it was made here"


def test_checksums_that_the_workflow_knows_count_where_no_ledger_does(tmp_path: Path) -> None:
    made = Clone(tmp_path).run_all()
    known = {PREDICTIONS: ARRAY_CARD["sha256"], "results/demo/absent": "0" * 64}
    made.changes["checksums"] = lambda root, name: known.items()
    (made.root / PREDICTIONS).write_bytes(ARRAY_BYTES)
    assert verify(made.results).good == 1
    made.damage(PREDICTIONS)
    assert verify(made.results).damaged == [
        (PREDICTIONS, f"content differs from its recorded sha256 {known[PREDICTIONS]}")
    ]


def test_bulk_files_are_counted_apart(restored: Clone) -> None:
    (restored.root / ARRAY).write_bytes(ARRAY_BYTES)
    (restored.root / CARD).write_text(json.dumps(ARRAY_CARD))
    assert verify(restored.results, [TABLE]).good_bulk == 0, "only what was asked for"
    assert verify(restored.results).good_bulk == 1
    restored.damage(ARRAY)
    assert [path for path, _ in verify(restored.results).damaged_bulk] == [ARRAY]
    restored.delete(CARD)
    assert verify(restored.results).damaged_bulk == [(ARRAY, "nothing beside it tells its sha256")]


def test_a_set_of_which_nothing_is_known_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"provenance.jsonl: no such file; get the set with `keep fetch demo`"):
        verify(Clone(tmp_path).results)
