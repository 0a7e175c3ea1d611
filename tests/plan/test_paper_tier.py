"""Values of the paper tier: each has a source, is the one that the source gives, and no tier overrides it."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from avbalance.methods import base as methods
from avbalance.plan.config import load_paper
from avbalance.plan.plan import Plan, load_plan
from avbalance.plan.trees import is_sourced

REPOSITORY = Path(__file__).parents[2]
BALANCED, PARSING = "balanced-audiovisual", "avvp-gradient-modulation"
RELEVANCE, GAP = "modality-relevance", "gmm-adaptive-loss"
# Where a value may come from, as the head of each paper.yaml explains.
ORIGINS = {
    BALANCED: {"paper", "code", "ours"},
    PARSING: {"paper", "code", "ours"},
    RELEVANCE: {"paper", "inferred", "ours"},
    GAP: {"abstract", "code", "paper", "ours"},
}


@cache
def plan() -> Plan:
    return load_plan(REPOSITORY, {"tier": "paper"})


def leaves(tree: Any, path: str = "") -> dict[str, Any]:
    """Dotted path -> value, where a value with its source counts as one."""
    if isinstance(tree, dict) and not is_sourced(tree):
        parts = [leaves(value, f"{path}.{key}" if path else str(key)) for key, value in tree.items()]
        return {name: value for part in parts for name, value in part.items()}
    return {path: tree}


def settings_of(slug: str) -> dict[str, dict[str, Any]]:
    """Where -> declared settings: of a paper, of a data set, of every run, and of a run on one data set."""
    paper = load_paper(REPOSITORY, slug)
    declared = {"shared": paper.get("settings", {})}
    declared |= {role: own.get("settings", {}) for role, own in paper["datasets"].items()}
    for run, own in paper["runs"].items():
        declared[f"run {run}"] = own.get("settings", {})
        declared |= {f"run {run}, {role}": of.get("settings", {}) for role, of in own.get("roles", {}).items()}
    return declared


@pytest.mark.parametrize("slug", ORIGINS)
def test_every_value_of_a_paper_has_a_source_that_its_file_explains(slug: str) -> None:
    values = {
        f"{where}: {path}": value
        for where, settings in settings_of(slug).items()
        for path, value in leaves(settings).items()
        if path not in ("model.name", "model.modality")  # what a run is, not a value of it
    }
    assert len(values) > 50 and set(plan().papers) == set(ORIGINS)
    origins = "|".join(sorted(ORIGINS[slug]))
    # A source that begins with a quantity names its origin after a colon: "rate 48 kHz: paper, ...".
    source = re.compile(rf"(^({origins})|: paper)\b")
    assert [place for place, value in values.items() if not is_sourced(value)] == []
    assert [value["source"] for value in values.values() if not source.search(value["source"])] == []


@pytest.mark.parametrize("slug", ORIGINS)
def test_every_run_has_a_model_of_its_method_and_declares_its_options(slug: str) -> None:
    for row in plan().rows[slug]:
        card = methods.load(row.method).card
        options = set(card.options.model_fields) - {"modality"}  # the model of a unimodal run says it
        declared = set(row.settings.get("method", {}))
        assert declared <= options if slug == PARSING else declared == options, row.run
        if not row.combine:
            assert row.settings["model"]["name"] in card.models, row.run


@pytest.mark.parametrize("slug", (RELEVANCE, GAP))
def test_every_trained_run_has_five_seeds_and_reads_models_of_runs_there_are(slug: str) -> None:
    rows = [row for row in plan().rows[slug] if not row.combine and not methods.load(row.method).card.fits]
    assert {row.seeds for row in rows} == {(0, 1, 2, 3, 4)}
    runs = {row.run for row in rows}
    assert all(need["run"] in runs for row in rows for need in row.needs.values())
    assert {need["file"] for row in rows for need in row.needs.values()} == {"model.safetensors"}


def test_every_run_of_parsing_has_one_data_set() -> None:
    counts = Counter(row.run for row in plan().rows[PARSING])
    assert len(counts) == 54 + 4 and set(counts.values()) == {1}  # and references


VALUES = {
    # Hyper-parameters of the OGM-GE reference code, which the paper follows.
    (BALANCED, "baseline", "balanced"): {
        "protocol.epochs": 100, "protocol.batch_size": 64, "protocol.learning_rate": 1e-3, "protocol.momentum": 0.9,
        "protocol.weight_decay": 1e-4, "protocol.decay_every": 70, "protocol.decay_factor": 0.1,
        "protocol.patience": None, "protocol.select": "validation", "model.fusion": "concat",
    },
    (BALANCED, "baseline", "vggsound"): {"model.width": 64},
    (BALANCED, "baseline", "kinetics-sounds"): {
        "data.frames": 3, "data.crop": 224, "data.crop_scale": [0.08, 1.0], "data.audio_recipe": "paper48k",
        "data.visual_recipe": "fps1-middle-256",
    },
    (BALANCED, "audio", "balanced"): {"protocol.patience": 10, "protocol.min_delta": 0.1},
    (BALANCED, "visual", "balanced"): {"protocol.record_confidence": True},
    (BALANCED, "audio-half-b", "balanced"): {"data.train_part": "half-b"},
    (BALANCED, "ogm-ge", "vggsound"): {"method.alpha": 0.1},
    (BALANCED, "ogm-ge", "kinetics-sounds"): {"method.alpha": 0.3},
    (BALANCED, "ogm-ge-alpha-0.8", "balanced"): {"method.alpha": 0.8},
    (BALANCED, "ogm-ge", "balanced"): {
        "method.start_epoch": 0, "method.end_epoch": 50, "method.variant": "ogm-ge",
    },
    (BALANCED, "gradient-blending", "balanced"): {
        "method.weights": "online", "method.super_epoch": 10, "data.estimation_holdout": 0.1,
    },
    (BALANCED, "gradient-blending-bn", "balanced"): {"method.batch_norm": "re-estimated"},
    (BALANCED, "gradient-blending-weights", "balanced"): {"data.estimation_holdout": 0.1, "method.epochs": None},
    (BALANCED, "gradient-blending-offline", "balanced"): {"data.estimation_holdout": 0.0},
    (BALANCED, "greedy", "balanced"): {
        "method.threshold": 0.01, "method.window": 5, "method.start_epoch": 2, "model.mmtm_stages": [2, 3, 4],
        "model.reduction": 4,
    },
    (RELEVANCE, "urban-rural-audio", "audioset"): {"model.audio_width": 512},
    (RELEVANCE, "urban-rural-student", "audioset"): {"model.visual_width": 400, "data.missing_level": "input"},
    (RELEVANCE, "speech-student", "audioset"): {"data.labelling": "speech", "method.w_visual": 1.0},
    (RELEVANCE, "ks-fusion", "kinetics-sounds"): {
        "data.missing_level": "fusion", "model.modalities": ["visual", "audio"], "model.hidden": [256, 128],
    },
    (RELEVANCE, "ks-visual", "kinetics-sounds"): {"protocol.metric": "balanced_accuracy"},
    (GAP, "ours", "cremad"): {"protocol.epochs": 100},
    (GAP, "ours", "ave"): {"protocol.watch_test": True, "method.beta": 1.0},
    (GAP, "ours", "kinetics-sounds"): {"method.warm_up_epochs": 20},
    (GAP, "ours-v1", "ave"): {"method.beta": 0.0},
    (GAP, "gap", "ave"): {"method.lambda_align": 0.0},
    (GAP, "ogm-ge", "cremad"): {"method.alpha": 0.8},
    (GAP, "ogm-ge", "ave"): {"method.alpha": 0.3},
    (GAP, "dgm", "cremad"): {"method.gamma": 0.8},
    (GAP, "gradient-blending", "kinetics-sounds"): {"data.estimation_holdout": 0.1},
    (GAP, "fine-ours-random", "ave"): {"protocol.learning_rate": 1e-4},
}  # fmt: skip


@pytest.mark.parametrize(("slug", "run", "role"), VALUES)
def test_planned_values_are_those_of_their_sources(slug: str, run: str, role: str) -> None:
    (row,) = (row for row in plan().rows[slug] if (row.run, row.role) == (run, role))
    expected = VALUES[slug, run, role]
    assert {path: row.settings[path.split(".")[0]][path.split(".")[1]] for path in expected} == expected


def test_alpha_and_the_weight_of_jocor_are_searched_where_their_authors_give_none() -> None:
    rows = {(row.run, row.role): row for row in plan().rows[BALANCED]}
    for role in ("kinetics-sounds", "balanced"):
        choose = rows["ogm-ge", role].choose
        assert choose is not None and choose["option"] == "alpha"
        for run, alpha in choose["candidates"].items():
            candidate = rows[run, role]
            assert candidate.settings["method"]["alpha"] == alpha and candidate.seeds == (0,)
            assert {**candidate.settings["method"], "alpha": 0.3} == rows["ogm-ge", role].settings["method"]
        assert list(choose["candidates"].values()) == [0.1, 0.3, 0.5, 0.8]
    assert rows["ogm-ge", "vggsound"].choose is None
    assert ("ogm-ge-alpha-0.1", "vggsound") not in rows
    (searched,) = (row for row in plan().rows[PARSING] if row.choose)
    assert searched.run == "han-jocor" and list(searched.candidates.values()) == [0.1, 0.3, 0.5, 0.7, 0.9]


def test_the_recipes_are_those_of_the_papers() -> None:
    relevance = {"audio": ["decibel64-10s"], "visual": ["uniform8-k400r50"]}
    recipes = load_plan(REPOSITORY, {"tier": "paper", "papers": {RELEVANCE: {}, GAP: {}}}).recipes
    ten_seconds = {"audio": ["ks_fbank"], "visual": ["fps1-middle-256"]}
    assert recipes == {
        "audioset": relevance,
        "kinetics-sounds-26": relevance,
        "cremad": {"audio": ["ogm_cremad"], "visual": ["fps1-first-256-3s-min1"]},
        "ave-clips": ten_seconds,
        "kinetics-sounds": ten_seconds,
    }


def test_the_tier_overrides_nothing_but_seeds_and_leaves_out_what_the_data_lack() -> None:
    config = plan().config
    assert config["seeds"] == [0, 1, 2] and config["seeds_per_job"] == 1
    assert all(spec["stands_for"] is None for spec in plan().datasets.values())
    assert not any(config["datasets"].values())
    chosen = config["papers"]
    assert set(chosen[BALANCED]) == {"datasets"}
    assert chosen[PARSING]["runs"]["strong-reference"] == {"only": ["ave"]}  # LLP has no truth per second to train on
    assert [cut["papers"] for cut in config["cuts"]] == [[PARSING]]
    for own in chosen.values():
        runs = {run: change for run, change in own.get("runs", {}).items() if run != "strong-reference"}
        assert set(own) <= {"datasets", "roles", "runs"}
        assert all(set(change) == {"seeds"} for change in (*own.get("roles", {}).values(), *runs.values()))
