"""Write docs/reference/methods.md from the cards of all methods, their docstrings and docs/gallery/real.

Usage: python docs/reference/make_methods.py
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from avbalance.methods import base
from avbalance.methods.base import Method, MethodCard
from avbalance.plan.config import load_paper
from flowkeeper.files import atomic_path

PAGE = Path(__file__).with_name("methods.md")
ROOT = Path(__file__).parents[2]
GALLERY = ROOT / "docs" / "gallery" / "real"
HOOKS = ("prepare", "epoch_start", "clip_groups", "turns", "batch", "loss", "gradients", "after_step", "epoch_end")
HOOKS += ("artifacts",)
HEAD = """# Methods

One section for each method: the idea, the equation, the hooks of the training loop that it uses, its options with their
sources, and its first result. Made from the code by `python docs/reference/make_methods.py`; do not edit.

- Options are set under `settings: {method: ...}` of a run.
- At its *no-op* setting a method equals another run bit for bit.
- Results are those on [real recordings](../gallery/real/claims.md), which stand in the place of the data set that is
  named; in brackets is the published number, on the paper's own data. The table explains the marks.
- CE is the cross-entropy, BCE its form for several labels; z are logits, y and Y labels, a and v audio and visual.
"""


def page() -> str:
    """The whole page: one section per method on disk."""
    return "\n".join([HEAD, *(section(base.load(name)) for name in base.names())])


def section(method: type[Method]) -> str:
    """One method: what it is and does, its options with their sources, and where it departs from its paper."""
    card = method.card
    idea, _, equation = (inspect.getdoc(method) or "").partition("Equation: ")
    lines = [f"## {card.label} (`{card.name}`)", "", one_line(f"{card.summary} {idea}"), ""]
    lines += [f"- Equation: {one_line(equation)}", f"- Reference: {card.reference}.", f"- Hooks: {hooks(method)}."]
    lines += [f"- {text}" for text in facts(card)]
    lines += [f"- {text}" if text.startswith("Decision: ") else f"- Deviation: {text}" for text in card.deviations]
    lines += [f"- Result: {text}" for text in results(card)]
    fields = card.options.model_fields
    if fields:
        lines += ["", "| Option | Default | Source |", "|---|---|---|"]
        lines += [
            f"| `{name}` | `{_value(field.default)}` | {_cell(str(field.description))} |"
            for name, field in fields.items()
        ]
    return "\n".join([*lines, ""])


def hooks(method: type[Method]) -> str:
    """The hooks that a method has of its own."""
    own = [f"`{name}`" for name in HOOKS if getattr(method, name) is not getattr(Method, name)]
    return ", ".join(own) or "none"


def facts(card: MethodCard) -> Iterator[str]:
    """What a card says of the method's place in the workflow."""
    if card.models:
        fusions = f", fusion {', '.join(card.fusions)}" if card.fusions else ""
        yield f"Models: {', '.join(f'`{name}`' for name in card.models)}{fusions}."
    if not card.trains:
        yield "Trains nothing: joins the predictions of other runs."
    if card.fits:
        yield "A reference: fits its model without epochs."
    if not card.predicts:
        yield "Makes files for other runs, no predictions."
    if card.no_op:
        note = f" ({card.no_op.note})" if card.no_op.note else ""
        yield f"No-op: {_settings(card)} equals `{card.no_op.equals}`{note}."


def results(card: MethodCard) -> Iterator[str]:
    """Of each paper the first table of real recordings with a run of this method, and its first number."""
    for folder in sorted(path for path in GALLERY.iterdir() if path.is_dir()):
        paper = load_paper(ROOT, folder.name)
        runs = {name: run["label"] for name, run in paper["runs"].items() if run["method"] == card.name}
        ordered = sorted(runs, key=lambda name: runs[name] != card.label)  # what bears the method's name comes first
        found = (
            row(folder / f"{table['id']}.md", runs[name])
            for table in paper["tables"]
            if not table["id"].startswith("tableS") and (folder / f"{table['id']}.md").is_file()
            for name in ordered
            if f'"{name}"' in json.dumps(table)
        )
        yield from list(filter(None, found))[:1]


def row(path: Path, label: str) -> str | None:
    """What a table says first of the run with a label: the table, the heads of row and column, the number."""
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("|")]
    for each in cells[2:]:
        if label in each:
            at = next(index for index, cell in enumerate(cells[1]) if cell.endswith(":"))
            heads = ", ".join(dict.fromkeys(each[:at]))
            title, target = lines[0].removeprefix("# "), path.relative_to(PAGE.parents[1])
            return f"[{title}](../{target}): {heads}; {cells[0][at]} {each[at]}."
    return None


def _settings(card: MethodCard) -> str:
    assert card.no_op is not None
    given = {**card.no_op.options, **card.no_op.model}
    return ", ".join(f"`{name}: {_value(value)}`" for name, value in given.items())


def one_line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return one_line(text).replace("|", "\\|")


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


if __name__ == "__main__":
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")
