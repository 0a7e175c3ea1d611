"""What is kept behind digests: in the state folder, and in the ledgers that came with results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small import SmallPlan, workflow_of

from flowkeeper.code import Code
from flowkeeper.digests import (
    CODE_DIGEST,
    SETTINGS_DIGEST,
    check_code,
    read_closure,
    read_settings,
    save_closures,
    save_settings,
    settings_digest,
)
from flowkeeper.errors import UserError
from flowkeeper.files import canonical_json
from flowkeeper.interface import Workflow

STEP = ("steps.step",)
SETTINGS = {"epochs": 3, "rate": 1e-05, "name": "ä"}
TEXT = canonical_json(SETTINGS)
DIGEST = settings_digest(TEXT)


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    source = tmp_path / "steps"
    source.mkdir()
    (source / "__init__.py").write_text("")
    (source / "step.py").write_text("X = 1\n")
    return workflow_of(SmallPlan(), code=Code({"steps": source}))


def kept(tmp_path: Path, kind: str, digest: str) -> Path:
    return tmp_path / ".keeper" / kind / f"{digest}.json"


def write_ledgers(tmp_path: Path, **headers: str) -> None:
    for name, line in headers.items():
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / "provenance.jsonl").write_text(f"{line}\n")


def test_settings_are_written_once_and_read_again(workflow: Workflow, tmp_path: Path) -> None:
    assert SETTINGS_DIGEST.fullmatch(DIGEST) and read_settings(workflow, tmp_path, DIGEST) is None
    save_settings(workflow, tmp_path, [TEXT, "[1]"])
    assert read_settings(workflow, tmp_path, DIGEST) == TEXT
    assert read_settings(workflow, tmp_path, settings_digest("[1]")) == "[1]"
    written = kept(tmp_path, "settings", DIGEST).stat()
    save_settings(workflow, tmp_path, [TEXT])
    assert kept(tmp_path, "settings", DIGEST).stat() == written


@pytest.mark.parametrize("damaged", ["", "{", TEXT.replace("3", "4"), "null"])
def test_settings_come_from_a_ledger_where_the_own_ones_are_absent_or_damaged(
    workflow: Workflow, tmp_path: Path, damaged: str
) -> None:
    save_settings(workflow, tmp_path, [TEXT])
    kept(tmp_path, "settings", DIGEST).write_text(damaged)
    assert read_settings(workflow, tmp_path, DIGEST) is None
    other = canonical_json({"settings": {DIGEST: {**SETTINGS, "epochs": 4}}})  # not what the digest is of
    write_ledgers(tmp_path, a="{", b="[]", c='{"settings": 3}', d=other)
    assert read_settings(workflow, tmp_path, DIGEST) is None
    write_ledgers(tmp_path, e=canonical_json({"settings": {DIGEST: SETTINGS}}))
    assert read_settings(workflow, tmp_path, DIGEST) == TEXT


def test_a_closure_names_the_modules_and_what_they_were(workflow: Workflow, tmp_path: Path) -> None:
    digest = workflow.code.digest(*STEP)
    save_closures(workflow, tmp_path, {STEP: digest})
    modules = workflow.code.closure(*STEP)
    assert CODE_DIGEST.fullmatch(digest)
    assert read_closure(workflow, tmp_path, digest) == {name: text[:12] for name, text in modules.items()}
    kept(tmp_path, "closures", digest).write_text('{"steps.before": "012345678901"}')
    save_closures(workflow, tmp_path, {STEP: digest})
    assert read_closure(workflow, tmp_path, digest) == {"steps.before": "012345678901"}, "not written again"


def test_a_digest_of_code_that_was_edited_meanwhile_is_left_out(workflow: Workflow, tmp_path: Path) -> None:
    digest = workflow.code.digest(*STEP)
    (tmp_path / "steps" / "step.py").write_text("X = 2\n")
    save_closures(workflow, tmp_path, {STEP: digest})
    assert read_closure(workflow, tmp_path, digest) is None


def test_code_that_changed_since_it_was_planned_is_named(workflow: Workflow, tmp_path: Path) -> None:
    digest = workflow.code.digest(*STEP)
    check_code(workflow, tmp_path, digest)  # not known here: a command typed by hand
    save_closures(workflow, tmp_path, {STEP: digest})
    (tmp_path / "steps" / "step.py").write_text("X = 1  # as before\n")
    check_code(workflow, tmp_path, digest)
    (tmp_path / "steps" / "step.py").write_text("X = 2\n")
    with pytest.raises(UserError, match=r"steps\.step changed meanwhile; run snakemake again\.$"):
        check_code(workflow, tmp_path, digest)


def test_a_colleague_reads_closures_from_the_ledgers(workflow: Workflow, tmp_path: Path) -> None:
    closure = {"steps.step": "0123456789ab"}
    told = json.dumps({"closures": {"d1": closure, "d2": "no mapping"}})
    write_ledgers(tmp_path, a="{", b="[]", c="{}", d='{"closures": 3}', e=told)
    assert read_closure(workflow, tmp_path, "d1") == closure
    assert read_closure(workflow, tmp_path, "d2") is read_closure(workflow, tmp_path, "d3") is None
