"""Files that no job makes any more."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from small import ARRAY, ARRAY_BYTES, FILES, LEDGER, TABLE, Clone

from flowkeeper import commands
from flowkeeper.clean import remove_stale, stale_files
from flowkeeper.errors import UserError

STALE = {
    "results/demo/runs/greedy/seed7/history.csv": 12,
    "results/demo/runs/greedy/seed7/model.safetensors": 1000,
    "results/demo/papers/.table1.md.x.partial": 3,
    "results/demo/notes.txt": 5,
}
OTHERS = ["results/other/table.csv", "data/clips/media/0.mp4", "data/elsewhere/manifest.parquet", "results/readme.txt"]


@pytest.fixture
def crowded(maker: Clone, monkeypatch: pytest.MonkeyPatch) -> Clone:
    """A finished set with its ledger and arrays, files of dropped jobs, and things that are none of its business."""
    (maker.root / ARRAY).write_bytes(ARRAY_BYTES)
    for path, size in {**STALE, **dict.fromkeys(OTHERS, 1)}.items():
        maker.write(path, b"x" * size, 1.0)
    monkeypatch.chdir(maker.root)
    return maker


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_files_that_no_job_makes_are_removed_with_the_folders_that_are_empty_then(crowded: Clone) -> None:
    assert stale_files(crowded.results, crowded.plan) == STALE
    before = everything(crowded.root)
    remove_stale(crowded.results, crowded.plan)
    assert everything(crowded.root) == before - set(STALE)
    assert set(FILES) | {LEDGER, *OTHERS} <= everything(crowded.root)
    assert not (crowded.root / "results/demo/runs/greedy/seed7").exists()


def test_nothing_is_removed_while_snakemake_runs(crowded: Clone) -> None:
    crowded.pretend_at_work()
    before = everything(crowded.root)
    with pytest.raises(UserError, match="a snakemake is at work"):
        remove_stale(crowded.results, crowded.plan)
    assert everything(crowded.root) == before


def test_links_are_removed_and_not_what_they_lead_to(crowded: Clone) -> None:
    (crowded.root / "results/demo/link").symlink_to(crowded.root / OTHERS[1])
    (crowded.root / "results/demo/folder").symlink_to(crowded.root / "data")
    remove_stale(crowded.results, crowded.plan)
    assert not (crowded.root / "results/demo/link").is_symlink()
    assert not (crowded.root / "results/demo/folder").is_symlink()
    assert set(OTHERS) <= everything(crowded.root)


def test_the_command_lists_before_it_removes(crowded: Clone, capsys: pytest.CaptureFixture[str]) -> None:
    def clean(stale: bool, dry_run: bool) -> str:
        given = argparse.Namespace(workflow=crowded.workflow, configfile=[], config=[], stale=stale, dry_run=dry_run)
        commands._clean(given)
        return capsys.readouterr().out

    with pytest.raises(UserError, match="`keep clean --stale` removes"):
        clean(stale=False, dry_run=False)
    said = clean(stale=True, dry_run=True)
    assert said.endswith("4 files of 1,020 bytes that no job of results/demo makes: would be removed.\n")
    assert "       1,000  results/demo/runs/greedy/seed7/model.safetensors\n" in said
    assert set(STALE) <= everything(crowded.root)
    assert clean(stale=True, dry_run=False).endswith("makes: removed.\n")
    assert (crowded.root / TABLE).is_file() and not set(STALE) & everything(crowded.root)
