from __future__ import annotations

from pathlib import Path

import pytest
from people_at_work import LEDGER, SmallPlan, write_array
from published_set import FILES, TABLE, make_everything

from avbalance import cli
from avbalance.errors import UserError
from avbalance.sharing.clean import remove_stale, stale_files

STALE = {
    "results/demo/runs/greedy/seed7/history.csv": 12,
    "results/demo/runs/greedy/seed7/model.safetensors": 1000,
    "results/demo/papers/.table1.md.x.partial": 3,
    "results/demo/notes.txt": 5,
}
OTHERS = ["results/other/table.csv", "data/clips/media/0.mp4", "data/elsewhere/manifest.parquet", "results/readme.txt"]


@pytest.fixture
def crowded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished set with its ledger and arrays, files of dropped jobs, and things that are none of its business."""
    checkout = make_everything(tmp_path)
    checkout.publish()
    write_array(checkout)
    for path, size in {**STALE, **dict.fromkeys(OTHERS, 1)}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"x" * size)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("avbalance.plan.commandline.load_plan_for", lambda root, files, pairs: SmallPlan())
    return tmp_path


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_files_that_no_job_makes_are_found_with_their_sizes(crowded):
    assert {file.path: file.size for file in stale_files(crowded, SmallPlan())} == STALE


def test_they_are_removed_with_the_folders_that_are_empty_then(crowded):
    before = everything(crowded)
    remove_stale(crowded, SmallPlan())
    assert everything(crowded) == before - set(STALE)
    assert set(FILES) | {LEDGER, *OTHERS} <= everything(crowded)
    assert not (crowded / "results/demo/runs/greedy/seed7").exists()
    assert stale_files(crowded, SmallPlan()) == []


def test_a_set_of_which_nothing_is_planned_goes_as_a_whole(crowded):
    (crowded / LEDGER).unlink()
    nothing = SmallPlan(files=())
    remove_stale(crowded, nothing)
    assert everything(crowded / "results/demo") == {"features/clips/features.npy"}, "bulk is known"
    assert (crowded / "results/other/table.csv").is_file()


def test_nothing_is_removed_while_snakemake_runs(crowded):
    (crowded / ".snakemake/locks").mkdir()
    (crowded / ".snakemake/locks/0.output.lock").touch()
    before = everything(crowded)
    with pytest.raises(UserError, match="a snakemake is at work"):
        remove_stale(crowded, SmallPlan())
    assert everything(crowded) == before


def test_links_are_removed_and_not_what_they_lead_to(crowded):
    (crowded / "results/demo/link").symlink_to(crowded / OTHERS[1])
    (crowded / "results/demo/folder").symlink_to(crowded / "data")
    remove_stale(crowded, SmallPlan())
    assert not (crowded / "results/demo/link").is_symlink() and not (crowded / "results/demo/folder").is_symlink()
    assert set(OTHERS) <= everything(crowded)


def test_the_command_lists_before_it_removes(crowded, capsys):
    assert cli.main(["clean", "--stale", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert said.endswith("4 files of 1,020 bytes that no job of results/demo makes: would be removed.\n")
    assert "       1,000  results/demo/runs/greedy/seed7/model.safetensors\n" in said
    assert set(STALE) <= everything(crowded)
    assert cli.main(["clean", "--stale"]) == 0
    assert capsys.readouterr().out.endswith("makes: removed.\n")
    assert (crowded / TABLE).is_file() and not set(STALE) & everything(crowded)


def test_without_stale_it_says_what_it_can_do(crowded, capsys):
    before = everything(crowded)
    assert cli.main(["clean"]) == 2
    assert "`avbalance clean --stale` removes" in capsys.readouterr().err
    assert everything(crowded) == before
