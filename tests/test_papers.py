"""Python in the folders of papers is found by its name, and its digest follows its content."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from avbalance import digest, methods, papers
from avbalance.errors import UserError
from avbalance.kinds import class_in, module_of, modules
from avbalance.methods import base
from avbalance.plan.plan import load_plan
from avbalance.reporting.check import check_settings

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(papers, "FOLDER", tmp_path)
    monkeypatch.setattr(digest, "CODE", replace(digest.CODE, _files={}))
    (tmp_path / "a-paper" / "figures").mkdir(parents=True)
    (tmp_path / "a-paper" / "figures" / "_shared.py").write_text("SIDES = 2\n")
    (tmp_path / "a-paper" / "figures" / "circle.py").write_text(
        "from avbalance.papers.a_paper.figures._shared import SIDES\nfrom avbalance.errors import UserError\n"
    )
    return tmp_path


def test_a_kind_is_found_by_its_file_in_the_first_paper_that_has_it(folder: Path) -> None:
    name = module_of(["another", "a-paper"], "figures", "circle", "figures.yaml, figure1")
    assert name == "avbalance.papers.a_paper.figures.circle"
    assert importlib.import_module(name).SIDES == 2
    assert modules(["a-paper", "another"], "figures") == {"circle": name}
    for kind in ("square", "../figures/circle"):
        with pytest.raises(UserError, match=r"figure1, kind: there is no .* of figures; there are circle"):
            module_of(["a-paper"], "figures", kind, "figures.yaml, figure1")
    with pytest.raises(UserError, match=r"circle\.py: has no class CircleFigure, which this kind of figures needs"):
        class_in(name, "figures")


def test_the_digest_of_a_papers_code_covers_what_it_imports(folder: Path) -> None:
    name = "avbalance.papers.a_paper.figures.circle"
    assert {name, "avbalance.papers.a_paper.figures._shared", "avbalance.errors"} <= set(digest.CODE.closure(name))
    before = digest.code_digest(name)
    (folder / "a-paper" / "figures" / "_shared.py").write_text("SIDES = 3\n")
    assert digest.code_digest(name) != before


def test_methods_and_runs_of_ones_own_live_outside_of_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(base.__file__).parent / "baseline.py").read_text().replace('name="baseline"', 'name="my-own"')
    (tmp_path / "my_own.py").write_text(text)
    further = {"mine": {"like": "baseline", "label": "Mine", "method": "my-own"}}
    own = {"papers": {"diagnosis": {"datasets": {"own": "synthetic-balanced"}, "further": further}}, "name": "own"}
    with pytest.raises(UserError, match="no method named 'my-own'"):
        check_settings(load_plan(REPOSITORY, own))
    monkeypatch.setenv("AVBALANCE_METHODS", str(tmp_path))
    monkeypatch.setattr(digest, "CODE", replace(digest.CODE, _files={}))
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])  # as a new process would have it
    assert "my-own" in base.names() and "baseline" in base.names()
    plan = load_plan(REPOSITORY, own)
    check_settings(plan)
    row = next(row for row in plan.rows["diagnosis"] if row.run == "mine")
    assert row.method == "my-own" and row.settings["data"]["interplay"] is True
    before = digest.code_digest("avbalance.methods.my_own")
    (tmp_path / "my_own.py").write_text(text + "\nCHANGED = 1\n")
    monkeypatch.setattr(digest, "CODE", replace(digest.CODE, _files={}))
    assert digest.code_digest("avbalance.methods.my_own") != before
