"""Runs with seeds, the cells in which they are trained, and the files that they read and leave."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from avbalance.plan.cells import RunCell, SeededRun, combinations, training_rules
from avbalance.plan.sheet import Row


def row(run: str, method: str = "baseline", dataset: str = "set", model: str = "net", **more: Any) -> Row:
    settings = {"model": {"name": model}, **more.pop("settings", {})}
    seeds = more.pop("seeds", (0, 1))
    return Row("paper", "role", dataset, run, run.title(), method, settings, seeds, **more)


def needs(run: str, file: str = "w.json") -> dict[str, dict[str, str]]:
    return {"weights": {"run": run, "file": file}}


WAITING = (
    row("one"),
    row(
        "ogm-ge",
        "ogm-ge",
        choose={"option": "alpha", "candidates": {"ogm-a": 1, "ogm-b": 2}, "seeds": {"ogm-a": 0, "ogm-b": 100}},
    ),
    row("ogm-a", "ogm-ge", seeds=(0,)),
    row("ogm-b", "ogm-ge", seeds=(0,)),
    row("offline", "gradient-blending", needs=needs("stage")),
    row("stage", "gradient-blending-weights", artifacts=("w.json",), reports=False),
    row("late", "late-ensemble", combine={"audio": "one", "visual": "one"}),
)
ROWS = {each.run: each for each in WAITING}


def cells(rows: Any, seeds_per_job: int | str = "all") -> list[RunCell]:
    return [cell for rule in training_rules(rows, seeds_per_job) for cell in rule.each()]


def names(cells: list[RunCell]) -> dict[str, list[tuple[str, Any]]]:
    return {cell.name: [(job.row.run, job.seed) for job in cell.jobs] for cell in cells}


def test_a_cell_is_all_runs_and_seeds_of_a_method_and_runs_that_wait_have_their_own() -> None:
    # the run ogm-ge bears its method's name and must not share a cell with the candidates that it waits for
    made = cells(WAITING)
    assert names(made) == {
        "baseline": [("one", 0), ("one", 1)], "ogm-ge": [("ogm-a", 0), ("ogm-b", 0)],
        "ogm-ge-after-ogm-a-ogm-b": [("ogm-ge", 0), ("ogm-ge", 1)],
        "gradient-blending-after-stage": [("offline", 0), ("offline", 1)],
        "gradient-blending-weights": [("stage", 0), ("stage", 1)],
    }  # fmt: skip
    assert all(cell.id == f"paper/set/{cell.name}" for cell in made)
    assert names(combinations(WAITING)) == {"late-ensemble": [("late", 0), ("late", 1)]}
    assert names(cells(reversed(WAITING))) == names(made)  # the order of a file does not matter


def test_runs_of_another_model_have_a_cell_of_their_own_and_those_that_wait_for_the_same_share_one() -> None:
    waiting = [row(run, model="a", needs=needs("first")) for run in ("third", "fourth")]
    made = names(cells([row("first", model="a"), row("second", model="b"), *waiting]))
    assert {name: {run for run, _ in jobs} for name, jobs in made.items()} == {
        "baseline-a": {"first"}, "baseline-b": {"second"}, "baseline-a-after-first": {"third", "fourth"},
    }  # fmt: skip


def test_a_data_set_can_have_one_cell_of_all_its_methods_in_which_none_comes_before_what_it_needs() -> None:
    rows = [
        row(run, method, dataset, joined=True, **more)
        for dataset in ("a", "b")
        for run, method, more in (
            ("a-last", "greedy", {"needs": needs("three")}), ("one", "baseline", {}), ("two", "greedy", {}),
            ("three", "gradient-blending", {"needs": needs("two")}),
            ("five", "late-ensemble", {"combine": {"audio": "one"}}),
        )
    ]  # fmt: skip
    made = {cell.id: [job.row.run for job in cell.jobs if job.seed == 0] for cell in cells(rows)}
    assert made == {f"paper/{dataset}/methods": ["one", "two", "three", "a-last"] for dataset in ("a", "b")}
    assert [cell.id for cell in combinations(rows)] == ["paper/a/late-ensemble", "paper/b/late-ensemble"]


def test_stages_of_runs_that_see_several_kinds_of_pictures_do_not_wait_for_each_other() -> None:
    see = {name: {"settings": {"model": {"name": "net"}, "data": {"visual_recipe": name}}} for name in ("x", "y")}
    rows = [
        row("one", joined=True, **see["x"]), row("two", joined=True, **see["y"], needs=needs("one")),
        row("three", joined=True, **see["x"], needs=needs("two")),
    ]  # fmt: skip
    assert [cell.name for cell in cells(rows)] == ["stage1-x", "stage2-y", "stage3-x"]


def test_runs_that_see_other_pictures_have_a_cell_of_their_own() -> None:
    see = {name: {"settings": {"model": {"name": "net"}, "data": {"visual_recipe": name}}} for name in ("x", "y")}
    for joined, first, alone in ((False, "baseline", "baseline"), (True, "stage1", "methods")):
        rows = [row("one", joined=joined, **see["x"]), row("two", joined=joined, **see["y"])]
        both = [*rows, row("three", joined=joined, **see["x"])]
        assert {cell.name: {job.row.run for job in cell.jobs} for cell in cells(both)} == {
            f"{first}-x": {"one", "three"}, f"{first}-y": {"two"},
        }  # fmt: skip
        assert [cell.name for cell in cells(rows[:1])] == [alone]


def test_with_one_seed_per_job_every_seed_is_a_cell_of_one_rule() -> None:
    rows = [row(run, dataset=dataset) for dataset in ("a", "b") for run in ("one", "two")]
    rules = training_rules(rows, 1)
    assert [rule.rule for rule in rules] == [
        f"train_paper_{dataset}_{run}" for run in ("one", "two") for dataset in "ab"
    ]
    assert len({cell.id for rule in rules for cell in rule.each()}) == 8
    for rule in rules:
        for seed, cell in enumerate(rule.each()):
            assert (
                rule.of(SimpleNamespace(seed=str(seed))) == cell == cell.of(None)
                and rule.id.format(seed=seed) == cell.id
            )
            assert [path.format(seed=seed) for path in rule.jobs[0].outputs()] == cell.jobs[0].outputs()
    assert names(cells([row("one", seeds=(0, 3, 5))], 2)) == {
        "one-seeds0": [("one", 0), ("one", 3)], "one-seeds1": [("one", 5)],
    }  # fmt: skip


def test_inputs_of_waiting_jobs_are_files_of_other_runs() -> None:
    assert SeededRun(ROWS["offline"], 1).inputs() == {"weights": "paper/set/stage/seed1/w.json"}
    assert SeededRun(ROWS["ogm-ge"], 1).inputs() == {  # alpha is chosen once, whatever the seed
        "candidate ogm-a": "paper/set/ogm-a/seed0/history.csv",
        "candidate ogm-b": "paper/set/ogm-b/seed100/history.csv",
    }
    assert SeededRun(ROWS["one"], 0).inputs() == {}


def test_outputs_of_each_kind_of_run() -> None:
    def files(run: Row) -> set[str]:
        paths = SeededRun(run, 0).outputs()
        assert all(path.startswith(f"paper/set/{run.run}/seed0/") for path in paths)
        return {path.rsplit("/", 1)[1] for path in paths}

    trained = {"predictions.parquet", "history.csv", "record.json", "model.safetensors"}
    assert files(ROWS["one"]) == trained
    assert files(row("recording", settings={"protocol": {"record_confidence": True}})) == trained | {"confidence.npz"}
    assert files(ROWS["late"]) == {"predictions.parquet", "record.json"}
    assert files(ROWS["stage"]) == {"record.json", "w.json"}
