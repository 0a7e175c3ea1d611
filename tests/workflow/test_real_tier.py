"""The tier real, tiny, on real recordings: `make real` with TIER=real-smoke, as a reader types it."""

from __future__ import annotations

import json

import pytest
from grid_corpus import real_grid
from workspace import Done, Workspace, borrow_environment, copy_working_tree

from avbalance.plan.plan import load_plan

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("real-tier")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Done]:
    grid = real_grid()
    workspace = Workspace(tmp_path_factory.mktemp("real-tier") / "checkout")
    workspace.root.mkdir()
    copy_working_tree(workspace.root)
    borrow_environment(workspace.root)
    return workspace, workspace.run(f'make real GRID="{grid}" TIER=real-smoke')


def test_every_table_figure_and_claim_of_the_four_papers_is_made_of_recordings(made: tuple[Workspace, Done]) -> None:
    workspace, done = made
    assert done.status == 0, done.output[-3000:]
    plan = load_plan(workspace.root, {"tier": "real-smoke"})
    assert len(plan.papers) == 4
    for slug in plan.papers:
        for path in plan.report_files(slug):
            assert (workspace.root / path).stat().st_size > 0, path
        folder = workspace.root / plan.paper_folder(slug)
        for page in folder.glob("*.md"):
            text = page.read_text(encoding="utf-8")
            assert "synthetic" not in text, page
            data = [line for line in text.splitlines() if line.startswith("Data: ")]
            assert all("(GRID talker 1)" in line or "not made in this tier" in line for line in data), page
    table = (workspace.root / plan.paper_folder("balanced-audiovisual") / "table2.md").read_text(encoding="utf-8")
    assert "mouths under blocky noise, in the place of Balanced (grid-colours-smoke)" in table
    assert workspace.plan("--config tier=real-smoke").idle


def test_trainings_hold_less_than_a_gigabyte(made: tuple[Workspace, Done]) -> None:
    records = list((made[0].root / "results/real-smoke/runs").rglob("record.json"))
    peaks = [json.loads(path.read_text()).get("peak_memory_mb") or 0 for path in records]
    assert len(records) > 60 and 100 < max(peaks) < 1000


def test_a_folder_that_is_none_is_named_and_nothing_is_linked(made: tuple[Workspace, Done]) -> None:
    workspace = made[0]
    link = workspace.root / "downloads/grid"
    before = link.readlink()
    done = workspace.run("make real GRID=nowhere TIER=real-smoke || true")
    assert "error: GRID=nowhere is no folder" in done.output and link.readlink() == before
    assert workspace.run("make real GRID=downloads/grid TIER=real-smoke").status == 0
    assert link.readlink() == before.resolve()  # and does not lead to itself
    link.unlink()
    link.mkdir()
    done = workspace.run("make real GRID=/tmp TIER=real-smoke || true")
    assert "error: downloads/grid is a folder of its own" in done.output and not any(link.iterdir())
    link.rmdir()
    link.symlink_to(before)
