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
    assert "Balanced: synthetic stand-in for Balanced (synthetic-balanced)" in text
    lines = text.splitlines()
    assert sum(line.startswith("| C") and line.count("|") == 7 for line in lines) >= 16
    assert all(f"### C{number}. " in text for number in range(1, 17))
    assert "Cut in this tier: 6 epochs; reason: a fixture." in text
    assert "no film" not in text


def outcome(**changes: Any) -> dict[str, Any]:
    found = {
        "text": "<b> | x", "verdict": "as claimed", "effect": 1.234, "low": 0.5, "high": 2.0, "detectable": 1.1,
        "n": 120, "seeds": [1.0, -0.5], "numbers": [0, 4], "published": None, "unit": "points", "reason": "",
        "headline": False,
    }  # fmt: skip
    return found | changes


def report(*more: dict[str, Any], verdict: str = "as claimed", own: bool = False, n: int = 120) -> dict[str, Any]:
    counts = {"comparisons": 2, "claimed": 1, "contrary": 0, "inconclusive": 0, "untestable": 1, "powered": 0}
    result = {"verdict": verdict, "reasons": ["no <run>", "one seed"], "outcomes": [outcome(n=n), *more], **counts}
    published = {"comparisons": 3, "right": 2, "smallest": -1.0, "largest": 2.0, "borrowed": False}
    claim = {"id": "C1", "text": "a <i> claim", "source": "", "reading": "", "own": own, "published": published}
    claim["results"] = {"estimated": result}
    data = [{"label": "D", "name": None, "describe": "not made in this tier"}]
    statistics = {"draws": 10, "level": 0.95, "seed": 0, "min_n": 20}
    whole = {"title": "T & <T>", "data": data, "statistics": statistics, "claims": [claim]}
    return whole | {"checks": [], "illustrations": [], "cuts": []}


def test_html_is_escaped_and_gaps_are_told() -> None:
    text = claims_markdown(report())
    assert "# Claims of T &amp; &lt;T&gt;\n" in text
    assert "<i>" not in text
    assert "Not testable: no &lt;run&gt;." in text
    row = "| &lt;b&gt; \\| x | as claimed | +1.23 | +0.50 to +2.00 | 0: +1.00, 4: -0.50 |  | 120 | 1.10 | points |"
    assert row in text.splitlines()
    assert "**Estimated: holds on these data.**" in text
    several = claims_markdown(report(outcome(verdict="not testable here", reason="no <run>")))
    assert "holds on these data where testable (1 as claimed, 1 not testable here)" in several
    assert "The paper's numbers: right sign in 2 of 3, effects -1.00 to +2.00." in text


def test_a_single_seed_shows_its_effect_and_no_interval() -> None:
    single = outcome(
        verdict="not testable here", low=None, high=None, detectable=None, reason="one seed", seeds=[1.234]
    )
    text = claims_markdown(report(single))
    assert "| not testable here (one seed) | +1.23 |  | 0: +1.23 |  | 120 |  | points |" in text
    assert "Not testable: one seed" not in text


def test_reproduced_is_kept_for_the_papers_own_data() -> None:
    def result_lines(**more: Any) -> str:  # what stands below the rule
        return claims_markdown(report(**more)).split("## Summary")[1]

    assert "| reproduced |" in result_lines(own=True)
    assert "| not reproduced |" in result_lines(own=True, verdict="contrary")
    assert "| contrary on these data |" in result_lines(verdict="contrary")
    for verdict in ("as claimed", "contrary", "inconclusive", "not testable here"):
        assert "reproduced" not in result_lines(verdict=verdict)


def test_a_headline_stands_first() -> None:
    text = claims_markdown(report(outcome(text="head", headline=True, effect=2.0, low=1.0, high=3.0)))
    assert "(headline +2.00 (+1.00 to +3.00) points; others: 1 as claimed, 1 not testable here)" in text
    assert text.index("| **Headline** head |") < text.index("| &lt;b&gt; \\| x |")


def test_rows_on_few_clips_carry_a_dagger() -> None:
    assert "| 120 |" in claims_markdown(report())
    text = claims_markdown(report(n=99))
    assert "| 99† |" in text
    assert "† after n marks fewer than 100 clips." in text
    assert "trained on one half of the training set and the multimodal models on all of it" in text


def test_numbers_and_verdicts_as_text() -> None:
    assert number_text(None) == ""
    assert number_text(-0.254) == "-0.25"
    assert number_text(0.1234, "bits") == "+0.123"
    assert verdict_text(None, False) == ""
    result = {"verdict": "not testable here", "outcomes": [], "claimed": 0, "contrary": 0, "inconclusive": 0}
    assert verdict_text({**result, "untestable": 1}, True) == "not testable here"
