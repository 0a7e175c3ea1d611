"""The paper tier of modality-relevance and gmm-adaptive-loss: what is planned and from which lists; all four papers."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from avbalance.data.audioset import NAMES, RURAL, SPEECH, URBAN
from avbalance.data.ave import CLASSES as AVE_CLASSES
from avbalance.data.build import build_dataset
from avbalance.data.manifest import read_manifest
from avbalance.data.sources.audioset import AudioSetOptions
from avbalance.methods import base as methods
from avbalance.plan.config import load_paper
from avbalance.plan.plan import load_plan
from avbalance.plan.sheet import Row
from avbalance.plan.trees import is_sourced

REPOSITORY = Path(__file__).parents[2]
RELEVANCE, GAP = "modality-relevance", "gmm-adaptive-loss"
PAPERS = (RELEVANCE, GAP)
DATASETS = ("audioset", "kinetics-sounds-26", "cremad", "ave-clips", "kinetics-sounds")
WITHOUT_MEDIA: dict[str, Any] = {name: {"options": {"allow_missing": True}} for name in DATASETS}
CHOSEN: dict[str, Any] = {"tier": "paper", "papers": {slug: {} for slug in PAPERS}}
TIER = ("--config", "tier=paper", f"papers={{{RELEVANCE}: {{}}, {GAP}: {{}}}}")
MOST_JOBS = 1_500
SEEDS = (0, 1, 2, 3, 4)
# Runs that are trained, by hand. Two teachers and a student for each labelling; late fusion and its two halves.
# The other paper: two unimodal runs, five baselines and heads, the method: 9 on all three sets. On two sets version 1,
# three ablations and four fine-tunings from either network: 12 more. On CREMA-D alone four lengths of the warm-up,
# three separations and 15 cells of a grid of 16, the last of which is the method itself.
RUNS = {
    RELEVANCE: {"audioset": 2 * 3, "kinetics-sounds-26": 3},
    GAP: {"cremad": 9 + 12 + 4 + 3 + 15, "ave-clips": 9 + 12, "kinetics-sounds": 9},
}
# References of one seed: three on a data set, and three more for the second labelling of AudioSet.
REFERENCES = {RELEVANCE: {"audioset": 6, "kinetics-sounds-26": 3}, GAP: dict.fromkeys(RUNS[GAP], 3)}
TRAINED = {
    slug: {name: number * len(SEEDS) + REFERENCES[slug][name] for name, number in found.items()}
    for slug, found in RUNS.items()
}
JOBS = {
    "dataset": 5,
    "features": 5,
    "train": 45 + 9 + 365 + 9,
    "combine": 3,  # the late ensemble of a data set, all seeds
    "measure": 2,
    "table": 7 + 9,
    "figure": 3 + 7,
    "claims": 2,
    "losses": 2,
    "overview": 1,  # the claims of all papers on one page
    "page": 1,
    "all": 1,
}
RECORDS = 30
OUTDOOR = {(URBAN, SPEECH): 24, (URBAN,): 16, (RURAL, SPEECH): 10, (RURAL,): 20, (URBAN, RURAL): 3, (SPEECH,): 7}


def real(folder: str) -> Path:
    where = os.environ.get("AVBALANCE_REAL_DATA")
    if not where or not (Path(where) / folder).is_dir():
        pytest.skip(f"AVBALANCE_REAL_DATA is not set, or has no {folder}/: the published lists are not at hand")
    return Path(where) / folder


def real_lists(downloads: Path) -> None:
    """Link the published lists to where config/datasets expects them."""
    for name in ("cremad", "kinetics-sounds"):
        (downloads / name).mkdir(parents=True)
        (downloads / name / "lists").symlink_to(real(name))


def audioset_lists(downloads: Path) -> None:
    """The three segment lists and the names of labels in the published layout, of 80 clips."""
    lists = downloads / "audioset" / "lists"
    lists.mkdir(parents=True)
    labels = [chosen for chosen, count in OUTDOOR.items() for _ in range(count)]
    rows = [f'{number:_>11}, 30.000, 40.000, "{",".join(chosen)}"\n' for number, chosen in enumerate(labels)]
    for place, name in enumerate(AudioSetOptions.model_fields["lists"].default):
        (lists / name).write_text("# Segments csv created Sun Mar  5 10:54:31 2017\n" + "".join(rows[place::3]))
    names = "".join(f'{place},{label},"{name}"\n' for place, (label, name) in enumerate(NAMES.items()))
    (lists / "class_labels_indices.csv").write_text("index,mid,display_name\n" + names)


def ave_lists(downloads: Path) -> None:
    """Annotations and orders in the published layout; the last two records are of one video, in one part."""
    lists = downloads / "ave" / "lists"
    lists.mkdir(parents=True)
    videos = [f"-_{min(number, RECORDS - 2):09d}" for number in range(RECORDS)]
    lines = [f"{AVE_CLASSES[number % 28]}&{video}&good&{number % 5}&10" for number, video in enumerate(videos)]
    (lists / "Annotations.txt").write_text("Category&VideoID&Quality&StartTime&EndTime\n" + "\n".join(lines) + "\n")
    for split, order in {"train": range(9, RECORDS), "val": range(4), "test": range(4, 9)}.items():
        with h5py.File(lists / f"{split}_order.h5", "w") as file:
            file["order"] = np.array(order)


def by_kind(printed: str) -> tuple[dict[str, int], dict[str, int]]:
    """Jobs that a dry run lists: per rule, and per first word of the rule's name."""
    counts = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", printed, flags=re.MULTILINE)}
    kinds: Counter[str] = Counter()
    for name, count in counts.items():
        kinds[name.split("_")[0]] += count
    return counts, dict(kinds)


