"""Write docs/reference/methods.md from the cards of all methods. Usage: python docs/reference/make_methods.py"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from avbalance.methods import base
from avbalance.methods.base import MethodCard
from flowkeeper.files import atomic_path

PAGE = Path(__file__).with_name("methods.md")
HEAD = """# Methods

Made from the cards in `src/avbalance/methods/` by `python docs/reference/make_methods.py`; do not edit. Options are set
under `settings: {method: ...}` of a run. At its *no-op* setting a method equals another run bit for bit.
"""


def page() -> str:
    """The whole page: one section per method on disk."""
    cards = [base.load(name).card for name in base.names()]
    return "\n".join([HEAD, *(section(card) for card in cards)])


def section(card: MethodCard) -> str:
    """One method: what it is, what it trains, its options with their sources, and where it departs from its paper."""
    lines = [f"## {card.label} (`{card.name}`)", "", f"{card.summary} Reference: {card.reference}.", ""]
    if card.models:
        fusions = f", fusion {', '.join(card.fusions)}" if card.fusions else ""
        lines += [f"- Models: {', '.join(f'`{name}`' for name in card.models)}{fusions}."]
    if not card.trains:
        lines += ["- Trains nothing: joins the predictions of other runs."]
    if card.fits:
        lines += ["- A reference: fits its model without epochs."]
    if not card.predicts:
        lines += ["- Makes files for other runs, no predictions."]
    if card.no_op:
        note = f" ({card.no_op.note})" if card.no_op.note else ""
        lines += [f"- No-op: {_settings(card)} equals `{card.no_op.equals}`{note}."]
    lines += [f"- Deviation: {text}" for text in card.deviations]
    fields = card.options.model_fields
    if fields:
        lines += ["", "| Option | Default | Source |", "|---|---|---|"]
        lines += [
            f"| `{name}` | `{_value(field.default)}` | {_cell(str(field.description))} |"
            for name, field in fields.items()
        ]
    return "\n".join([*lines, ""])


def _settings(card: MethodCard) -> str:
    assert card.no_op is not None
    given = {**card.no_op.options, **card.no_op.model}
    return ", ".join(f"`{name}: {_value(value)}`" for name, value in given.items())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


if __name__ == "__main__":
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")
