"""Configuration: tiers, overlays, papers, and sentences for what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from avbalance.errors import UserError
from avbalance.plan.config import load_config, load_dataset, load_paper, load_yaml
from avbalance.plan.plan import load_plan

REPOSITORY = Path(__file__).parents[2]
SLUG = "balanced-audiovisual"


def test_a_tier_stands_on_its_base() -> None:
    demo, smoke = load_config(REPOSITORY, {}), load_config(REPOSITORY, {"tier": "smoke"})
    assert (demo["tier"], demo["name"], smoke["tier"], smoke["name"]) == ("demo", "demo", "smoke", "smoke")
    assert smoke["seeds"] == [0] and demo["seeds"] == [0, 1, 2, 3, 4] and "base" not in smoke
    runs = [tier["papers"][SLUG]["runs"] for tier in (demo, smoke)]
    assert [each["branch-losses"]["only"] for each in runs] == [["balanced"]] * 2
    assert [each["gradient-blending-offline"]["skip"] for each in runs] == [True, False]  # smoke makes it again


def test_how_long_a_run_takes_is_said_of_what_was_written_beside_it_alone() -> None:
    def takes(**overrides: Any) -> str | None:
        told: str | None = load_config(REPOSITORY, overrides)["takes"]
        return told

    demo = takes()
    assert demo == takes(tier="demo", name="mine") and "minutes on two idle cores" in str(demo)
    assert takes(tier="stability") is None and takes(tier="smoke") not in (None, demo)
    changed = {"papers": {SLUG: {"settings": {"protocol": {"epochs": 500}}}}}
    assert takes(**changed) is None and takes(**changed, takes="a day") == "a day"


def test_the_rows_of_the_stability_tier_are_the_demos_of_several_seeds() -> None:
    demo, stability = (load_plan(REPOSITORY, {"tier": tier}).rows for tier in ("demo", "stability"))
    for slug, rows in stability.items():
        several = [row for row in demo[slug] if len(row.seeds) > 1]
        assert several and all(row in rows for row in several)
        assert all(row in demo[slug] for row in rows)  # the same settings: the native half is taken over
        assert all(len(row.seeds) > 1 or any(row.run in other.reads() for other in rows) for row in rows)


def test_a_tier_that_stands_on_two_lays_the_second_over_the_first() -> None:
    both, real = (load_config(REPOSITORY, {"tier": tier}) for tier in ("real-smoke", "real"))
    paper = both["papers"][SLUG]
    assert both["seeds"] == paper["runs"]["audio-half-a"]["seeds"] == [0]  # of smoke, not of real or the demo again
    assert paper["settings"]["protocol"]["epochs"] == 3
    assert paper["settings"]["data"] == real["papers"][SLUG]["settings"]["data"]
    assert paper["settings"]["model"]["encoder"] == "resnet18"


def test_every_role_is_played_by_recordings_and_no_run_of_the_demo_is_missing() -> None:
    demo, real = (load_plan(REPOSITORY, {"tier": tier}) for tier in ("demo", "real"))
    for slug, rows in real.rows.items():
        seeds, wanted = ({(row.role, row.run): row.seeds for row in plan.rows[slug]} for plan in (real, demo))
        assert {run for _, run in wanted} <= {run for _, run in seeds}
        assert all(len(own) >= min(3, len(wanted.get(key, (0,)))) for key, own in seeds.items())
        kinds = {real.datasets[row.dataset]["kind"] for row in rows}
        assert kinds <= {"grid", "grid-timeline", "built", "built-control"}
        assert all(real.datasets[row.dataset]["stands_for"] is None for row in rows)


def test_the_balanced_set_of_recordings_is_trained_on_beside_its_pool() -> None:
    plan = load_plan(REPOSITORY, load_yaml(REPOSITORY / "config" / "user" / "grid-balanced.yaml"))
    assert list(plan.datasets) == ["grid-balanced", "grid-balanced-pool", "grid-pool", "grid-supplement"]
    seeds = {(row.role, row.run): len(row.seeds) for row in plan.rows[SLUG]}
    assert seeds["balanced", "baseline"] == 5 and seeds["pool", "baseline"] == 3


def test_an_overlay_that_names_papers_computes_these_only() -> None:
    whole = load_config(REPOSITORY, {})["papers"]
    for own in (None, {}):
        config = load_config(REPOSITORY, {"papers": {SLUG: own}})
        assert config["papers"] == {SLUG: whole[SLUG]}
    config = load_config(REPOSITORY, {"name": "mine", "papers": {SLUG: {"settings": {"protocol": {"epochs": 5}}}}})
    assert list(config["papers"]) == [SLUG] and config["name"] == "mine"
    protocol = config["papers"][SLUG]["settings"]["protocol"]
    assert protocol == {**whole[SLUG]["settings"]["protocol"], "epochs": 5}


def test_an_unknown_tier_lists_those_there_are() -> None:
    with pytest.raises(UserError, match=r"tiers/paperr.yaml: no such file; the folder has: .*; did you mean .paper."):
        load_config(REPOSITORY, {"tier": "paperr"})


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"seeds": "all"}, "configuration, seeds: is 'all'"),
        ({"seeds": []}, "configuration, seeds: is []"),
        ({"sedes": [1]}, "configuration: unknown key 'sedes'; did you mean 'seeds'"),
        ({"name": "../x"}, "configuration, name: '../x' is no name"),
        ({"name": "w$(touch x)"}, "configuration, name: 'w$(touch x)' is no name"),
        ({"seeds_per_job": 0}, "configuration, seeds_per_job: is 0"),
        (
            {"papers": {SLUG: {"runs": {"baseline": {"skp": True}}}}},
            f"papers.{SLUG}.runs.baseline: unknown key 'skp'; did you mean 'skip'",
        ),
        ({"papers": {SLUG: {"datasets": {"balanced": "a;b"}}}}, f"papers.{SLUG}.datasets.balanced: 'a;b' is no name"),
        ({"papers": [SLUG]}, "configuration, papers: is "),
        ({"datasets": {"mine": {"root": "x"}}}, "configuration, datasets.mine: unknown key 'root'"),
        ({"datasets": {"a b": {"base": "x"}}}, "'a b' is no name; use letters, digits"),
        (
            {"datasets": {"synthetic-lpl": {"options": {}}}},
            "datasets.synthetic-lpl: config/datasets has no 'synthetic-lpl'; did you mean 'synthetic-llp'",
        ),
        ({"papers": {"diagnos": None}}, "configuration, papers: there is no paper 'diagnos'; did you mean 'diagnosis'"),
    ],
)
def test_a_wrong_key_is_named(overrides: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError) as raised:
        load_config(REPOSITORY, overrides)
    assert named in str(raised.value)


def test_a_run_that_the_paper_lacks_is_named() -> None:
    with pytest.raises(UserError, match=rf"configuration, papers.{SLUG}.runs: there is no run 'greeedy'; .* 'greedy'"):
        load_config(REPOSITORY, {"papers": {SLUG: {"runs": {"greeedy": {}}}}})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [1\nb: 2\n", r"a.yaml, line 2: not valid YAML \(while parsing a flow sequence did not find"),
        ("a:\n\tb: 1\n", r"a.yaml, line 2: not valid YAML .*; indent with spaces, not with tabs"),
        ("a: *b\n", r"a.yaml, line 1: not valid YAML \(found undefined alias"),
        ("- 1\n", r"a.yaml: it must be a mapping"),
        ("# nothing\n", r"a.yaml: is empty; it must be a mapping"),
        ("a: 1\nb: {c: 1,\n c: 2}\n", r"a.yaml, line 3: the key 'c' stands here and in line 2; keep one of them"),
        ("a: 1\nb: [{c: .nan}]\n", r"a.yaml, line 2: is .nan; write a finite number"),
    ],
)
def test_yaml_files_that_cannot_be_read_are_told_with_their_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UserError, match=told):
        load_yaml(tmp_path / "a.yaml")


def test_an_anchor_may_be_used_twice_and_a_missing_file_is_told_with_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: &x {b: 1}\nc: *x\nd: {<<: *x, b: 2}\n")
    assert load_yaml(tmp_path / "a.yaml") == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 2}}
    with pytest.raises(UserError, match=r"b.yaml: no such file; the folder has: a\."):
        load_yaml(tmp_path / "b.yaml")


@pytest.mark.parametrize(
    ("base", "told"),
    [
        ("mine", "config/tiers: mine -> mine stand on each other, endlessly"),
        (None, "config/tiers/mine.yaml, base: is null"),
        ({"demo": 1}, "config/tiers/mine.yaml, base: is {'demo': 1}"),
        ("dmeo", "dmeo.yaml: no such file; the folder has: demo, mine; did you mean 'demo'"),
    ],
)
def test_a_wrong_base_of_a_tier_is_told(tmp_path: Path, base: Any, told: str) -> None:
    tiers = tmp_path / "config" / "tiers"
    tiers.mkdir(parents=True)
    (tiers / "demo.yaml").touch()
    (tiers / "mine.yaml").write_text(yaml.safe_dump({"base": base}))
    with pytest.raises(UserError) as raised:
        load_config(tmp_path, {"tier": "mine"})
    assert told in str(raised.value)


def write_paper(root: Path, slug: str, **changes: Any) -> Path:
    declared = {
        "slug": slug, "title": "T", "reference": "R", "datasets": {"set": {"label": "Set"}}, "measures": {},
        "runs": {"one": {"label": "One", "method": "baseline"}}, "tables": [], **changes,
    }  # fmt: skip
    folder = root / "workflow" / "papers" / slug
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "paper.yaml").write_text(yaml.safe_dump(declared))
    return folder


@pytest.mark.parametrize("name", ["w$(touch x)", "../up", "a b", "-n", ".hidden", "", "a/b"])
def test_names_become_parts_of_paths_and_commands_and_are_plain(tmp_path: Path, name: str) -> None:
    for number, wrong in enumerate(
        (
            {"runs": {name: {"label": "One", "method": "baseline"}}},
            {"datasets": {name: {"label": "Set"}}},
            {"slug": name},
        )
    ):
        folder = tmp_path / str(number)
        write_paper(folder, "first")
        path = folder / "workflow" / "papers" / "first" / "paper.yaml"
        path.write_text(yaml.safe_dump({**load_yaml(path), **wrong}))
        with pytest.raises(UserError, match=r"is no name; use letters, digits, '_', '\.' and '-'") as raised:
            load_paper(folder, "first")
        assert str(raised.value).startswith(str(path)) and repr(name) in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"runs": {"one": {"label": "A", "metod": "dgm"}}}, "runs.one: unknown key 'metod'; did you mean 'method'"),
        ({"runs": None}, "runs: is null; it must be keys with values"),
        ({"datasets": [3]}, "datasets: is [3]; it must be keys with values"),
        (
            {"settings": {"data": {"crop": {"value": 3, "sorce": "x"}}}},
            "settings.data, crop: unknown key 'sorce'; did you mean 'source'",
        ),
        ({"settings": {"protocl": {}}}, "settings: unknown key 'protocl'; did you mean 'protocol'"),
        ({"runs": {"one": {"label": {"value": "One", "source": "s"}, "method": 3}}}, "runs.one.method: is 3"),
    ],
)
def test_a_wrong_key_of_a_paper_is_named_with_file_and_place(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    write_paper(tmp_path, "first", **changes)
    with pytest.raises(UserError) as raised:
        load_paper(tmp_path, "first")
    assert f"first/paper.yaml, {sentence}" in str(raised.value)


def test_a_paper_is_joined_from_its_files(tmp_path: Path) -> None:
    folder = write_paper(tmp_path, "first")
    (folder / "tables.yaml").write_text("tables: [{id: table1, title: One}]\n")
    paper = load_paper(tmp_path, "first")
    assert paper["tables"][0]["id"] == "table1"
    assert paper["folder"] == "workflow/papers/first"


def test_a_paper_whose_slug_is_another_is_refused(tmp_path: Path) -> None:
    write_paper(tmp_path, "first").rename(tmp_path / "workflow" / "papers" / "second")
    with pytest.raises(UserError, match=r"slug is 'first' but the folder is 'second'"):
        load_paper(tmp_path, "second")
    with pytest.raises(UserError, match=r"configuration, papers: there is no paper 'third'; there are second"):
        load_paper(tmp_path, "third")


def test_a_paper_may_extend_another_and_take_over_from_others(tmp_path: Path) -> None:
    write_paper(tmp_path, "first", tables=[{"id": "table1", "title": "One"}], settings={"protocol": {"epochs": 3}})
    write_paper(tmp_path, "third", runs={"three": {"label": "Three", "method": "greedy"}})
    write_paper(tmp_path, "second", extends="first", runs={"two": {"like": "third/three", "label": "Two"}})
    paper = load_paper(tmp_path, "second")
    assert paper["runs"] == {
        "one": {"label": "One", "method": "baseline"}, "two": {"label": "Two", "method": "greedy"},
    }  # fmt: skip
    assert paper["settings"] == {"protocol": {"epochs": 3}}
    assert paper["tables"] == [] and paper["slug"] == "second"
    write_paper(tmp_path, "third", runs={"three": {"like": "secnd/two"}})
    with pytest.raises(UserError, match=r"third/paper.yaml: there is no paper 'secnd'; did you mean 'second'"):
        load_paper(tmp_path, "second")
    write_paper(tmp_path, "third", runs={"three": {"like": "second/two"}})
    with pytest.raises(UserError, match="second -> third -> second take over from each other, endlessly"):
        load_paper(tmp_path, "second")


def test_a_variant_of_a_data_set_lays_its_options_over_the_base() -> None:
    config = load_config(REPOSITORY, {"datasets": {"small": {"base": "synthetic-flat", "options": {"classes": 4}}}})
    base, variant = (load_dataset(REPOSITORY, config, name) for name in ("synthetic-flat", "small"))
    assert variant == {**base, "options": {**base["options"], "classes": 4}}
    with pytest.raises(
        UserError, match=r"config/datasets/nothing.yaml: no such file; .*the folder has: .*synthetic-balanced"
    ):
        load_dataset(REPOSITORY, config, "nothing")
    config["datasets"]["small"]["options"]["clases"] = 5
    with pytest.raises(UserError, match=r"data set small, .*options: unknown key 'clases'; did you mean 'classes'"):
        load_dataset(REPOSITORY, config, "small")


def test_a_file_of_a_data_set_stands_on_another_one(tmp_path: Path) -> None:
    flat, scorers = (load_dataset(REPOSITORY, {}, name) for name in ("synthetic-flat", "synthetic-scorers"))
    assert "base" not in scorers and scorers["kind"] == flat["kind"]
    assert scorers["options"] == {**flat["options"], **{key: scorers["options"][key] for key in ("seed", "clips")}}
    (tmp_path / "config" / "datasets").mkdir(parents=True)
    for name, base in (("one", "two"), ("two", "one")):
        (tmp_path / "config" / "datasets" / f"{name}.yaml").write_text(f"base: {base}\n")
    with pytest.raises(UserError, match=r"config/datasets/one\.yaml: its `base` never ends"):
        load_dataset(tmp_path, {}, "one")


def test_a_file_in_another_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes("kind: folder\ndescribe: \u00e9t\u00e9\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"mine\.yaml, line 2: not saved as UTF-8 \(.*\); save the file as UTF-8"):
        load_yaml(path)