def check_plan(workplace: Path, done: Any) -> list[str]:
    """The dry run planned both papers as a whole and made nothing; returns what the preflight said."""
    assert done.returncode == 0, done.stderr
    counts, kinds = by_kind(done.stdout)
    assert kinds.pop("total") == sum(JOBS.values())
    assert kinds == JOBS
    for slug, found in TRAINED.items():
        start = f"train_{slug}_".replace("-", "_")
        trained = {rule.removeprefix(start): count for rule, count in counts.items() if rule.startswith(start)}
        # "kinetics_sounds" begins "kinetics_sounds_26" too, which the other paper alone has.
        assert {
            name: sum(count for rule, count in trained.items() if rule.startswith(f"{name.replace('-', '_')}_"))
            for name in found
        } == found
        assert set(trained.values()) == {1, len(SEEDS)}  # a rule for each run, a job for each seed; references have one
    assert not any((workplace / name).exists() for name in ("data", "results", "logs"))
    return [line for line in done.stderr.splitlines() if line.startswith("preflight: ")]


def test_both_papers_are_planned_from_real_and_generated_lists(workplace: Path, snakemake: Any) -> None:
    real_lists(workplace / "downloads")
    audioset_lists(workplace / "downloads")
    ave_lists(workplace / "downloads")
    said = check_plan(workplace, snakemake("-n", *TIER))
    assert [line.split(": ")[1] for line in said] == list(DATASETS)
    assert all("no such folder; " in line for line in said)  # the lists are there, the media are not
    own = yaml.safe_dump({"datasets": WITHOUT_MEDIA})
    (workplace / "own.yaml").write_text(own)
    assert check_plan(workplace, snakemake("-n", "--configfile", "own.yaml", *TIER)) == []


def test_without_any_list_both_are_planned_all_the_same_and_say_what_is_missing(
    workplace: Path, snakemake: Any
) -> None:
    said = check_plan(workplace, snakemake("-n", *TIER))
    assert [line.split(": ")[1] for line in said] == list(DATASETS)
    assert [line.split(": ")[2] for line in said] == [
        "downloads/audioset/lists/balanced_train_segments.csv",
        "downloads/kinetics-sounds/lists/my_train.txt",
        "downloads/cremad/lists/train.csv",
        "downloads/ave/lists/Annotations.txt",
        "downloads/kinetics-sounds/lists/my_train.txt",
    ]
    assert all("no such file; take " in line for line in said)


