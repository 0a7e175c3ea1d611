"""Priorities: what much waits for comes first, data before training."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from avbalance.plan.plan import load_plan

REPOSITORY = Path(__file__).parents[2]
PAPER = "avvp-gradient-modulation"
PARSING = f"{PAPER}/synthetic-llp-smoke"


def test_a_chain_of_runs_counts_all_that_waits_at_its_head() -> None:
    plan = load_plan(REPOSITORY, {"tier": "smoke", "papers": {PAPER: {"cells": "method"}}})
    jobs = {cell.id: len(cell.jobs) for cell in plan.cells}
    waiting = plan.waiting
    jomold = [name for name in jobs if "after-jomold-ratios" in name]
    ratios = f"{PARSING}/jomold-ratios-after-jomold-noise"
    assert len(jomold) == 3  # JoMoLD's own variants, Co-teaching, JoCoR
    assert waiting[ratios] == jobs[ratios] + sum(jobs[name] for name in jomold)
    assert waiting[f"{PARSING}/jomold"] == jobs[f"{PARSING}/jomold"] + waiting[ratios]
    assert all(waiting[name] == jobs[name] for name in jomold)


def test_data_come_before_training_and_the_most_used_first() -> None:
    plan = load_plan(REPOSITORY, {"tier": "smoke"})
    of_data = {name: plan.data_priority(name) for name in plan.datasets}
    assert min(of_data.values()) > max(plan.priority(rule) for rule in plan.training_rules)
    used = Counter(cell.row.dataset for cell in plan.cells for _ in cell.jobs)
    assert max(of_data, key=of_data.__getitem__) == used.most_common(1)[0][0]
