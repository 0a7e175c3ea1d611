"""What flowkeeper is told of this workflow."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from avbalance.workflow import WORKFLOW, checksums
from flowkeeper.files import write_json

RUN = "results/demo/runs/slug/data/run/seed0"
ARRAY = "results/demo/features/data/audio-recipe/features.npy"


@pytest.mark.parametrize(
    ("path", "kinds"),
    [
        ("papers/slug/table1.csv", {"tables"}),
        ("ro-crate-metadata.json", {"tables"}),
        ("report.html", {"tables"}),
        ("runs/slug/data/run/seed0/predictions.parquet", {"predictions"}),
        ("runs/slug/data/run/seed0/confidence.npz", {"predictions"}),
        ("runs/slug/data/run/seed0/record.json", {"predictions", "records"}),
        ("runs/slug/data/run/seed0/history.csv", {"predictions", "records"}),
        ("runs/slug/data/run/seed0/model.safetensors", {"models"}),
        ("subsets/slug/data.parquet", {"predictions"}),
        ("confidence/slug/data/sensitivity.csv", {"predictions"}),
        ("features/data/audio-recipe/card.json", {"predictions"}),
    ],
)
def test_kinds_of_files(path: str, kinds: set[str]) -> None:
    assert {kind for kind, fits in WORKFLOW.kinds.items() if fits(path)} == kinds


def test_the_run_cache_knows_what_a_run_wrote(tmp_path: Path) -> None:
    write_json(tmp_path / RUN / "record.json", {"key": "k"})
    assert dict(checksums(tmp_path, "demo")) == {}
    write_json(tmp_path / ".avbalance/runs/k/contents.json", {"history.csv": "1", "record.json": "2"})
    assert dict(checksums(tmp_path, "demo")) == {f"{RUN}/history.csv": "1"}
    assert dict(checksums(tmp_path, "other")) == {}


def test_an_array_that_was_made_again_is_checked_against_its_own_note(tmp_path: Path) -> None:
    """Another build of the codec libraries gives other bytes; array.json says which."""
    array = tmp_path / ARRAY
    array.parent.mkdir(parents=True)
    array.write_bytes(b"made again")
    assert dict(checksums(tmp_path, "demo")) == {ARRAY: ""}
    write_json(array.with_name("card.json"), {"sha256": "of the card"})
    assert dict(checksums(tmp_path, "demo")) == {ARRAY: "of the card"}
    own = hashlib.sha256(b"made again").hexdigest()
    write_json(array.with_name("array.json"), {"sha256": own, "card_sha256": "of the card"})
    assert dict(checksums(tmp_path, "demo")) == {ARRAY: own}
    write_json(array.with_name("array.json"), {"sha256": own, "card_sha256": "of an earlier card"})
    assert dict(checksums(tmp_path, "demo")) == {ARRAY: "of the card"}
