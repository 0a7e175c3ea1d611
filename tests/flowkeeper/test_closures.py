"""The modules behind a digest, as kept beside the results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small import SmallPlan, workflow_of

from flowkeeper.closures import check_code, closure_file, read_closure, save_closures
from flowkeeper.code import Code
from flowkeeper.errors import UserError
from flowkeeper.interface import Workflow

STEP = ("steps.step",)


@pytest.fixture
def workflow(tmp_path: Path) -> Workflow:
    source = tmp_path / "steps"
    source.mkdir()
    (source / "__init__.py").write_text("")
    (source / "step.py").write_text("X = 1\n")
    return workflow_of(SmallPlan(), code=Code({"steps": source}))


def test_a_closure_names_the_modules_and_what_they_were(workflow: Workflow, tmp_path: Path) -> None:
    digest = workflow.code.digest(*STEP)
    save_closures(workflow, tmp_path, {STEP: digest})
    modules = workflow.code.closure(*STEP)
    assert read_closure(workflow, tmp_path, digest) == {name: text[:12] for name, text in modules.items()}
    closure_file(workflow, tmp_path, digest).write_text('{"steps.before": "012345678901"}')
    save_closures(workflow, tmp_path, {STEP: digest})
    assert read_closure(workflow, tmp_path, digest) == {"steps.before": "012345678901"}, "not written again"


def test_a_digest_of_code_that_was_edited_meanwhile_is_left_out(workflow: Workflow, tmp_path: Path) -> None:
    digest = workflow.code.digest(*STEP)
    (tmp_path / "steps" / "step.py").write_text("X = 2\n")
    save_closures(workflow, tmp_path, {STEP: digest})
    assert not closure_file(workflow, tmp_path, digest).exists()


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
    for name, line in {"a": "{", "b": "[]", "c": "{}", "d": '{"closures": 3}', "e": told}.items():
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / "provenance.jsonl").write_text(f"{line}\n")
    assert read_closure(workflow, tmp_path, "d1") == closure
    assert read_closure(workflow, tmp_path, "d2") is read_closure(workflow, tmp_path, "d3") is None
    own = closure_file(workflow, tmp_path, "d1")
    own.parent.mkdir(parents=True)
    own.write_text('{"steps.own": "0123456789ab"}')
    assert read_closure(workflow, tmp_path, "d1") == {"steps.own": "0123456789ab"}
    own.write_text("{")
    assert read_closure(workflow, tmp_path, "d1") == closure, "a damaged file is no answer"
