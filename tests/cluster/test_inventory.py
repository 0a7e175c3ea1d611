"""The table of what is at hand, what is missing and what it costs, on partly filled folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from avbalance.cluster.estimate import Estimate, lines
from avbalance.cluster.inventory import asks_for_dry_run, table, take_inventory, told_in_dry_run
from avbalance.plan.plan import Plan, load_plan

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Two data sets, of which one is there in part and one not at all, and a generated one."""
    monkeypatch.chdir(tmp_path)
    rows = [
        f"-_{number:09d},{number},sound {number % 309},{'test' if number % 5 else 'train'}\n" for number in range(618)
    ]
    media = Path("downloads/vggsound/media")
    media.mkdir(parents=True)
    Path("downloads/vggsound/vggsound.csv").write_text("".join(rows))
    for number in range(7):
        (media / f"-_{number:09d}_{number}.mp4").write_bytes(b"x" * 30_000_000 if number == 0 else b"x")
    roles = {"kinetics-sounds": "kinetics-sounds", "vggsound": "vggsound", "balanced": "synthetic-flat"}
    papers = {"balanced-audiovisual": {"datasets": roles}}
    return load_plan(REPOSITORY, {"tier": "paper", "name": "counted", "papers": papers, "seeds": [0]})


def test_every_data_set_has_a_line(plan: Plan) -> None:
    inventory, estimate = take_inventory(plan), Estimate(plan)
    shown = {line.split()[0]: line.split()[1:] for line in table(inventory, estimate)}
    hours, store = f"{estimate.feature_hours('vggsound'):,.0f}", f"{estimate.store_gb('vggsound'):,.0f}"
    trained = sum(estimate.run_hours(job) for cell in plan.cells for job in cell.jobs if job.row.dataset == "vggsound")
    assert shown["vggsound"] == ["yes", "7", "of", "618", "0.03", hours, store, f"{trained:,.0f}"]
    assert shown["kinetics-sounds"][:5] == ["no", "?", "of", "18,716", "?"]  # as published: no list is there to count
    assert shown["synthetic-flat"] == ["-", "made", "here", "-", "?", "?", "?"]
    assert all(len(line) == 99 for line in table(inventory, estimate))
    kinetics, vggsound = inventory.gaps
    assert kinetics.startswith("kinetics-sounds: downloads/kinetics-sounds/lists/my_train.txt: no such file; take ")
    assert vggsound.startswith(
        "vggsound: downloads/vggsound/media: 611 of 618 clips are missing, the first -_000000007_"
    )


def test_a_dry_run_notes_what_the_preflight_does_not_say(plan: Plan) -> None:
    told = told_in_dry_run(plan)
    assert [line.split(": ")[:2] for line in told if line.startswith("note: ")] == [["note", "vggsound"]]
    assert told[:5] == list(table(take_inventory(plan), Estimate(plan)))
    assert [sentence.split(": ")[0] for sentence in plan.preflight()] == ["kinetics-sounds"]
    assert told_in_dry_run(load_plan(REPOSITORY, {"tier": "smoke"})) == []


def _balanced(**tier: object) -> Plan:
    roles = {"kinetics-sounds": None, "vggsound": None}
    return load_plan(REPOSITORY, {"tier": "paper", "papers": {"balanced-audiovisual": {"datasets": roles}}, **tier})


def test_without_the_authors_list_the_balanced_set_is_built_from_public_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("workflow").symlink_to(REPOSITORY / "workflow")  # the table of categories
    plan = _balanced()
    assert set(plan.datasets) == {"balanced-built", "kinetics-30", "vggsound-30", "vggsound"}
    (sentence,) = plan.chosen
    assert sentence == (
        "balanced-audiovisual, balanced: balanced-built is taken, since balanced lacks "
        "downloads/balanced/annotation.json."
    )
    told = told_in_dry_run(plan)
    assert f"note: {sentence}" in told
    # 60,770 clips of the pool for the models that judge them, once more for each of two scorers, VGG-Sound for one
    clips = 3 * (32_800 + 27_970) + 151_756 + 30_816
    cost = Estimate(plan).building("balanced-built")
    assert (cost.clips, cost.estimators) == (clips, 2 * 4 * 5)
    core_s = 0.65 * 2 * 4 * 60_770 * 100 * (4 + 0.33)
    assert cost.gpu_hours == pytest.approx(core_s / 100 / 3600)
    (built,) = [line for line in told if line.startswith("note: balanced-built: building it decodes 364,882 clips")]
    assert built.endswith(f"trains 40 models that judge clips ({cost.gpu_hours:,.0f} GPU-hours at most).")
    assert {sentence.split(": ")[0] for sentence in plan.preflight()} == {"kinetics-30", "vggsound-30", "vggsound"}


def test_the_authors_list_comes_before_a_set_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("downloads/balanced").mkdir(parents=True)
    Path("downloads/balanced/annotation.json").write_text("{}")
    plan = _balanced()
    assert set(plan.datasets) == {"balanced"} and plan.chosen == []


def test_the_estimate_says_what_is_missing_and_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = load_plan(REPOSITORY, {"tier": "paper"})
    said = lines(plan)
    fetched = [name for name in plan.datasets if name != "balanced-built"]
    missing = said[said.index("Missing:") + 1 :][: len(fetched)]
    assert [line.split(": ")[0].strip() for line in missing] == fetched
    assert all("no such file; " in line for line in missing)
    rows = {line.split()[0]: line for line in said if line.split() and line.split()[0] in fetched}
    assert all("  no  " in line and "? of" in line for line in rows.values()) and len(rows) == 10


@pytest.mark.parametrize(
    ("typed", "dry"),
    [
        ("-n", True),
        ("-np --config tier=paper", True),
        ("--dry-run", True),
        ("--dryrun", True),
        ("--config tier=paper name=-n.x", False),
        ("--cores 2", False),
        ("-p", False),
        ("--notemp", False),
    ],
)
def test_a_dry_run_is_told_from_its_command_line(typed: str, dry: bool) -> None:
    assert asks_for_dry_run(typed.split()) == dry
