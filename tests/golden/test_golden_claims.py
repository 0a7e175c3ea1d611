"""Verdicts and effects of all claims on the fabricated paper, compared with those that are committed beside this file.

Predictions, subsets and bootstrap draws are drawn from fixed seeds, so that nothing is trained and all must be equal.
When a change of the verdicts is meant, renew the fixture and read the diff:

    python -m pytest tests/golden/test_golden_claims.py --golden-update
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from avbalance.evaluation.paper import Paper
from avbalance.reporting.claims_report import render_claims
from flowkeeper.files import read_json

PATH = Path(__file__).with_name("claims_fabricated.json")
LETTERS = {"as claimed": "+", "contrary": "-", "inconclusive": "?", "not testable here": "x"}


def line(result: dict[str, Any]) -> str:
    """One protocol of a claim: its verdict, then of each comparison a sign and the effect."""
    texts = (
        LETTERS[outcome["verdict"]] + ("" if outcome["effect"] is None else f"{outcome['effect']:.2f}")
        for outcome in result["outcomes"]
    )
    return f"{result['verdict']}: {' '.join(texts)}"


def test_claims_on_the_fabricated_paper(
    fabricated_paper: Paper,
    balanced_declarations: dict[str, Any],
    measurements: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    render_claims(fabricated_paper, balanced_declarations, tmp_path, measurements)
    report = read_json(tmp_path / "claims.json")
    found = {
        entry["id"]: {protocol: line(result) for protocol, result in entry["results"].items()}
        for entry in [*report["checks"], *report["claims"]]
    }
    if request.config.getoption("--golden-update"):
        PATH.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    assert found == json.loads(PATH.read_text(encoding="utf-8"))
