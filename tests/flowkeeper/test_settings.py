"""Settings behind digests: from the folder that jobs read, and from a ledger that came with results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small import Clone, SmallPlan

from flowkeeper.files import canonical_json
from flowkeeper.interface import ResultSet
from flowkeeper.ledger import Ledger, write_ledger
from flowkeeper.settings import DIGEST, for_ledger, read_settings, save_settings, settings_digest

TEXT = canonical_json({"epochs": 3, "rate": 1e-05, "name": "ä"})
OWN = settings_digest(TEXT)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path, SmallPlan())


def kept(clone: Clone) -> Path:
    return clone.root / clone.workflow.state / "settings" / f"{OWN}.json"


def known(clone: Clone, digest: str = OWN) -> str | None:
    return read_settings(clone.workflow, clone.root, digest)


def test_settings_are_written_once_and_read_again(clone: Clone) -> None:
    assert DIGEST.fullmatch(OWN) and known(clone) is None
    save_settings(clone.workflow, clone.root, [TEXT, "[1]"])
    assert known(clone) == TEXT and known(clone, settings_digest("[1]")) == "[1]"
    written = kept(clone).stat()
    save_settings(clone.workflow, clone.root, [TEXT])
    assert kept(clone).stat() == written


def test_damaged_settings_are_none(clone: Clone) -> None:
    save_settings(clone.workflow, clone.root, [TEXT])
    kept(clone).write_text(TEXT.replace("3", "4"))
    assert known(clone) is None


def test_a_ledger_tells_what_was_not_made_here(clone: Clone) -> None:
    header = {"format": 1, "name": "set", "record_format_version": 6, "settings": for_ledger([TEXT])}
    one, other = (ResultSet(clone.workflow, clone.root, name).ledger for name in ("set", "other"))
    write_ledger(one, Ledger(header, ()))
    assert known(clone) == TEXT
    header["settings"] = {OWN: {**json.loads(TEXT), "epochs": 4}}  # not what the digest is of
    write_ledger(other, Ledger(header, ()))
    one.unlink()
    assert known(clone) is None
    other.write_text("nothing\n")
    assert known(clone) is None
