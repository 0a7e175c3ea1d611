"""What the GPU check found, as a page: card and date, a table for each part, what failed, what was left out."""

from __future__ import annotations

import datetime
import subprocess
from typing import Any

import torch

from avbalance.provenance.run_record import machine


def failures(results: dict[str, Any]) -> list[str]:
    """What went wrong, a line each."""
    parts = [(name, entry) for name in ("exactness", "throughput", "side_by_side", "rows") for entry in results[name]]
    lines = [f"{name}, {_about(entry)}: {entry['outcome']}" for name, entry in parts if entry["outcome"] != "ok"]
    for entry in results["exactness"]:
        lines += [f"{entry['run']}: not true: {fact}" for fact, value in entry.items() if value is False]
    return lines


def _about(entry: dict[str, Any]) -> str:
    return ", ".join(str(entry[name]) for name in ("row", "run", "precision", "seeds") if name in entry)


def card(device: str) -> dict[str, Any]:
    """Card, driver, versions and date."""
    cuda = device == "cuda"
    return {
        "card": torch.cuda.get_device_name() if cuda else f"none: {machine()['processor']}",
        "memory_gb": round(torch.cuda.get_device_properties(0).total_memory / 1e9, 1) if cuda else None,
        "driver": _driver() if cuda else None,
        "cuda": torch.version.cuda if cuda else None,
        "torch": torch.__version__,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
    }


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return said[0] if said else "unknown"


def markdown(results: dict[str, Any]) -> str:
    """The page: card and date, then a table for each part."""
    about = ", ".join(f"{name} {value}" for name, value in results["card"].items() if value is not None)
    lines = ["# GPU check", "", about + ".", ""]
    if results["quick"]:
        lines += ["A trial of the script on small networks: its numbers mean nothing.", ""]
    for title, name in (
        ("Exactness", "exactness"),
        ("Throughput", "throughput"),
        ("Seeds side by side", "side_by_side"),
    ):
        lines += [f"## {title}", "", *_table(results[name])]
    right = sum(row["outcome"] == "ok" for row in results["rows"])
    lines += ["## Rows of the paper tier", "", f"{right} of {len(results['rows'])} do two steps on finite numbers.", ""]
    for title, name in (("Failed", "failed"), ("Left out: the time was over", "left_out")):
        lines += [f"## {title}", "", *([f"- {line}" for line in results[name]] or ["Nothing."]), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _table(entries: list[dict[str, Any]]) -> list[str]:
    heads = list(dict.fromkeys(name for entry in entries for name in entry if name != "outcome"))
    if not heads:
        return ["Nothing.", ""]
    cells = [[_text(entry.get(name)) for name in heads] for entry in entries]
    rows = ["| " + " | ".join(row) + " |" for row in (heads, *cells)]
    return [rows[0], "|" + " --- |" * len(heads), *rows[1:], ""]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return "–" if value is None else str(value)
