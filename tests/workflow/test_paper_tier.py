"""The paper tier of balanced-audiovisual: what it plans, what it says while data are missing; sources of all papers."""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from avbalance.data.build import build_dataset
from avbalance.data.manifest import read_manifest
from avbalance.methods import base as methods
from avbalance.plan.config import load_paper
from avbalance.plan.plan import load_plan
from avbalance.plan.trees import is_sourced

REPOSITORY = Path(__file__).parents[2]
SLUG = "balanced-audiovisual"
DATASETS = ("kinetics-sounds", "vggsound", "balanced")
# Without the authors' annotation the balanced set is built from public lists; the set itself lacks nothing.
WITHOUT_LISTS = ("kinetics-sounds", "vggsound", "kinetics-30", "vggsound-30")
TIER = ("--config", "tier=paper", f"papers={{{SLUG}: {{}}}}")
CHOSEN: dict[str, Any] = {"tier": "paper", "papers": {SLUG: {}}}
PAPERS = tuple(load_plan(REPOSITORY, {"tier": "paper"}).papers)
MOST_JOBS = 1_500
SOURCE = re.compile(r"(^|: )(paper|code|abstract|inferred|ours)\b")  # or "rate 48 kHz: paper, ..."
# (run, seed) pairs that are trained per data set: ten runs and four half models with three seeds, three references and,
# where alpha is searched, four candidates with one. VGG-Sound has its authors' alpha.
TRAINED = {"kinetics-sounds": 14 * 3 + 4 + 3, "vggsound": 14 * 3 + 3, "balanced": 14 * 3 + 4 + 3}


def kinetics_lists(folder: Path) -> None:
    """Link the published lists to where config/datasets expects them."""
    real = os.environ.get("AVBALANCE_REAL_DATA")
    if not real:
        pytest.skip("AVBALANCE_REAL_DATA is not set: the folder that holds kinetics-sounds/ is unknown")
    (folder / "kinetics-sounds").mkdir(parents=True)
    (folder / "kinetics-sounds" / "lists").symlink_to(Path(real) / "kinetics-sounds")


def video_id(number: int) -> str:
    return f"-_{number:09d}"


