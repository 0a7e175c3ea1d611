"""Bulk files are no outputs: nothing is done again because they are absent, and who needs them makes them again."""

from __future__ import annotations

import shutil

import pytest
from workspace import Workspace

SLUG, DATA = "balanced-audiovisual", "synthetic-balanced-smoke"
GREEDY = f"results/smoke/runs/{SLUG}/{DATA}/greedy/seed0"


def bulk(workspace: Workspace) -> dict[str, bytes]:
    """Clips and arrays by path; array.json and settings.json aside, which speak of one machine."""
    media = (workspace.root / "data" / DATA / "media").glob("*.mp4")
    arrays = (workspace.root / "results/smoke/features" / DATA).glob("*/features.npy")
    return {str(path.relative_to(workspace.root)): path.read_bytes() for path in (*media, *arrays)}


def described(workspace: Workspace) -> dict[str, tuple[bytes, int]]:
    """What Snakemake knows: manifest, cards and indices, with their times."""
    stores = (workspace.root / "results/smoke/features" / DATA).glob("*")
    files = [folder / name for folder in stores for name in ("card.json", "index.parquet")]
    files.append(workspace.root / "data" / DATA / "manifest.parquet")
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.slow
def test_absent_clips_and_arrays_cost_nothing_until_a_training_reads_them(workspace: Workspace) -> None:
    before, known = bulk(workspace), described(workspace)
    assert {path.rsplit(".")[-1] for path in before} == {"mp4", "npy"}
    predictions = workspace.root / GREEDY / "predictions.parquet"
    trained = predictions.read_bytes()
    shutil.rmtree(workspace.root / "data" / DATA / "media")
    for path in (workspace.root / "results/smoke/features").rglob("*"):
        if path.name in ("features.npy", "array.json"):
            path.unlink()
    assert workspace.plan().idle
    shutil.rmtree(workspace.root / GREEDY)
    shutil.rmtree(workspace.root / ".avbalance" / "runs")
    done = workspace.snakemake(f"{GREEDY}/predictions.parquet")
    assert done.status == 0, done.output[-3000:]
    assert done.kinds == {"train": 1}
    assert predictions.read_bytes() == trained
    assert bulk(workspace) == before
    assert described(workspace) == known
    log = next((workspace.root / "logs/smoke/train").rglob("greedy*.log")).read_text(encoding="utf-8")
    assert log.count("made again, the same bytes as on the card") == 2
    assert "generated files are absent and made again" in log
    assert workspace.plan().settled