def test_a_real_run_ends_with_the_same_sentences_before_the_first_job(workplace: Path, snakemake: Any) -> None:
    audioset_lists(workplace / "downloads")
    ave_lists(workplace / "downloads")
    done = snakemake(*TIER)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    said = {
        line.split(": ")[1]: line.split(": ", 2)[2] for line in done.stderr.splitlines() if line.startswith("error: ")
    }
    assert list(said) == list(DATASETS)
    assert said["audioset"].startswith("downloads/audioset/media: no such folder; cut the clips out of the YouTube")
    assert said["ave-clips"].startswith("downloads/ave/media: no such folder; get the clips that the page of")
    assert not any((workplace / name).exists() for name in ("data", "results", "logs"))


def test_the_whole_paper_tier_of_all_papers_is_planned(workplace: Path, snakemake: Any) -> None:
    done = snakemake("-n", "--config", "tier=paper")
    assert done.returncode == 0, done.stderr
    _, kinds = by_kind(done.stdout)
    plan = load_plan(REPOSITORY, {"tier": "paper"})
    pairs = sum(len(row.seeds) for rows in plan.rows.values() for row in rows if not row.combine)
    assert len(plan.papers) == 4
    assert kinds["train"] == pairs == 825
    assert kinds["total"] == 924 < MOST_JOBS
    assert kinds["dataset"] == len(plan.datasets) == 11  # papers share data sets, and stores of the same recipes
    assert kinds["features"] == 9 + 2  # two papers read Kinetics-Sounds, and two CREMA-D, by recipes of their own


@pytest.mark.parametrize(
    ("dataset", "lists", "classes", "splits"),
    [
        # 40 urban clips and 30 rural ones, none with both labels: 30 of each
        ("audioset", audioset_lists, 2, {"train": 42, "val": 12, "test": 6}),
        ("ave-clips", ave_lists, 28, {"train": RECORDS - 9 - 1, "val": 4, "test": 5}),
        ("cremad", real_lists, 6, {"train": 6_698, "test": 744}),
        ("kinetics-sounds", real_lists, 31, {"train": 14_799, "val": 1_320, "test": 2_597}),
        ("kinetics-sounds-26", real_lists, 26, {"train": 12_526, "val": 1_109, "test": 2_180}),
    ],
)
def test_the_lists_become_a_manifest_even_without_clips(
    workplace: Path, dataset: str, lists: Any, classes: int, splits: dict[str, int]
) -> None:
    lists(workplace / "downloads")
    plan = load_plan(REPOSITORY, {**CHOSEN, "datasets": WITHOUT_MEDIA})
    assert dataset not in [sentence.split(": ")[0] for sentence in plan.preflight()]
    build_dataset(dataset, plan.datasets[dataset], workplace / plan.manifest(dataset))
    manifest = read_manifest(plan.manifest(dataset))
    assert len(manifest.classes) == classes
    assert manifest.frame["split"].value_counts().to_dict() == splits
    assert set(manifest.frame["status"]) == {"missing"}
    assert list(manifest.labellings) == (["speech"] if dataset == "audioset" else [])


def planned() -> list[Row]:
    rows = load_plan(REPOSITORY, CHOSEN).rows
    return [row for slug in PAPERS for row in rows[slug]]


def test_every_run_has_five_seeds_a_method_its_model_and_its_options() -> None:
    rows = [row for row in planned() if not row.combine and not methods.load(row.method).card.fits]
    counts = {slug: dict(Counter(row.dataset for row in rows if row.paper == slug)) for slug in PAPERS}
    assert counts == RUNS
    for row in rows:
        card = methods.load(row.method).card
        assert row.seeds == SEEDS
        assert row.settings["model"]["name"] in card.models, row.run
        assert set(row.settings.get("method", {})) == set(card.options.model_fields) - {"modality"}, row.run
        assert all(any(need["run"] == each.run and need["file"] == "model.safetensors" for each in rows)
                   for need in row.needs.values())  # fmt: skip


def leaves(tree: Any, path: str = "") -> dict[str, Any]:
    """Dotted path -> value, where a value with its source counts as one."""
    if isinstance(tree, dict) and not is_sourced(tree):
        parts = [leaves(value, f"{path}.{key}" if path else str(key)) for key, value in tree.items()]
        return {name: value for part in parts for name, value in part.items()}
    return {path: tree}