def vggsound_list(folder: Path, clips: int = 4_000) -> None:
    """A list in the published layout: YouTube id, start second, one of 309 class names, train or test."""
    names = [f"sound {number}" for number in range(300)] + [f"sound {number}, heard twice" for number in range(9)]
    (folder / "vggsound").mkdir(parents=True)
    with open(folder / "vggsound" / "vggsound.csv", "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        for number in range(clips):
            split = "test" if number % 13 == 0 else "train"
            writer.writerow([video_id(number), 10 * (number % 30), names[number % 309], split])


def balanced_annotation(folder: Path, clips: int = 900) -> None:
    """An annotation in the published layout, with the clip ids of all three origins."""
    names = [f"action {number}" for number in range(30)]
    subsets = ["training"] * 8 + ["validation", "testing"]
    forms = ("{}_000010_000020", "{}_30", "{}")
    database = {
        forms[number % 3].format(video_id(number)): {"subset": subsets[number % 10], "label": names[number // 10 % 30]}
        for number in range(clips)
    }
    (folder / "balanced").mkdir(parents=True)
    (folder / "balanced" / "annotation.json").write_text(json.dumps({"labels": names, "database": database}))


def job_counts(printed: str) -> dict[str, int]:
    """The table of jobs that a dry run prints."""
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", printed, flags=re.MULTILINE)}


def by_kind(counts: dict[str, int]) -> dict[str, int]:
    """Jobs per first word of the rule's name."""
    kinds: Counter[str] = Counter()
    for name, count in counts.items():
        kinds[name.split("_")[0]] += count
    return dict(kinds)


def sentences(printed: str, kind: str) -> list[str]:
    return [line for line in printed.splitlines() if line.startswith(f"{kind}: ")]


def expected_jobs(datasets: int) -> dict[str, int]:
    """Jobs per kind of rule, counted by hand; datasets: those in roles, and those that one of them is built from."""
    paper = load_paper(REPOSITORY, SLUG)
    return {
        "dataset": datasets,
        "features": 3,
        "train": sum(TRAINED.values()),
        "combine": 3,  # all late ensembles of a data set
        "confidence": 3,
        "subsets": 3,
        "measure": 1,
        "table": sum("requires" not in table for table in paper["tables"]),  # no further generators here
        "figure": sum("requires" not in figure for figure in paper["figures"]),
        "claims": 1,
        "losses": 1,
        "overview": 1,
        "page": 1,
        "all": 1,
    }


def check_plan(workplace: Path, done: Any, absent: Sequence[str], datasets: int = 3) -> list[str]:
    """The dry run planned the whole tier and made nothing; returns what the preflight said, by data set in order."""
    assert done.returncode == 0, done.stderr
    counts = job_counts(done.stdout)
    kinds = by_kind(counts)
    assert kinds.pop("total") == sum(expected_jobs(datasets).values()) < MOST_JOBS
    assert kinds == expected_jobs(datasets)
    for dataset, number in TRAINED.items():
        prefix = f"train_{SLUG}_{dataset}_".replace("-", "_")
        assert sum(count for name, count in counts.items() if name.startswith(prefix)) == number
    assert not (workplace / "data").exists()
    assert not (workplace / "results").exists()
    said = sentences(done.stderr, "preflight")
    assert [line.split(": ")[1] for line in said] == list(absent)
    return said


def test_the_whole_tier_is_planned_from_real_and_generated_lists(workplace: Path, snakemake: Any) -> None:
    kinetics_lists(workplace / "downloads")
    vggsound_list(workplace / "downloads")
    balanced_annotation(workplace / "downloads")
    media = workplace / "downloads" / "vggsound" / "media"
    media.mkdir()
    (media / f"{video_id(7)}_70.mp4").write_bytes(b"x")
    done = snakemake("-n", *TIER)
    said = check_plan(workplace, done, [name for name in DATASETS if name != "vggsound"])
    assert all("no such folder" in line for line in said)  # the lists are there, the media are not
    counts = {"kinetics-sounds": "0 of 18,716", "vggsound": "1 of 4,000", "balanced": "0 of 900"}
    for name, count in counts.items():
        (line,) = (line for line in done.stderr.splitlines() if line.startswith(f"{name} "))
        assert f" yes  {count:>20} " in line
    (note,) = sentences(done.stderr, "note")
    assert note.startswith("note: vggsound: downloads/vggsound/media: 3,999 of 4,000 clips are missing, the first ")


def test_without_any_list_the_tier_is_planned_all_the_same_and_says_what_is_missing(
    workplace: Path, snakemake: Any
) -> None:
    done = snakemake("-n", *TIER)
    said = check_plan(workplace, done, WITHOUT_LISTS, datasets=5)
    missing = [line.split(": ")[2].rsplit("/", 1)[1] for line in said]
    assert missing == ["my_train.txt", "vggsound.csv", "train.csv", "vggsound.csv"]
    building, chosen = sentences(done.stderr, "note")
    assert building.startswith("note: balanced-built: building it decodes ")
    assert chosen.endswith("balanced-built is taken, since balanced lacks downloads/balanced/annotation.json.")


def test_a_real_run_ends_with_the_same_sentences_before_the_first_job(workplace: Path, snakemake: Any) -> None:
    vggsound_list(workplace / "downloads")
    done = snakemake(*TIER)
    assert done.returncode != 0
    said = sentences(done.stderr, "error")
    assert [line.split(": ")[1] for line in said] == list(WITHOUT_LISTS)
    assert "Traceback" not in done.stderr
    assert not (workplace / "data").exists()
    assert not (workplace / "results").exists()
    assert not (workplace / "logs").exists()
    # Nothing stays locked: the next call says the same.
    assert sentences(snakemake(*TIER).stderr, "error") == said


WHOLE = {"train", "val", "test"}


@pytest.mark.parametrize(
    ("dataset", "lists", "classes", "clips", "splits"),
    [
        ("kinetics-sounds", kinetics_lists, 31, 14_799 + 1_320 + 2_597, WHOLE),
        ("vggsound", vggsound_list, 309, 4_000, {"train", "test"}),
        ("balanced", balanced_annotation, 30, 900, WHOLE),
    ],
)
def test_the_lists_become_a_manifest_even_without_clips(
    workplace: Path, dataset: str, lists: Callable[[Path], None], classes: int, clips: int, splits: set[str]
) -> None:
    lists(workplace / "downloads")
    own = {dataset: {"options": {"allow_missing": True}}}
    plan = load_plan(REPOSITORY, {**CHOSEN, "datasets": own})
    assert dataset not in [sentence.split(": ")[0] for sentence in plan.preflight()]
    build_dataset(dataset, plan.datasets[dataset], workplace / plan.manifest(dataset))
    manifest = read_manifest(plan.manifest(dataset))
    assert (len(manifest.classes), len(manifest.frame)) == (classes, clips)
    assert set(manifest.frame["split"]) == splits
    assert set(manifest.frame["status"]) == {"missing"}


def test_the_tier_overrides_nothing() -> None:
    plan = load_plan(REPOSITORY, CHOSEN)
    assert plan.config["seeds"] == [0, 1, 2]
    assert plan.config["seeds_per_job"] == 1
    assert all(set(chosen) == {"datasets"} for chosen in plan.config["papers"].values())
    assert list(plan.datasets) == ["kinetics-sounds", "vggsound", "balanced-built", "kinetics-30", "vggsound-30"]
    assert all(spec["stands_for"] is None for spec in plan.datasets.values())
    assert not any(plan.config["datasets"].values())


def leaves(tree: Any, path: str = "") -> dict[str, Any]:
    """Dotted path -> value, where a value with its source counts as one."""
    if isinstance(tree, dict) and not is_sourced(tree):
        found: dict[str, Any] = {}
        for key, value in tree.items():
            found |= leaves(value, f"{path}.{key}" if path else key)
        return found
    return {path: tree}


def all_settings(slug: str) -> dict[str, dict[str, Any]]:
    """Where -> declared settings: of a paper, of a data set, of every run, and of a run on one data set."""
    paper = load_paper(REPOSITORY, slug)
    found = {"shared": paper.get("settings", {})}
    found |= {role: declared.get("settings", {}) for role, declared in paper["datasets"].items()}
    for run, declared in paper["runs"].items():
        found[f"run {run}"] = declared.get("settings", {})
        found |= {f"run {run}, {role}": own.get("settings", {}) for role, own in declared.get("roles", {}).items()}
    return found


@pytest.mark.parametrize("slug", PAPERS)
def test_every_value_of_a_paper_has_a_source(slug: str) -> None:
    names = ("model.name", "model.modality")  # what a run is, not a value of it
    declared = {
        f"{where}: {path}": value
        for where, settings in all_settings(slug).items()
        for path, value in leaves(settings).items()
        if path not in names
    }
    bare = [place for place, value in declared.items() if not (is_sourced(value) and SOURCE.search(value["source"]))]
    assert len(declared) > 50
    assert bare == []


def test_every_option_of_every_method_is_declared() -> None:
    plan = load_plan(REPOSITORY, CHOSEN)
    for row in plan.rows[SLUG]:
        options = set(methods.load(row.method).card.options.model_fields)
        options -= {"modality"}  # the model of a unimodal run says it
        assert set(row.settings.get("method", {})) == options, row.run


@pytest.mark.parametrize(
    ("run", "role", "path", "value"),
    [
        # Hyper-parameters of the OGM-GE reference code, which the paper follows.
        ("baseline", "balanced", "protocol.epochs", 100),
        ("baseline", "balanced", "protocol.batch_size", 64),
        ("baseline", "balanced", "protocol.learning_rate", 1e-3),
        ("baseline", "balanced", "protocol.momentum", 0.9),
        ("baseline", "balanced", "protocol.weight_decay", 1e-4),
        ("baseline", "balanced", "protocol.decay_every", 70),
        ("baseline", "balanced", "protocol.decay_factor", 0.1),
        ("baseline", "balanced", "protocol.patience", None),
        ("baseline", "balanced", "protocol.select", "validation"),
        ("baseline", "balanced", "model.fusion", "concat"),
        ("baseline", "vggsound", "model.width", 64),
        ("baseline", "kinetics-sounds", "data.frames", 3),
        ("baseline", "kinetics-sounds", "data.crop", 224),
        ("baseline", "kinetics-sounds", "data.crop_scale", [0.08, 1.0]),
        ("baseline", "kinetics-sounds", "data.audio_recipe", "paper48k"),
        ("baseline", "kinetics-sounds", "data.visual_recipe", "fps1-middle-256"),
        ("audio", "balanced", "protocol.patience", 10),
        ("audio", "balanced", "protocol.min_delta", 0.1),
        ("visual", "balanced", "protocol.record_confidence", True),
        ("audio-half-b", "balanced", "data.train_part", "half-b"),
        ("ogm-ge", "vggsound", "method.alpha", 0.1),
        ("ogm-ge", "kinetics-sounds", "method.alpha", 0.3),
        ("ogm-ge-alpha-0.8", "balanced", "method.alpha", 0.8),
        ("ogm-ge", "balanced", "method.start_epoch", 0),
        ("ogm-ge", "balanced", "method.end_epoch", 50),
        ("ogm-ge", "balanced", "method.variant", "ogm-ge"),
        ("gradient-blending", "balanced", "method.weights", "online"),
        ("gradient-blending", "balanced", "method.super_epoch", 10),
        ("gradient-blending", "balanced", "data.estimation_holdout", 0.1),
        ("gradient-blending-bn", "balanced", "method.batch_norm", "re-estimated"),
        ("gradient-blending-weights", "balanced", "data.estimation_holdout", 0.1),
        ("gradient-blending-weights", "balanced", "method.epochs", None),
        ("gradient-blending-offline", "balanced", "data.estimation_holdout", 0.0),
        ("greedy", "balanced", "method.threshold", 0.01),
        ("greedy", "balanced", "method.window", 5),
        ("greedy", "balanced", "method.start_epoch", 2),
        ("greedy", "balanced", "model.mmtm_stages", [2, 3, 4]),
        ("greedy", "balanced", "model.reduction", 4),
    ],
)
def test_a_planned_value_is_the_one_of_its_source(run: str, role: str, path: str, value: Any) -> None:
    (row,) = (row for row in load_plan(REPOSITORY, CHOSEN).rows[SLUG] if (row.run, row.role) == (run, role))
    part, key = path.split(".")
    assert row.settings[part][key] == value


def test_alpha_is_searched_where_its_authors_give_none() -> None:
    rows = {(row.run, row.role): row for row in load_plan(REPOSITORY, CHOSEN).rows[SLUG]}
    for role in ("kinetics-sounds", "balanced"):
        choose = rows["ogm-ge", role].choose
        assert choose is not None
        assert choose["option"] == "alpha"
        for run, alpha in choose["candidates"].items():
            candidate = rows[run, role]
            assert candidate.settings["method"]["alpha"] == alpha
            assert candidate.seeds == (0,)
            assert {**candidate.settings["method"], "alpha": 0.3} == rows["ogm-ge", role].settings["method"]
        assert list(choose["candidates"].values()) == [0.1, 0.3, 0.5, 0.8]
    assert rows["ogm-ge", "vggsound"].choose is None
    assert ("ogm-ge-alpha-0.1", "vggsound") not in rows
