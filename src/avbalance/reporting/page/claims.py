"""Claims on the page: sentence, verdict, every comparison with its interval, definitions of subsets side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from avbalance.evaluation.claims import ILLUSTRATION
from avbalance.evaluation.declarations import PROTOCOLS
from avbalance.evaluation.outcomes import CLAIMED, CONTRARY, INCONCLUSIVE, UNTESTABLE
from avbalance.evaluation.rows import NO_SUBSET
from avbalance.reporting.cells import SMALL
from avbalance.reporting.claims_report import WORDS, number_text, signs_text, verdict_text
from avbalance.reporting.overview import deciding
from avbalance.reporting.page.intervals import drawing, scale_of

WORDED = {"holds": "hold", "contrary": "contrary", "open": "inconclusive", "untested": "not testable"}
LOOKS = {CLAIMED: "holds", CONTRARY: "contrary", INCONCLUSIVE: "open", UNTESTABLE: "untested", ILLUSTRATION: "shown"}

_COUNTED = re.compile(r"S?\d+|[IVX]+")
_MENTION = re.compile(
    rf"\b(?P<kind>table|figure)s? (?:{_COUNTED.pattern})\b(?:(?:, | and | to )(?:{_COUNTED.pattern})\b)*"
)


def claims_view(report: Mapping[str, Any], anchors: Mapping[str, str]) -> dict[str, Any]:
    """What the template shows of the claims.json of a paper; anchors: "table 1", "figure 2", ... -> id on the page."""
    claims = [_entry(entry, anchors) for entry in report["claims"]]
    counts = [(look, sum(claim["look"] == look for claim in claims), word) for look, word in WORDED.items()]
    return {
        "claims": claims,
        "checks": [_entry(entry, anchors) for entry in report["checks"]],
        "illustrations": [_entry(entry, anchors) for entry in report["illustrations"]],
        "counts": counts,
        "headline": next((claim for claim in claims if claim["main"] and claim["main"]["headline"]), None)
        or next((claim for claim in claims if claim["main"]), None),
        "several": [claim for claim in claims if len(claim["verdicts"]) > 1],
    }


def _typeset(text: str) -> str:
    """Text with minus signs before numbers in place of hyphens."""
    return re.sub(r"(?<![\w.])-(?=\d)", "\N{MINUS SIGN}", text)


def _number(value: float | None, unit: str = "points") -> str:
    return _typeset(number_text(value, unit))


def _entry(entry: Mapping[str, Any], anchors: Mapping[str, str]) -> dict[str, Any]:
    """One claim; its look is that of its verdict under the paper's own definition of the subsets."""
    results = {name: entry["results"][name] for name in (*PROTOCOLS, NO_SUBSET) if name in entry["results"]}
    results |= entry["results"]
    first = next(iter(results.values()))
    outcomes = [outcome for result in results.values() for outcome in result["outcomes"]]
    scales = {
        unit: scale_of(each for each in outcomes if each["unit"] == unit) for unit in {o["unit"] for o in outcomes}
    }
    main = deciding(first)
    published = entry["published"]
    return {
        **{name: entry[name] for name in ("id", "text", "reading", "own")},
        "source": linked(entry["source"], anchors),
        "look": LOOKS[first["verdict"]],
        "word": WORDS[entry["own"]].get(first["verdict"], first["verdict"]),
        "verdicts": [
            {
                "protocol": name,
                "look": LOOKS[result["verdict"]],
                "word": WORDS[entry["own"]].get(result["verdict"], result["verdict"]),
                "text": _typeset(verdict_text(result, entry["own"])),
                "powered": result["powered"],
                "comparisons": result["comparisons"],
                "reasons": [reason for reason in result["reasons"] if reason != "one seed"],
            }
            for name, result in results.items()
        ],
        "signs": signs_text(published),
        "range": (_number(published["smallest"]), _number(published["largest"])),
        "main": main and _shown(main, scale_of([main])),
        "rows": _side_by_side(results, scales),
        "scales": [
            (_number(scale.low, unit), _number(scale.high, unit), unit)
            for unit, scale in sorted(scales.items())
            if any(each["unit"] == unit and each["effect"] is not None for each in outcomes)
        ],
    }


def linked(text: str, anchors: Mapping[str, str]) -> list[tuple[str, str]]:
    """A text in pieces, each with the id on the page that it names, or "": "tables 1 and 2" names two."""
    pieces, end = [], 0
    for mention in _MENTION.finditer(text):
        for number in _COUNTED.finditer(text, mention.end("kind"), mention.end()):
            pieces += [(text[end : number.start()], ""), (number[0], anchors.get(f"{mention['kind']} {number[0]}", ""))]
            end = number.end()
    return [*pieces, (text[end:], "")]


def _side_by_side(results: Mapping[str, Any], scales: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Comparisons, headlines first, each with its outcome under every definition of the subsets."""
    by_text: dict[str, dict[str, Any]] = {}
    for name, result in results.items():
        for outcome in result["outcomes"]:
            by_text.setdefault(outcome["text"], {})[name] = outcome
    rows = [
        {
            "text": text,
            "headline": any(outcome["headline"] for outcome in by_name.values()),
            "cells": [_shown(by_name.get(name), scales) for name in results],
        }
        for text, by_name in by_text.items()
    ]
    return sorted(rows, key=lambda row: not row["headline"])


def _shown(outcome: Mapping[str, Any] | None, scales: Any) -> dict[str, Any] | None:
    """An outcome in words and as a drawing."""
    if outcome is None:
        return None
    unit = outcome["unit"]
    scale = scales.get(unit) if isinstance(scales, Mapping) else scales
    low, high = (_number(outcome[name], unit) for name in ("low", "high"))
    return {
        "look": LOOKS[outcome["verdict"]],
        "verdict": outcome["verdict"],
        "text": outcome["text"],
        "headline": outcome["headline"],
        "reason": outcome["reason"],
        "effect": _number(outcome["effect"], unit),
        "interval": f"{low} to {high}" if low else "",
        "unit": unit,
        "n": outcome["n"],
        "small": outcome["n"] is not None and outcome["n"] < SMALL,
        "seeds": _seeds(outcome["numbers"], outcome["seeds"], unit),
        "count": len(outcome["seeds"]),
        "detectable": number_text(outcome["detectable"], unit).lstrip("+"),
        "published": _number(outcome["published"], unit),
        "drawing": scale and drawing(outcome, scale),
    }


def _seeds(numbers: Sequence[int], effects: Sequence[float], unit: str) -> str:
    return ", ".join(f"{seed}: {_number(effect, unit)}" for seed, effect in zip(numbers, effects, strict=True))
