"""A balanced set that is built inside the workflow, with its pool and a random set as controls: tiny, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from workspace import Done, Workspace, borrow_environment, copy_working_tree

from avbalance.data.manifest import read_manifest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("built-set")]

PAPER = "results/built/papers/balanced-audiovisual"
REPORTS = [f"{PAPER}/{name}" for name in ("claims.md", "tableS8.md", "tableS9.md", "figureS3.png", "lost_clips.csv")]
SCORER = {"dataset": "tiny-scorers"}
CONFIG: dict[str, Any] = {
    "name": "built",
    "tier": "smoke",
    "datasets": {
        "tiny-pool": {"base": "synthetic-pool", "options": {"clips": {"train": 199, "test": 1}, "classes": 3}},
        "tiny-supplement": {
            "base": "synthetic-supplement",
            "options": {"clips": {"train": 59, "test": 1}, "classes": 3},
        },
        "tiny-scorers": {
            "base": "synthetic-scorers",
            "options": {"clips": {"train": 60, "val": 30, "test": 3}, "classes": 3},
        },
        "tiny-balanced": {
            "base": "synthetic-balanced",
            "options": {
                "pool": "tiny-pool",
                "supplements": ["tiny-supplement"],
                "scorers": {"audio": SCORER, "visual": SCORER},
                "recalibration": {"least": 120, "category_floor": 10, "noise": 0.0},
                "estimators": {"folds": 2, "protocol": {"epochs": 6, "decay_every": 4}},
            },
        },
        "tiny-whole": {"base": "synthetic-balanced-pool", "options": {"built": "tiny-balanced"}},
        "tiny-random": {"base": "synthetic-balanced-random", "options": {"built": "tiny-balanced"}},
    },
    "papers": {
        "balanced-audiovisual": {
            "datasets": {"balanced": "tiny-balanced", "pool": "tiny-whole", "random": "tiny-random"}
        }
    },
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Done]:
    workspace = Workspace(tmp_path_factory.mktemp("built-set") / "checkout")
    workspace.root.mkdir()
    copy_working_tree(workspace.root)
    borrow_environment(workspace.root)
    (workspace.root / "built.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    return workspace, workspace.run(f".venv/bin/snakemake --configfile built.yaml -- {' '.join(REPORTS)}")


def test_the_set_is_built_and_compared_with_its_pool_and_a_random_set(made: tuple[Workspace, Done]) -> None:
    workspace, done = made
    assert done.status == 0, done.output[-3000:]
    assert all((workspace.root / path).stat().st_size > 0 for path in REPORTS)
    flat = pd.read_csv(workspace.root / PAPER / "tableS8.csv")
    assert set(flat["dataset"]) == {"Pool", "Balanced", "Random set"} and flat["ours_mean"].notna().all()
    share = flat[(flat["definition"] == "planted") & (flat["split"] == "train") & (flat["quantity"] == "audio_share")]
    shares = share.set_index("dataset")["ours_mean"].astype(float)
    assert shares["Balanced"] < min(shares["Pool"], shares["Random set"])  # the builder never saw what is planted
    claims = (workspace.root / PAPER / "claims.md").read_text(encoding="utf-8")
    assert all(f"### K{number}. " in claims for number in (5, 6, 7))


def test_nothing_is_made_again_and_a_colleague_without_media_gets_the_same_features(
    made: tuple[Workspace, Done],
) -> None:
    workspace, _ = made
    assert workspace.plan(f"--configfile built.yaml -- {' '.join(REPORTS)}").idle
    path = workspace.root / "data/tiny-balanced/manifest.parquet"
    manifest = read_manifest(path)
    medium = manifest.media_root(path) / manifest.frame["audio"].iloc[0]
    assert medium.is_relative_to(Path(workspace.root) / "data") and medium.is_file()
    before = medium.read_bytes()
    medium.unlink()
    again = "rm -r results/built/features/tiny-balanced && .venv/bin/snakemake --configfile built.yaml -- "
    done = workspace.run(again + "results/built/features/tiny-balanced/audio-logmel32x64-4s/card.json")
    assert done.status == 0, done.output[-3000:]
    assert medium.read_bytes() == before
