"""Who can be told apart from one method: on a made-up paper whose differences are known."""

from __future__ import annotations

from pathlib import Path

import pytest
from claims_paper import made

from avbalance.evaluation.versus import ALIKE, BETTER, WORSE, sentence, versus

RUNS = ["audio", "fused", "other", "slight", "never"]


def test_each_run_that_was_made_is_judged_against_the_one(tmp_path: Path) -> None:
    paper, _ = made(tmp_path)
    found = {each.run: each for each in versus(paper, "set", RUNS, "audio", level=0.99)}
    assert list(found) == ["fused", "other", "slight"]
    # of 200 clips audio has 75 right, fused 100, other none, and slight wins 12 and loses 17
    effects = {run: each.outcome.effect for run, each in found.items()}
    assert effects == {"fused": 12.5, "other": -37.5, "slight": -2.5}
    assert [each.verdict for each in found.values()] == [BETTER, WORSE, ALIKE]
    assert [each.spread for each in found.values()] == pytest.approx([0.0] * 3)
    slight = found["slight"]
    assert slight.p == slight.outcome.p and 0.01 < slight.p < 0.05  # the last of Holm's steps stands alone
    assert found["fused"].p == pytest.approx(3 * found["fused"].outcome.p)  # the first of three
    assert versus(paper, "set", RUNS, "audio")[-1].verdict == WORSE  # at 95 %


def test_it_is_said_in_one_sentence(tmp_path: Path) -> None:
    paper, _ = made(tmp_path)
    said = sentence(paper, "set", versus(paper, "set", RUNS, "audio", level=0.99), "audio")
    assert said == "D: better than Audio: Fused (+12.5); worse: Other (-37.5); not told apart from it: 1 of 3."
    alone = sentence(paper, "set", versus(paper, "set", ["slight"], "audio", level=0.99), "audio")
    assert alone == "D: better than Audio: nobody; worse: nobody; not told apart from it: 1 of 1."


def test_nothing_is_compared_where_a_side_is_absent(tmp_path: Path) -> None:
    paper, _ = made(tmp_path)
    assert versus(paper, "set", RUNS, "never") == versus(paper, "set", ["never"], "audio") == []
