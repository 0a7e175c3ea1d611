"""claims.md: readable, escaped, honest about what could not be tested, and the same bytes twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avbalance.evaluation.paper import Paper
from avbalance.reporting.claims_report import claims_markdown, number_text, render_claims, verdict_text


def test_the_page_names_data_and_every_claim(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any], measurements: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        render_claims(fabricated_paper, balanced_declarations, tmp_path / name, measurements)
    for name in ("claims.json", "claims.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    text = (tmp_path / "a" / "claims.md").read_text(encoding="utf-8")
    assert "Balanced: synthetic stand-in for Balanced (synthetic-balanced)." in text
    lines = text.splitlines()
    assert sum(line.startswith("| C") and line.count("|") == 7 for line in lines) >= 16
    assert all(f"### C{number}. " in text for number in range(1, 17))
    assert "Cut in this tier: 6 epochs; reason: a fixture." in text
    assert "no film" not in text


def report(**changes: Any) -> dict[str, Any]:
    outcome = {
        "text": "<b> | x",
        "verdict": "holds",
        "effect": 1.234,
        "low": 0.5,
        "high": 2.0,
        "detectable": 1.1,
        "n": 120,
        "seeds": [1.0, -0.5],
        "published": None,
        "unit": "points",
        "reason": "",
    }
    counts = {"comparisons": 2, "holds": 1, "weak": 0, "fails": 0, "untestable": 1, "powered": 0}
    result = {"verdict": "reproduced", "reasons": ["no <run>"], "outcomes": [outcome], **counts}
    published = {"verdict": "no numbers", "comparisons": 0, "smallest": None, "largest": None}
    claim = {
        "id": "C1",
        "text": "a <i> claim",
        "source": "",
        "reading": "",
        "published": published,
        "results": {"estimated": result},
    }
    data = [{"label": "D", "name": None, "describe": "not made in this tier"}]
    statistics = {"draws": 10, "level": 0.95, "seed": 0, "min_n": 20}
    whole = {"title": "T & <T>", "data": data, "statistics": statistics, "claims": [claim]}
    return whole | {"checks": [], "cuts": []} | changes


def test_html_is_escaped_and_gaps_are_told() -> None:
    text = claims_markdown(report())
    assert "# Claims of T &amp; &lt;T&gt;\n" in text
    assert "<i>" not in text
    assert "Not testable: no &lt;run&gt;." in text
    row = "| &lt;b&gt; \\| x | holds | +1.23 | +0.50 to +2.00 | +1.00, -0.50 |  | 120 | 1.10 | points |"
    assert row in text.splitlines()
    assert "reproduced (1 hold, 0 weak, 0 fail, 1 not testable)" in text


def test_rows_on_few_clips_carry_a_dagger() -> None:
    page = report()
    assert "| 120 |" in claims_markdown(page)
    page["claims"][0]["results"]["estimated"]["outcomes"][0]["n"] = 99
    text = claims_markdown(page)
    assert "| 99† |" in text
    assert "† after n marks fewer than 100." in text


def test_the_page_says_what_cross_fitted_models_were_trained_on() -> None:
    assert "trained on one half of the training set and the multimodal models on all of it" in claims_markdown(report())


def test_numbers_and_verdicts_as_text() -> None:
    assert number_text(None) == ""
    assert number_text(-0.254) == "-0.25"
    assert number_text(0.1234, "bits") == "+0.123"
    assert verdict_text(None) == ""
    assert verdict_text({"verdict": "not testable here", "untestable": 3}) == "not testable here"