@pytest.mark.parametrize(
    ("slug", "origins"), [(RELEVANCE, {"paper", "inferred", "ours"}), (GAP, {"abstract", "code", "paper", "ours"})]
)
def test_every_value_has_one_of_the_sources_that_the_file_explains(slug: str, origins: set[str]) -> None:
    paper = load_paper(REPOSITORY, slug)
    found: dict[str, Any] = {}
    for where in ("datasets", "runs"):
        for name, declared in paper[where].items():
            found |= leaves(declared.get("settings", {}), f"{where}.{name}")
            for role, own in declared.get("roles", {}).items():
                found |= leaves(own.get("settings", {}), f"{where}.{name}.{role}")
    found |= leaves(paper.get("settings", {}), "settings")
    named = re.compile(r"\.model\.(name|modality)$")  # what a run is
    values = {place: value for place, value in found.items() if not named.search(place)}
    assert len(values) > 100
    for place, value in values.items():
        assert is_sourced(value), place
        first = re.match(r"[a-z]+", value["source"])
        # A source that begins with a quantity names its origin after a colon.
        assert first and (first[0] in origins or re.search(r": paper\b", value["source"])), (place, value["source"])


def test_the_recipes_are_those_of_the_papers() -> None:
    plan = load_plan(REPOSITORY, CHOSEN)
    of_relevance = {"audio": ["decibel64-10s"], "visual": ["uniform8-k400r50"]}
    of_ten_seconds = {"audio": ["ks_fbank"], "visual": ["fps1-middle-256"]}
    assert plan.recipes == {
        "audioset": of_relevance,
        "kinetics-sounds-26": of_relevance,
        "cremad": {"audio": ["ogm_cremad"], "visual": ["fps1-first-256-3s-min1"]},
        "ave-clips": of_ten_seconds,
        "kinetics-sounds": of_ten_seconds,
    }


@pytest.mark.parametrize(
    ("run", "role", "path", "value"),
    [
        ("urban-rural-audio", "audioset", "model.audio_width", 512),
        ("urban-rural-student", "audioset", "model.visual_width", 400),
        ("urban-rural-student", "audioset", "data.missing_level", "input"),
        ("speech-student", "audioset", "data.labelling", "speech"),
        ("speech-student", "audioset", "method.w_visual", 1.0),
        ("ks-fusion", "kinetics-sounds", "data.missing_level", "fusion"),
        ("ks-fusion", "kinetics-sounds", "model.modalities", ["visual", "audio"]),
        ("ks-fusion", "kinetics-sounds", "model.hidden", [256, 128]),
        ("ks-visual", "kinetics-sounds", "protocol.metric", "balanced_accuracy"),
        ("ours", "cremad", "protocol.epochs", 100),
        ("ours", "ave", "protocol.watch_test", True),
        ("ours", "kinetics-sounds", "method.warm_up_epochs", 20),
        ("ours", "ave", "method.beta", 1.0),
        ("ours-v1", "ave", "method.beta", 0.0),
        ("gap", "ave", "method.lambda_align", 0.0),
        ("ogm-ge", "cremad", "method.alpha", 0.8),
        ("ogm-ge", "ave", "method.alpha", 0.3),
        ("dgm", "cremad", "method.gamma", 0.8),
        ("gradient-blending", "kinetics-sounds", "data.estimation_holdout", 0.1),
        ("fine-ours-random", "ave", "protocol.learning_rate", 1e-4),
    ],
)
def test_a_planned_value_is_the_one_of_its_source(run: str, role: str, path: str, value: Any) -> None:
    (row,) = (row for row in planned() if (row.run, row.role) == (run, role))
    part, key = path.split(".")
    assert row.settings[part][key] == value


def test_the_tier_overrides_nothing_but_seeds() -> None:
    plan = load_plan(REPOSITORY, CHOSEN)
    for chosen in plan.config["papers"].values():
        assert set(chosen) == {"datasets", "roles"}
        assert all(set(own) == {"seeds"} for own in chosen["roles"].values())
    assert set(plan.datasets) == set(DATASETS)
    assert all(spec["stands_for"] is None for spec in plan.datasets.values())
    assert not any(plan.config["datasets"].values()) and not any(
        slug in cut["papers"] for cut in plan.config["cuts"] for slug in PAPERS
    )
