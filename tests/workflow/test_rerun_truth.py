"""An edit, the jobs that Snakemake plans after it, and what `avbalance why` says of them: exactly these.

Every row starts from a copy of one finished run of the smoke tier (tests/workspace.py).
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from smoke_tier import EVERYTHING, ONE_METHOD, PAPER, REPORT, RUNS, SLUG, cell_rule
from workspace import Workspace

Edit = Callable[[Workspace], None]
TIER = "config/tiers/smoke.yaml"
METHODS = "src/avbalance/methods"
TABLES, FIGURES = "tables_balanced_audiovisual", "figures_balanced_audiovisual"
REPORTS = {"measure", "claims", TABLES, FIGURES}
DATASET = "dataset_synthetic_balanced_smoke"
UNIMODAL = cell_rule("unimodal")
RESEEDED = ("baseline", "greedy", "ogm-ge", "unimodal")  # the others have seeds of their own


def replaced(path: str, old: str, new: str) -> Edit:
    return lambda workspace: workspace.edit(path, old, new)


def deleted(*paths: str) -> Edit:
    def edit(workspace: Workspace) -> None:
        for path in paths:
            (workspace.root / path).unlink()

    return edit


def all_of(*edits: Edit) -> Edit:
    def edit(workspace: Workspace) -> None:
        for each in edits:
            each(workspace)

    return edit


def interrupted(workspace: Workspace) -> None:
    """What a kill leaves while the table of lost clips is made."""
    from flowkeeper.records import record_path

    path = f"{PAPER}/lost_clips.csv"
    mark = record_path(workspace.root, path).relative_to(workspace.root / ".snakemake/metadata")
    (workspace.root / ".snakemake/incomplete").mkdir(exist_ok=True)
    (workspace.root / ".snakemake/incomplete" / mark).write_text("{}")


def further_method(workspace: Workspace) -> None:
    """A method in a file of its own and its run, as docs/how-to/add-a-method.md has it."""
    source = (workspace.root / METHODS / "baseline.py").read_text(encoding="utf-8")
    (workspace.root / METHODS / "plain.py").write_text(source.replace('name="baseline"', 'name="plain"'))
    run = "  plain: {label: Plain, method: plain, settings: {model: {name: fusion-net, fusion: concat}}}\n"
    workspace.edit(f"workflow/papers/{SLUG}/paper.yaml", "\nruns:", f"\nruns:\n{run.rstrip()}")


@dataclass(frozen=True)
class Again:
    """jobs: kind of rule -> number. said: a reason, as `why` words it -> the rules listed below it."""

    edit: Edit
    jobs: dict[str, int]
    said: dict[str, set[str]] = field(default_factory=dict)


AGAIN = {
    "an option of a method, a line of another, and a further one": Again(
        all_of(
            replaced(TIER, "ogm-ge: {settings: {method: {end_epoch: 1", "ogm-ge: {settings: {method: {end_epoch: 2"),
            replaced(f"{METHODS}/greedy.py", "math.log10(bypass / main)", "math.log2(bypass / main)"),
            further_method,
        ),
        {**ONE_METHOD, "train": 3, "losses": 1},
        {
            "settings changed: settings.method.end_epoch: 1 -> 2 (ogm-ge seed 0)": {cell_rule("ogm-ge")},
            "code changed: avbalance.methods.greedy": {cell_rule("greedy")},
            f"never made ({RUNS}/plain/seed0/history.csv and 2 more)": {cell_rule("plain")},
        },
    ),
    "a line of the training loop": Again(
        replaced("src/avbalance/training/partition.py", "import annotations\n", "import annotations\n\nUNUSED = 1\n"),
        {kind: number for kind, number in EVERYTHING.items() if kind not in ("dataset", "features")},
        {"code changed: avbalance.training.partition": {cell_rule(name) for name in ("greedy", "ogm-ge")}},
    ),
    "a further seed": Again(
        replaced(TIER, "seeds: [0]\n", "seeds: [0, 1]\n"),
        {**EVERYTHING, "dataset": 0, "features": 0, "train": len(RESEEDED)},
        {"settings changed: new seed 1": {cell_rule(name) for name in RESEEDED}},
    ),
    "a setting of the generator": Again(
        replaced(TIER, "synthetic-flat\n    options: {clips:", "synthetic-flat\n    options: {seed: 5, clips:"),
        EVERYTHING,
        {
            "settings changed: spec.options.seed: 103 -> 5": {DATASET},
            f"follows from: {DATASET}": {cell_rule("greedy"), "features_synthetic_balanced_smoke", "losses"},
        },
    ),
    "a published number, and a job that was killed": Again(
        all_of(
            replaced(
                f"workflow/papers/{SLUG}/published/table2.csv",
                "Balanced,Baseline,overall,70.47,",
                "Balanced,Baseline,overall,70.48,",
            ),
            interrupted,
        ),
        {**REPORT, "losses": 1},
        {
            f"content changed: workflow/papers/{SLUG}/published/table2.csv": {TABLES, FIGURES, "claims"},
            "its last run was interrupted": {"losses"},
        },
    ),
    "a deleted table, an intermediate that nothing needs, and the command of a rule": Again(
        all_of(
            deleted(f"{PAPER}/table2.md", f"{RUNS}/greedy/seed0/predictions.parquet"),
            replaced("workflow/rules/report.smk", "avbalance losses --settings", "avbalance losses  --settings"),
        ),
        {"tables": 1, "losses": 1, "crate": 1, "page": 1},
        {
            f"made before, but deleted or not fetched ({PAPER}/table2.md)": {TABLES},
            "the command of its rule changed (workflow/rules, rule losses)": {"losses"},
        },
    ),
    "intermediates that a deleted table needs": Again(
        deleted(f"{PAPER}/table2.md", f"{PAPER}/measurements.parquet", f"{RUNS}/greedy/seed0/predictions.parquet"),
        ONE_METHOD,
        {"made before, but deleted or not fetched": {TABLES, "measure", cell_rule("greedy")}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", AGAIN)
def test_exactly_this_is_done_again_and_why_says_so(workspace: Workspace, what: str) -> None:
    row = AGAIN[what]
    row.edit(workspace)
    said = why(workspace, "--all")
    assert pending(said) == Counter({kind: number for kind, number in row.jobs.items() if number})
    for reason, rules in row.said.items():
        assert rules <= listed(said, reason), f"{reason}\n{said}"


def test_why_counts_as_snakemake_does(workspace: Workspace) -> None:
    for what in ("a further seed", "a published number, and a job that was killed"):
        AGAIN[what].edit(workspace)
    planned = workspace.plan()
    assert pending(why(workspace)) == planned.kinds
    assert sum(planned.kinds.values()) == sum(planned.jobs.values()) - planned.jobs["all"]


def why(workspace: Workspace, arguments: str = "") -> str:
    done = workspace.run(f".venv/bin/python -m avbalance why {arguments}")
    assert done.status == 0, done.output
    return done.output


def pending(said: str) -> Counter[str]:
    """The jobs of the last line: kind -> number; it agrees with the paragraphs' own counts."""
    total, kinds = re.fullmatch(r"(\d+) jobs? pending: (.*)", said.splitlines()[-1], re.ASCII).groups()  # type: ignore[union-attr]
    counts = Counter({kind: int(number) for number, kind in (entry.split() for entry in kinds.split(", "))})
    assert counts.total() == int(total) == sum(map(int, re.findall(r"^(\d+) .*jobs?:$", said, re.MULTILINE)))
    return counts


