"""The findings as tables for people, the same in verdict.md and on the page; what a gate stops is not stated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from avbalance.diagnosis.answers import ENSEMBLE, JOINT
from avbalance.diagnosis.findings import MAIN
from avbalance.diagnosis.gates import Gate

LABELS = {"audio": "Sound alone", "visual": "Pictures alone", JOINT: "Trained together", ENSEMBLE: "Mean of both alone"}
WORDS = {"audio": "sound", "visual": "pictures"}
INFORMATION = {
    "redundant": "told by either",
    "unique_audio": "told by sound alone",
    "unique_visual": "told by pictures alone",
    "synergistic": "told by the two together only",
}
MOST_KINDS = 30  # rows of classes or groups
NOT_STATED = "Not stated: it rests on a model that cannot be relied on, see above."

Findings = Mapping[str, Any]


@dataclass(frozen=True)
class ReportTable:
    """A table: title, what it says, names of the columns, rows of text (the first cell is the row's name)."""

    title: str
    note: str
    head: list[str]
    rows: list[list[str]] = field(default_factory=list)


def tables(findings: Findings, told: Sequence[Gate], labels: Mapping[str, str]) -> list[ReportTable]:
    """All tables, in the order in which they are read; labels: run -> its name."""
    stopped = {gate.run for gate in told if gate.stops}
    rests: list[tuple[ReportTable | None, set[str]]] = [
        (_accuracy(findings, labels), set()),
        (_uses(findings), {JOINT}),
        (_information(findings), {JOINT, "audio", "visual"}),
        (_disturbed(findings), {JOINT}),
        (_calibration(findings), set()),
        (_kinds(findings, "by_class", "class", bool(stopped & set(WORDS))), set()),
        (_kinds(findings, "by_group", "group", bool(stopped & set(WORDS))), set()),
    ]
    return [
        ReportTable(table.title, NOT_STATED, []) if runs & stopped else table
        for table, runs in rests
        if table is not None
    ]


def _accuracy(findings: Findings, labels: Mapping[str, str]) -> ReportTable:
    accuracy = findings["accuracy"]
    further = [run for run in accuracy if run not in MAIN and "-half-" not in run]
    names = {**{run: labels.get(run, run) for run in further}, **LABELS}
    rows = [[names[run], _of_hundred(accuracy[run]), _range(accuracy[run], 0, 100)] for run in (*MAIN, *further)]
    rows.append(["Most frequent class", f"{findings['chance']:.1f}", ""])
    return ReportTable("Accuracy on test clips (%)", "", ["Model", "Accuracy", "95 % interval"], rows)


def _uses(findings: Findings) -> ReportTable | None:
    if not findings["uses"]:
        return None
    rows = []
    for name, word in WORDS.items():
        loss, value, probe = findings["uses"][name], findings["shapley"][name], findings["under_trained"].get(name)
        rows.append([word.capitalize(), _number(loss), _number(value), _number(probe) if probe else ""])
    interaction = _number(findings["interaction"])
    return ReportTable(
        "What the joint model makes of each modality (points)",
        "Used: accuracy that it loses with this modality of other clips. Shapley value: its share of the accuracy "
        "above guessing. Neglected: how much more a linear model reads from the encoder that learnt alone. Beyond "
        f"adding the two (less its additive projection, EMAP): {interaction}.",
        ["Modality", "Used", "Shapley value", "Neglected"],
        rows,
    )


def _information(findings: Findings) -> ReportTable:
    rows = [
        [words, f"{findings['information'][name]['value']:.2f}", _range(findings["information"][name], digits=2)]
        for name, words in INFORMATION.items()
    ]
    return ReportTable(
        "What the modalities tell (bits a clip)",
        "Estimated from the probabilities of the models. On recordings with planted truth they erred by 0.3 bits "
        "and more: what either alone told was partly called told by the two together (docs/reference/instruments.md).",
        ["Of the class", "Information", "95 % interval"],
        rows,
    )


def _disturbed(findings: Findings) -> ReportTable | None:
    if not findings["disturbed"]:
        return None
    rows = []
    for row in findings["disturbed"]:
        name, level = row["disturbed"], row["snr_db"]
        what = f"{WORDS[name]} missing" if level is None else f"{WORDS[name]} at {level} dB"
        accuracy = row["accuracy"]
        rows.append([what, *(_of_hundred(accuracy.get(run)) for run in (name, JOINT, ENSEMBLE))])
    return ReportTable(
        "Accuracy under noise, and without a modality (%)",
        "Gaussian noise on the spectrogram or the pixels, by its signal-to-noise ratio; missing: the mean training "
        "clip in its place. The models were trained on clean clips. Noise in a modality that tells nothing can cost "
        "accuracy, too: a fall under noise is no proof of use.",
        ["Disturbed", "That modality alone", "Trained together", "Mean of both alone"],
        rows,
    )


def _calibration(findings: Findings) -> ReportTable:
    values = findings["calibration"]
    rows = [[LABELS[run], _of_hundred(values[run]), _range(values[run], 0, 100)] for run in MAIN]
    note = "Mean distance between a model's probability and its accuracy, in 15 bins; above 0 by chance on few clips."
    return ReportTable("Calibration error (%)", note, ["Model", "Error", "95 % interval"], rows)


def _kinds(findings: Findings, key: str, word: str, unsure: bool) -> ReportTable | None:
    if not findings[key]:
        return None
    kinds = sorted(findings[key], key=lambda row: row["accuracy"][JOINT]["value"])[:MOST_KINDS]
    rows = [
        [
            row["kind"],
            str(row["clips"]),
            *(_with_range(row["accuracy"][run]) for run in MAIN),
            "not stated" if unsure else _of_hundred(row["prefer_audio"]),
        ]
        for row in kinds
    ]
    note = "Prefer sound: clips of whose class the sound model is surer than the picture model."
    if len(findings[key]) > len(kinds):
        note += f" The {len(kinds)} of {len(findings[key])} on which the joint model is worst; verdict.json has all."
    head = [word.capitalize(), "Clips", *(LABELS[run] for run in MAIN), "Prefer sound"]
    return ReportTable(f"By {word} (%)", note, head, rows)


def _range(value: Mapping[str, Any], low: float = float("-inf"), high: float = float("inf"), digits: int = 1) -> str:
    if value["low"] is None:
        return "one clip"
    return f"{max(value['low'], low):.{digits}f} to {min(value['high'], high):.{digits}f}"


def _number(value: Mapping[str, Any]) -> str:
    return f"{value['value']:.1f} ({_range(value)})"


def _of_hundred(value: Mapping[str, Any] | None) -> str:
    return "" if value is None else f"{value['value']:.1f}"


def _with_range(value: Mapping[str, Any]) -> str:
    return f"{value['value']:.0f} ({_range(value, 0, 100, 0)})"


def markdown(table: ReportTable) -> Iterable[str]:
    """A table as lines of Markdown."""
    yield from ("", f"## {table.title}", "")
    if table.note:
        yield from (table.note, "")
    if table.head:
        yield f"| {' | '.join(table.head)} |"
        yield f"|{'---|' * len(table.head)}"
        for row in table.rows:
            yield f"| {' | '.join(cell.replace('|', ' ') for cell in row)} |"
