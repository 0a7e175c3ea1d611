"""The first screen: what was run on which data, and what this does not show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.plan.page import GENERATED, OTHER, OWN

ORIGINS = {
    GENERATED: "in the place of the papers' data",
    OTHER: "in the place of the papers' data",
    OWN: "",
}


def data_view(paper: Paper, origins: Mapping[str, str], records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every data set of a paper: its name there, what it is here, where its clips come from, and how many were used."""
    clips: dict[str, dict[str, int]] = {}
    for record in records:
        folder = record["job"]["folder"].split("/")
        if "data" in record:
            clips.setdefault(folder[1], record["data"]["clips"])
    return [_dataset(info, origins, clips) for info in paper.datasets.values()]


def _dataset(info: DatasetInfo, origins: Mapping[str, str], clips: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    if info.data is None:
        return {"label": info.label, "name": "", "describe": "left out here", "origin": "", "clips": {}, "further": []}
    return {
        "label": info.label,
        "name": info.data,
        "describe": info.describe,
        "origin": origins[info.data],
        "clips": {part: clips.get(info.data, {}).get(part) for part in ("train", "val", "test")},
        "further": list(info.generators),
    }


def data_kinds(papers: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, int]]:
    """Origin of data, in words, and how many data sets have it; those that none has are left out."""
    names = {(item["name"], item["origin"]) for paper in papers for item in paper["data"] if item["name"]}
    counts = Counter(origin for _, origin in names)
    return [(origin, words, counts[origin]) for origin, words in ORIGINS.items() if counts[origin]]


def training_state(records: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many runs there are, and how many of them did not learn or did not converge."""
    learnings = [record.get("learning") or {} for record in records]
    failed = sum(each.get("learned") is False for each in learnings)
    unsettled = sum(each.get("learned") is not False and each.get("converged") is False for each in learnings)
    return {"runs": len(records), "failed": failed, "unsettled": unsettled}


def machines(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Devices with the instruction set that was used there, and how many runs each has made, the most first."""
    counts = Counter(_machine(record["device"]) for record in records if "predictions" not in record["job"])
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _machine(device: Mapping[str, Any]) -> str:
    kind = "GPU" if device["kind"] == "cuda" else device["kind"].upper()
    return f"{kind}, {device['processor']}, {device.get('instruction_set', {}).get('torch', 'not recorded')}"


def commits(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, bool]]:
    """The commits that made the runs, and whether there were uncommitted changes."""
    return sorted({(record["code"]["commit"], bool(record["code"]["dirty"])) for record in records})


def limits(papers: Sequence[Mapping[str, Any]], state: Mapping[str, int], seeds: Sequence[int]) -> list[str]:
    """What all this does not show, in sentences."""
    kinds = {origin for origin, _, _ in data_kinds(papers)}
    counts: Counter[str] = Counter()
    for paper in papers:
        counts.update({look: number for look, number, _ in paper["claims"]["counts"]} if paper["claims"] else {})
    told = []
    replicated = [paper for paper in papers if not paper["verdict"]]
    if not replicated:
        told.append("All of this is about these clips, and about networks of this size and kind.")
    elif OWN not in kinds:
        where = "generated clips" if kinds == {GENERATED} else "clips other than theirs"
        told.append(
            f"No number here is a measurement on the papers' own data: all are of {where}. Published numbers stand"
            " beside ours for orientation; a difference says nothing about the paper."
        )
    elif kinds - {OWN}:
        told.append("Only claims that say reproduced or not reproduced are about the papers' own data.")
    total = sum(counts.values())
    if counts["open"]:
        told.append(
            f"{counts['open']} of {total} claims are inconclusive. That is not contrary: their intervals hold both"
            " signs, and the smallest detectable effect beside each comparison says what could have been seen."
        )
    if counts["untested"]:
        told.append(f"{counts['untested']} of {total} claims could not be tested here; each says why.")
    if state["failed"] or state["unsettled"]:
        told.append(
            f"{state['failed']} of {state['runs']} runs did not learn and {state['unsettled']} did not converge. Cells"
            " that rest on one are marked; a comparison with a run that did not learn is not tested."
        )
    if seeds:
        fewest, most = min(seeds), max(seeds)
        few = f", some on {fewest} only" if fewest < most else ""
        told.append(
            f"Cells rest on {'up to ' if few else ''}{most} seed{'s' * (most != 1)}{few}. Those of one seed have no"
            f" spread{', and the papers print single numbers without any' if replicated else ''}."
        )
    if cuts := sum(len(paper["cuts"]) for paper in replicated):
        told.append(f"Networks or schedules are smaller than in the papers in {cuts} places; each has a reason.")
    return told