def listed(said: str, reason: str) -> set[str]:
    """Rules of all paragraphs that give this very reason."""
    paragraphs = [paragraph.splitlines() for paragraph in said.split("\n\n")]
    found = [line for lines in paragraphs if f"  {reason}" in lines for line in lines if line.startswith("    ")]
    return {re.split(r"[ :]", line.strip())[0] for line in found}


def own_folder(workspace: Workspace) -> Path:
    """A folder data set of four clips (their contents do not matter to the manifest) and a configuration for it."""
    folder = workspace.root / "mine"
    folder.mkdir()
    rows = [f"{split}-{label},{label},{split}" for split in ("train", "test") for label in ("one", "two")]
    for row in rows:
        name = row.split(",")[0]
        (folder / f"{name}.wav").write_text(f"sound of {name}")
        (folder / f"{name}.png").write_text(f"picture of {name}")
    lines = ["id,label,split,audio,image", *(f"{row},{(n := row.split(',')[0])}.wav,{n}.png" for row in rows)]
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    spec = {"kind": "folder", "stands_for": None, "describe": "four clips", "options": {"root": "mine"}}
    (workspace.root / "config/datasets/mine.yaml").write_text(yaml.safe_dump(spec))
    papers = {"diagnosis": {"datasets": {"own": "mine"}}}
    wanted = {"name": "mine", "tier": "demo", "takes": "an hour", "papers": papers}
    (workspace.root / "mine.yaml").write_text(yaml.safe_dump(wanted))
    return folder


