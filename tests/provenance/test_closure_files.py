"""The modules behind a digest, as kept beside the results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avbalance.errors import UserError
from avbalance.plan import digest as digest_module
from avbalance.plan.digest import closure_digests, code_digest, module_file
from avbalance.provenance.closures import FOLDER, check_code, read_closure, save_closures

ENTRIES = ("avbalance.plan.sheet",)


def kept(root: Path, digest: str) -> Path:
    return root / FOLDER / f"{digest}.json"


def test_a_closure_names_the_modules_and_what_they_were(tmp_path: Path) -> None:
    digest = code_digest(*ENTRIES)
    save_closures(tmp_path, {ENTRIES: digest})
    found = read_closure(tmp_path, digest)
    assert found is not None
    assert set(found) >= {"avbalance", "avbalance.errors", "avbalance.plan.config", "avbalance.plan.sheet"}
    assert found["avbalance.plan.sheet"] == closure_digests(*ENTRIES)["avbalance.plan.sheet"][:12]


def test_a_closure_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    digest = code_digest(*ENTRIES)
    kept(tmp_path, digest).parent.mkdir(parents=True)
    kept(tmp_path, digest).write_text('{"avbalance.before": "012345678901"}')
    save_closures(tmp_path, {ENTRIES: digest})
    assert read_closure(tmp_path, digest) == {"avbalance.before": "012345678901"}


def test_a_digest_of_code_that_was_edited_meanwhile_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "avbalance"
    source.mkdir()
    (source / "__init__.py").write_text("")
    (source / "step.py").write_text("X = 1\n")
    monkeypatch.setattr(digest_module, "SOURCE", source)
    module_file.cache_clear()
    digest = code_digest("avbalance.step")
    (source / "step.py").write_text("X = 2\n")
    save_closures(tmp_path, {("avbalance.step",): digest})
    assert not kept(tmp_path, digest).exists()
    module_file.cache_clear()


def test_code_that_changed_since_it_was_planned_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "avbalance"
    source.mkdir()
    (source / "__init__.py").write_text("")
    (source / "step.py").write_text("X = 1\n")
    monkeypatch.setattr(digest_module, "SOURCE", source)
    module_file.cache_clear()
    digest = code_digest("avbalance.step")
    check_code(tmp_path, digest)  # not known here: a command typed by hand
    save_closures(tmp_path, {("avbalance.step",): digest})
    (source / "step.py").write_text("X = 1  # as before\n")
    check_code(tmp_path, digest)
    (source / "step.py").write_text("X = 2\n")
    with pytest.raises(UserError, match=r"avbalance\.step changed meanwhile; run snakemake again\.$"):
        check_code(tmp_path, digest)
    module_file.cache_clear()


def write_ledger(root: Path, name: str, first_line: str) -> None:
    folder = root / "results" / name
    folder.mkdir(parents=True)
    (folder / "provenance.jsonl").write_text(f"{first_line}\n")


def test_a_colleague_reads_closures_from_the_ledgers(tmp_path: Path) -> None:
    closure = {"avbalance.step": "0123456789ab"}
    for name, line in {"a": "{", "b": "[]", "c": "{}", "d": '{"closures": 3}'}.items():
        write_ledger(tmp_path, name, line)
    write_ledger(tmp_path, "e", json.dumps({"closures": {"d1": closure, "d2": "no mapping"}}))
    assert read_closure(tmp_path, "d1") == closure
    assert read_closure(tmp_path, "d2") is None
    assert read_closure(tmp_path, "d3") is None
    kept(tmp_path, "d1").parent.mkdir(parents=True)
    kept(tmp_path, "d1").write_text('{"avbalance.own": "0123456789ab"}')
    assert read_closure(tmp_path, "d1") == {"avbalance.own": "0123456789ab"}
    kept(tmp_path, "d1").write_text("{")
    assert read_closure(tmp_path, "d1") == closure, "a damaged file is no answer"
