"""The run sheet: rows, the order of overrides, cells, and the files that jobs leave."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from avbalance.errors import UserError
from avbalance.plan.sheet import Cell, Job, Row, combinations, families, outputs, rows_of_paper


def sourced(value: Any) -> dict[str, Any]:
    return {"value": value, "source": "paper"}


def paper(**runs: dict[str, Any]) -> dict[str, Any]:
    base = {"one": {"label": "One", "method": "baseline"}}
    return {
        "slug": "paper",
        "datasets": {"first": {"label": "First"}, "second": {"label": "Second"}},
        "settings": {"protocol": {"epochs": sourced(100), "rate": sourced(0.1), "momentum": sourced(0.9)}},
        "runs": {**base, **runs},
    }


def config(**chosen: Any) -> dict[str, Any]:
    datasets = {"first": "set-a", "second": "set-b"}
    return {"seeds": [0, 1], "papers": {"paper": {"datasets": datasets, **chosen}}}


def by_name(rows: list[Row]) -> dict[tuple[str, str], Row]:
    return {(row.dataset, row.run): row for row in rows}


def test_one_row_per_run_and_data_set() -> None:
    rows = rows_of_paper(config(), paper(two={"label": "Two", "method": "greedy"}))
    assert [(row.role, row.dataset, row.run, row.method, row.label) for row in rows] == [
        ("first", "set-a", "one", "baseline", "One"), ("first", "set-a", "two", "greedy", "Two"),
        ("second", "set-b", "one", "baseline", "One"), ("second", "set-b", "two", "greedy", "Two"),
    ]  # fmt: skip
    assert rows[0].settings == {"protocol": {"epochs": 100, "rate": 0.1, "momentum": 0.9}}
    assert rows[0].seeds == (0, 1)


def test_later_layers_win_paper_run_tier_and_the_tiers_run() -> None:
    run = {"label": "One", "method": "baseline", "settings": {"protocol": {"rate": sourced(0.2), "epochs": 90}}}
    chosen = {"settings": {"protocol": {"epochs": 10}}, "runs": {"one": {"settings": {"protocol": {"epochs": 5}}}}}
    deepest = {"settings": {"protocol": {"epochs": 2}}}
    steps: list[tuple[dict[str, Any], int]] = [
        ({}, 90), ({"settings": chosen["settings"]}, 10), (chosen, 5),
        ({**chosen, "runs": {"one": {**chosen["runs"]["one"], "roles": {"first": deepest}}}}, 2),
    ]  # fmt: skip
    for own, epochs in steps:
        row = rows_of_paper(config(**own), paper(one=run))[0]
        assert row.settings["protocol"] == {"epochs": epochs, "rate": 0.2, "momentum": 0.9}


def test_roles_change_a_run_on_one_data_set_only() -> None:
    run = {
        "label": "One", "method": "ogm-ge", "choose": {"option": "alpha", "candidates": {"a": 1}},
        "settings": {"method": {"alpha": sourced(0.3)}},
        "roles": {"second": {"choose": None, "settings": {"method": {"alpha": sourced(0.1)}}}},
    }  # fmt: skip
    rows = by_name(rows_of_paper(config(), paper(one=run)))
    first, second = rows["set-a", "one"], rows["set-b", "one"]
    assert first.settings["method"] == {"alpha": 0.3} and first.choose == {"option": "alpha", "candidates": {"a": 1}}
    assert second.settings["method"] == {"alpha": 0.1} and second.choose is None
    off = rows_of_paper(config(runs={"one": {"choose": None}}), paper(one=run))
    assert off[0].choose is None


def test_skip_only_and_seeds() -> None:
    declared = paper(two={"label": "Two", "method": "greedy", "only": ["first"], "seeds": [7]})
    rows = by_name(rows_of_paper(config(), declared))
    assert set(rows) == {("set-a", "one"), ("set-b", "one"), ("set-a", "two")}
    assert rows["set-a", "two"].seeds == (7,)
    tier = {"one": {"skip": True}, "two": {"only": ["second"], "seeds": [0]}}
    rows = by_name(rows_of_paper(config(runs=tier), declared))
    assert set(rows) == {("set-b", "two")}
    assert rows["set-b", "two"].seeds == (0,)


def test_a_data_set_set_to_null_is_left_out() -> None:
    rows = rows_of_paper(config(datasets={"first": "set-a", "second": None}), paper())
    assert [row.dataset for row in rows] == ["set-a"]


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"datasets": {"third": "x"}}, r"papers.paper.datasets: no 'third' in the paper; it has first, second"),
        ({"runs": {"noe": {}}}, r"papers.paper.runs: no 'noe' in the paper; it has one"),
    ],
)
def test_names_that_the_paper_lacks_are_refused(own: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        rows_of_paper(config(**own), paper())


def test_robustness_rows_repeat_a_few_runs_on_further_data() -> None:
    robustness = {"datasets": {"second": ["set-b1", "set-b2"]}, "runs": ["one"], "seeds": [0]}
    rows = rows_of_paper(config(robustness=robustness), paper(two={"label": "Two", "method": "greedy"}))
    extra = [row for row in rows if row.robustness]
    assert [(row.dataset, row.run, row.role, row.seeds) for row in extra] == [
        ("set-b1", "one", "second", (0,)), ("set-b2", "one", "second", (0,)),
    ]  # fmt: skip
    assert len(rows) == 6 and extra[0].settings == rows[2].settings
    assert rows_of_paper(config(robustness=None), paper()) == rows_of_paper(config(), paper())


WAITING = {
    "ogm-ge": {"label": "O", "method": "ogm-ge", "choose": {"option": "alpha", "candidates": {"ogm-a": 1, "ogm-b": 2}}},
    "ogm-a": {"label": "A", "method": "ogm-ge", "seeds": [0]},
    "ogm-b": {"label": "B", "method": "ogm-ge", "seeds": [0]},
    "offline": {"label": "W", "method": "gradient-blending", "needs": {"weights": {"run": "stage", "file": "w.json"}}},
    "stage": {"label": "S", "method": "gradient-blending-weights", "artifacts": ["w.json"], "reports": False},
    "late": {"label": "L", "method": "late-ensemble", "combine": {"audio": "one", "visual": "one"}},
}


def cells(rows: list[Row], seeds_per_job: int | str) -> list[Cell]:
    return [cell for family in families(rows, seeds_per_job) for cell in family.cells]


def names(found: list[Any]) -> dict[str, list[tuple[str, int]]]:
    return {cell.name: [(job.row.run, job.seed) for job in cell.jobs] for cell in found}


def test_a_cell_is_all_runs_and_seeds_of_a_method_and_model_and_runs_that_wait_have_their_own() -> None:
    rows = rows_of_paper(config(datasets={"first": "set-a"}), paper(**WAITING))
    found = cells(rows, "all")
    groups = sorted(names(found).values())
    # the run ogm-ge bears its method's name and must not share a cell with the candidates that it waits for
    assert groups == sorted(
        [
            [("one", 0), ("one", 1)], [("ogm-ge", 0), ("ogm-ge", 1)], [("ogm-a", 0), ("ogm-b", 0)],
            [("offline", 0), ("offline", 1)], [("stage", 0), ("stage", 1)],
        ]
    )  # fmt: skip
    assert len({cell.id for cell in found}) == 5
    assert all(cell.id == f"paper/set-a/{cell.name}" for cell in found)
    assert names(combinations(rows)) == {"late-ensemble": [("late", 0), ("late", 1)]}


def test_runs_of_another_model_have_a_cell_of_their_own_and_those_that_wait_for_the_same_share_one() -> None:
    def run(model: str, **more: object) -> dict[str, object]:
        return {"label": "x", "method": "baseline", "settings": {"model": {"name": model}}, **more}

    needs = {"needs": {"ratios": {"run": "first", "file": "model.safetensors"}}}
    declared = {"first": run("a"), "second": run("b"), "third": run("a", **needs), "fourth": run("a", **needs)}
    rows = [row for row in rows_of_paper(config(datasets={"first": "set-a"}), paper(**declared)) if row.run in declared]
    found = names(cells(rows, "all"))
    assert {name: {run for run, _ in jobs} for name, jobs in found.items()} == {
        "baseline-a": {"first"}, "baseline-b": {"second"}, "baseline-a-after-first": {"third", "fourth"},
    }  # fmt: skip


def test_with_one_seed_per_job_every_seed_is_a_cell() -> None:
    rows = rows_of_paper(config(), paper(two={"label": "Two", "method": "baseline"}))
    found = cells(rows, 1)
    assert all(len(cell.jobs) == 1 for cell in found)
    for family in families(rows, 1):  # one rule for all seeds of a run: its paths are those of the cells
        assert len(family.cells) == 2
        for cell in family.cells:
            seed = cell.jobs[0].seed
            assert family.cell(SimpleNamespace(seed=str(seed))) == cell
            assert family.pattern.id.format(seed=seed) == cell.id
            assert [path.format(seed=seed) for path in outputs(family.pattern.jobs[0])] == outputs(cell.jobs[0])
            assert re.fullmatch(family.seeds, str(seed)) and not re.fullmatch(family.seeds, "9")
    assert len(found) == len({cell.id for cell in found}) == 8
    assert names(cells(rows_of_paper({**config(), "seeds": [0, 3, 5]}, paper())[:1], 2)) == {
        "one-seeds0": [("one", 0), ("one", 3)], "one-seeds1": [("one", 5)],
    }  # fmt: skip


def test_inputs_of_waiting_jobs_are_files_of_other_runs() -> None:
    rows = by_name(rows_of_paper(config(datasets={"first": "set-a"}), paper(**WAITING)))
    assert Job(rows["set-a", "offline"], 1).inputs() == {"weights": "paper/set-a/stage/seed1/w.json"}
    # alpha is chosen once, by the first seed
    assert Job(rows["set-a", "ogm-ge"], 1).inputs() == {
        "candidate ogm-a": "paper/set-a/ogm-a/seed0/history.csv",
        "candidate ogm-b": "paper/set-a/ogm-b/seed0/history.csv",
    }  # fmt: skip
    assert Job(rows["set-a", "one"], 0).inputs() == {}


def test_outputs_of_each_kind_of_run() -> None:
    recording = {"label": "R", "method": "unimodal", "settings": {"protocol": {"record_confidence": sourced(True)}}}
    rows = by_name(rows_of_paper(config(datasets={"first": "set-a"}), paper(**WAITING, recording=recording)))

    def files(run: str) -> set[str]:
        paths = outputs(Job(rows["set-a", run], 0))
        assert all(path.startswith(f"paper/set-a/{run}/seed0/") for path in paths)
        return {path.rsplit("/", 1)[1] for path in paths}

    trained = {"predictions.parquet", "history.csv", "record.json", "model.safetensors"}
    assert files("one") == trained
    assert files("recording") == trained | {"confidence.npz"}
    assert files("late") == {"predictions.parquet", "record.json"}
    assert files("stage") == {"record.json", "w.json"}


def test_a_data_set_can_have_one_cell_for_each_stage_of_all_its_methods() -> None:
    declared = paper(
        two={"label": "Two", "method": "greedy"},
        three={"label": "Three", "method": "gradient-blending", "needs": {"w": {"run": "two", "file": "weights.json"}}},
        four={"label": "Four", "method": "greedy", "needs": {"w": {"run": "three", "file": "weights.json"}}},
        five={"label": "Five", "method": "late-ensemble", "combine": {"audio": "one", "visual": "two"}},
    )
    rows = rows_of_paper(config(cells="dataset"), declared)
    cells = {
        f"{cell.row.dataset} {cell.name}": sorted({job.row.run for job in cell.jobs})
        for family in families(rows, "all")
        for cell in family.cells
    }
    expected = {"stage1": ["one", "two"], "stage2": ["three"], "stage3": ["four"]}
    assert cells == {f"{data} {stage}": runs for data in ("set-a", "set-b") for stage, runs in expected.items()}
    assert [cell.name for cell in combinations(rows)] == ["late-ensemble", "late-ensemble"]
    apart = [cell.name for family in families(rows_of_paper(config(), declared), "all") for cell in family.cells]
    assert len(apart) == 8 and "stage1" not in apart


def test_runs_of_few_seeds_are_left_out_unless_others_read_them() -> None:
    declared = {
        "few": {"label": "F", "method": "greedy", "seeds": [0]},
        "late": {"label": "L", "method": "late-ensemble", "combine": {"audio": "one", "visual": "read"}},
        "read": {"label": "R", "method": "baseline", "seeds": [0], "needs": {"w": {"run": "deep", "file": "w.json"}}},
        "deep": {"label": "D", "method": "baseline", "seeds": [0]},
    }
    wanted = {
        "datasets": {"first": "set-a"},
        "robustness": {"datasets": {"first": ["b"]}, "runs": ["one"], "seeds": [0]},
    }
    found = {
        least: sorted(
            (row.dataset, row.run) for row in rows_of_paper({**config(**wanted), **least_seeds}, paper(**declared))
        )
        for least, least_seeds in ((1, {}), (2, {"least_seeds": 2}), (3, {"least_seeds": 3}))
    }
    own = [("set-a", run) for run in ("deep", "few", "late", "one", "read")]
    assert found == {1: [("b", "one"), *own], 2: [each for each in own if each[1] != "few"], 3: []}