@pytest.mark.slow
def test_a_changed_list_of_clips_makes_the_manifest_again(workspace: Workspace) -> None:
    folder = own_folder(workspace)
    target = "--configfile mine.yaml -- data/mine/manifest.parquet"
    done = workspace.snakemake(target)
    assert done.status == 0, done.output[-3000:]
    assert "A whole run of mine takes an hour." in done.output
    assert why(workspace, target) == "Nothing to be done: what you asked for is up to date.\n"
    (folder / "manifest.csv").write_text((folder / "manifest.csv").read_text().replace("test-two,two", "test-two,one"))
    assert workspace.plan(target).kinds == {"dataset": 1}
    assert listed(why(workspace, target), "content changed: mine/manifest.csv") == {"dataset_mine"}


# --- What must not be done again ---


def cosmetics(workspace: Workspace) -> None:
    """A comment, a docstring, another layout."""
    greedy = f"{METHODS}/greedy.py"
    workspace.edit(greedy, "    if not gradients:\n", "    # nothing was learned\n    if not gradients:  # at all\n")
    told = "Whether the next forward is curated, for which modality, and how many curated steps are behind it."
    workspace.edit(greedy, told, "State of curation.")
    workspace.edit(greedy, "def random_curation(generator: ", "\n\ndef random_curation(\n        generator: ")


def shuffled_times(workspace: Workspace) -> None:
    """Give every file a time of its own, in no order: what a clone or a download does."""
    draw = random.Random(5)
    for name in ("data", "results", "src", "workflow", "config", "profiles", "envs"):
        for path in sorted((workspace.root / name).rglob("*")):
            if path.is_file():
                moment = draw.uniform(1.6e9, 1.7e9)
                os.utime(path, (moment, moment))


def reversed_keys(value: Any) -> Any:
    """The same YAML tree with the keys of every mapping in the opposite order."""
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


def other_order(workspace: Workspace) -> None:
    """Tiers and declarations with their keys in another order."""
    for name in ("smoke", "demo"):
        path = workspace.root / "config" / "tiers" / f"{name}.yaml"
        path.write_text(yaml.safe_dump(reversed_keys(yaml.safe_load(path.read_text())), sort_keys=False))
    path = workspace.root / "workflow" / "papers" / SLUG / "paper.yaml"
    paper = yaml.safe_load(path.read_text())
    for run in paper["runs"].values():  # the order of runs is that of the tables' rows
        if "settings" in run:
            run["settings"] = reversed_keys(run["settings"])
    paper["settings"] = reversed_keys(paper["settings"])
    path.write_text(yaml.safe_dump({key: paper[key] for key in reversed(paper)}, sort_keys=False))


def unused_data_and_methods(workspace: Workspace) -> None:
    """What no run of this configuration names."""
    (workspace.root / METHODS / "idle.py").write_text("X = 1\n")
    workspace.edit("config/datasets/kinetics-sounds.yaml", "kind:", "# not of this tier\nkind:")
    (workspace.root / "config/tiers/further.yaml").write_text("name: further\n")


def test_nothing_is_done_again_for_looks_times_order_place_and_what_is_not_used(workspace: Workspace) -> None:
    for edit in (cosmetics, other_order, unused_data_and_methods, shuffled_times):
        edit(workspace)
    moved = Workspace(workspace.root.rename(workspace.root.with_name("another name")))
    said = why(moved)
    assert re.fullmatch(r"Nothing to be done: all \d+ files are up to date\.\n", said), said
    assert moved.plan().idle
    # Times are misleading where contents are not compared: here, of tiny files alone.
    assert not moved.plan("--max-checksum-file-size 1").idle
