"""Settings behind digests: from the folder that jobs read, and from a ledger that came with results."""

from __future__ import annotations

import json
from pathlib import Path

from avbalance.files import canonical_json
from avbalance.provenance.ledger import Ledger, ledger_path, write_ledger
from avbalance.provenance.settings import DIGEST, FOLDER, for_ledger, read_settings, save_settings, settings_digest

TEXT = canonical_json({"epochs": 3, "rate": 1e-05, "name": "ä"})
OWN = settings_digest(TEXT)


def test_settings_are_written_once_and_read_again(tmp_path: Path) -> None:
    assert DIGEST.fullmatch(OWN) and read_settings(tmp_path, OWN) is None
    save_settings(tmp_path, [TEXT, "[1]"])
    assert read_settings(tmp_path, OWN) == TEXT and read_settings(tmp_path, settings_digest("[1]")) == "[1]"
    written = (tmp_path / FOLDER / f"{OWN}.json").stat()
    save_settings(tmp_path, [TEXT])
    assert (tmp_path / FOLDER / f"{OWN}.json").stat() == written


def test_damaged_settings_are_none(tmp_path: Path) -> None:
    save_settings(tmp_path, [TEXT])
    (tmp_path / FOLDER / f"{OWN}.json").write_text(TEXT.replace("3", "4"))
    assert read_settings(tmp_path, OWN) is None


def test_a_ledger_tells_what_was_not_made_here(tmp_path: Path) -> None:
    header = {"format": 1, "name": "set", "record_format_version": 6, "settings": for_ledger([TEXT])}
    write_ledger(ledger_path(tmp_path, "set"), Ledger(header, ()))
    assert read_settings(tmp_path, OWN) == TEXT
    header["settings"] = {OWN: {**json.loads(TEXT), "epochs": 4}}  # not what the digest is of
    write_ledger(ledger_path(tmp_path, "other"), Ledger(header, ()))
    ledger_path(tmp_path, "set").unlink()
    assert read_settings(tmp_path, OWN) is None
    ledger_path(tmp_path, "other").write_text("nothing\n")
    assert read_settings(tmp_path, OWN) is None
