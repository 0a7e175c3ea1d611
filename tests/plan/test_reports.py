"""What the plan tells the reports: files of every data set, those of further generator seeds included."""

from __future__ import annotations

import json
from pathlib import Path

from avbalance.evaluation.paper import Paper
from avbalance.plan.config import load_yaml
from avbalance.plan.plan import load_plan

REPOSITORY = Path(__file__).resolve().parents[2]
SLUG = "balanced-audiovisual"
PARSING = "avvp-gradient-modulation"


def test_generator_seeds_come_with_their_files() -> None:
    again = {"synthetic-kinetics-sounds-g1": {"base": "synthetic-kinetics-sounds", "options": {"seed": 201}}}
    wanted = {"datasets": {"kinetics-sounds": list(again)}, "runs": ["audio", "visual"], "seeds": [0]}
    plan = load_plan(REPOSITORY, {"tier": "demo", "datasets": again, "papers": {SLUG: {"robustness": wanted}}})
    paper = Paper.from_dict(plan.paper_record(SLUG))
    further = paper.dataset("kinetics-sounds").generators
    assert list(further) == list(again)
    for name, info in further.items():
        assert (info.label, info.data, info.manifest) == (name, name, f"data/{name}/manifest.parquet")
        assert info.subsets == f"results/demo/subsets/{SLUG}/{name}.parquet"
        assert set(info.features) == {"audio", "visual"}
        files = {info.manifest, *info.features.values()}
        assert all(f"/{name}/" in path for path in files)
        assert files <= set(plan.fact_files(SLUG))
    assert sorted(info.data for info in paper.all_datasets()) == sorted({row.dataset for row in plan.rows[SLUG]})


def test_figures_and_claims_ask_for_the_files_of_their_runs() -> None:
    plan = load_plan(REPOSITORY, {"tier": "demo"})
    rows = {row.run: row for row in plan.rows[PARSING] if row.role == "llp"}
    folder = f"{plan.runs}/{PARSING}/{rows['ours'].dataset}"
    histories = [
        f"{folder}/{run}/seed{seed}/history.csv" for run in ("jomold-msdu", "ours") for seed in rows[run].seeds
    ]
    assert plan.item_run_files(PARSING, "figures", "figure5") == plan.report_run_files(PARSING, "claims") == histories
    assert set(histories) <= set(plan.artifacts())
    assert plan.item_run_files(PARSING, "figures", "figure4") == [
        f"{folder}/{run}/seed{seed}/predictions.parquet" for run in ("jomold", "ours") for seed in rows[run].seeds
    ]
    assert set(plan.report_run_files(PARSING, "figures")) >= {
        *histories,
        *plan.item_run_files(PARSING, "figures", "figure4"),
    }
    assert plan.item_run_files(SLUG, "figures", "figure1") == []
    maps = plan.report_run_files(SLUG, "claims")  # of two modalities; five seeds on two data sets, else three
    assert len(maps) == 38 and all(path.endswith("/confidence.npz") for path in maps)
    assert set(maps) <= set(plan.artifacts())


def test_tables_alone_are_told_which_runs_estimate_the_subsets() -> None:
    plan = load_plan(REPOSITORY, {"tier": "demo"})
    told = {slug: json.loads(plan.report_spec(slug, "tables"))["paper"]["datasets"] for slug in plan.papers}
    info = told[SLUG]["balanced"]
    assert info["estimators"]["estimated"] == [["audio", 0], ["visual", 0]]
    assert info["estimators"]["cross-fitted-b"] == [["audio-half-b", 0], ["visual-half-b", 0]]
    files = plan.subset_pairs(SLUG, info["data"])
    assert set(files) == set(info["estimators"]) and files["estimated"] == list(
        plan.confidence_inputs(SLUG, info["data"]).values()
    )
    assert "estimators" not in told[PARSING]["llp"] and '"estimators"' not in plan.report_spec(SLUG, "figures")


def test_the_code_of_claims_covers_the_kinds_that_the_paper_uses() -> None:
    plan = load_plan(REPOSITORY, {"tier": "demo"})
    plain = plan.code("avbalance.reporting.claims_report")
    assert len({plain, *(plan.report_code(slug, "claims") for slug in plan.papers)}) == 1 + len(plan.papers)
    assert "avbalance.papers.balanced_audiovisual.claims.growth" in next(key for key in plan.codes if len(key) > 5)
    own = {"papers": {"diagnosis": {"datasets": {"own": "synthetic-balanced"}}}, "name": "own"}
    assert load_plan(REPOSITORY, {"tier": "demo", **own}).paper_record("diagnosis")["builds_on"] == [SLUG]


def test_a_table_of_subsets_asks_for_their_files() -> None:
    plan = load_plan(REPOSITORY, {"tier": "demo"})
    assert plan.item_run_files(SLUG, "tables", "tableS7") == plan.subset_files(SLUG)
    assert len(plan.subset_files(SLUG)) == 5 and set(plan.subset_files(SLUG)) <= set(
        plan.report_run_files(SLUG, "tables")
    )
    assert plan.item_run_files(SLUG, "tables", "tableS1") == []


def test_what_is_made_of_own_data_is_told_what_the_verdict_withholds() -> None:
    own = {"papers": {"diagnosis": {"datasets": {"own": "synthetic-balanced"}}}, "name": "own"}
    plan = load_plan(REPOSITORY, {"tier": "demo", **own})
    verdict = f"{plan.paper_folder('diagnosis')}/verdict.json"
    assert Paper.from_dict(plan.paper_record("diagnosis")).dataset("own").verdict == verdict
    for part in ("tables", "figures"):
        assert plan.report_run_files("diagnosis", part) == [verdict] and verdict in plan.report_spec("diagnosis", part)
    assert verdict not in plan.fact_files("diagnosis")  # which the verdict itself reads


def test_data_are_the_papers_own_where_its_own_data_set_is_used() -> None:
    def own(tier: str, slug: str) -> dict[str, bool]:
        paper = Paper.from_dict(load_plan(REPOSITORY, {"tier": tier}).paper_record(slug))
        return {role: info.own for role, info in paper.datasets.items() if info.data}

    for slug in (SLUG, PARSING, "modality-relevance", "gmm-adaptive-loss"):
        built = {"balanced": False} if slug == SLUG else {}  # from public lists: the authors' own is not there
        assert own("paper", slug) == {role: True for role in own("paper", slug)} | built
        assert set(own("demo", slug).values()) == {False}


def test_other_real_data_are_said_to_stand_in_the_place_of_the_papers_own() -> None:
    plan = load_plan(REPOSITORY, {"tier": "paper", "papers": {SLUG: {"datasets": {"balanced": "vggsound"}}}})
    datasets = Paper.from_dict(plan.paper_record(SLUG)).datasets
    assert datasets["balanced"].describe.endswith("clips from YouTube, in the place of Balanced")
    assert datasets["vggsound"].describe.endswith("clips from YouTube")


def test_a_role_without_pictures_has_one_store_and_its_own_table() -> None:
    slug, role = "modality-relevance", "audioset-embeddings"
    config = load_yaml(REPOSITORY / "config" / "user" / f"{role}.yaml")
    plan = load_plan(REPOSITORY, config)
    assert plan.recipes == {role: {"audio": ["seconds10-vggish-pca"], "visual": []}}
    assert [job.recipes for job in plan.feature_jobs] == [{"audio": "seconds10-vggish-pca"}]
    assert all(list(plan.cell_store_files(cell)) == ["audio"] for cell in plan.cells)
    assert {row.run for row in plan.rows[slug]} == {
        "urban-rural-audio", "speech-audio", "reference-audio", "reference-speech-audio",
    }  # fmt: skip
    record = plan.paper_record(slug)["datasets"][role]
    assert list(record["features"]) == ["audio"] and record["own"] is False
    assert "tableS5" in plan.declared(slug, "tables")
    assert "tableS5" not in load_plan(REPOSITORY, {"tier": "demo"}).declared(slug, "tables")


def test_measuring_and_joining_read_the_records_of_the_runs() -> None:
    plan = load_plan(REPOSITORY, {"tier": "smoke"})
    slug = "balanced-audiovisual"
    folders = [path.removesuffix("/predictions.parquet") for path in plan.prediction_files(slug)]
    assert plan.record_files(slug) == [f"{folder}/record.json" for folder in folders]
    joined = next(cell for cell in plan.combinations if cell.row.paper == slug)
    inputs = plan.combination_inputs(joined)
    assert {path.rsplit("/", 1)[1] for path in inputs} == {"predictions.parquet", "record.json"}
    assert len(inputs) == 2 * len({path.rsplit("/", 1)[0] for path in inputs})


def test_one_page_joins_the_claims_of_all_papers() -> None:
    plan = load_plan(REPOSITORY, {"tier": "demo"})
    assert plan.overview_files() == ["results/demo/papers/claims.md"]
    assert plan.claims_files() == [f"results/demo/papers/{slug}/claims.json" for slug in plan.papers]
    assert plan.overview_files()[0] in plan.described_files()


def test_what_describes_the_set_is_told_of_all_that_is_made_of_the_papers() -> None:
    plan = load_plan(REPOSITORY, {"tier": "demo"})
    assert plan.artifacts()[-3:] == [plan.page_file, *plan.crate_files()]
    told = json.loads(plan.crate_spec())
    assert set(told["files"]) == {path for path in plan.artifacts() if "/papers/" in path} - {
        f"{plan.paper_folder(slug)}/measurements.parquet" for slug in plan.papers
    }
    assert told["titles"][f"{SLUG}/table2"] == "Table 2. Accuracy (%) on the balanced data set"
    assert set(told["records"]) <= set(plan.artifacts()) and len(told["records"]) > 100


def test_the_page_is_made_of_the_records_of_all_runs_and_knows_where_clips_come_from() -> None:
    plan = load_plan(REPOSITORY, {"tier": "demo"})
    inputs = plan.page_inputs()
    made = {path for slug in plan.papers for path in plan.report_files(slug)}
    assert set(inputs["figures"]) == {path for path in made if "/figure" in path and path.endswith((".svg", ".csv"))}
    assert set(inputs["tables"]) == {path for path in made if "/table" in path and path.endswith(".json")}
    assert set(inputs["claims"]) < made
    every = {path for cell in (*plan.cells, *plan.combinations) for path in plan.cell_files(cell)}
    wanted = {path for path in every if path.endswith(("/record.json", "/history.csv"))}
    assert set(inputs["runs"]) == wanted and len(inputs["runs"]) == len(wanted)
    spec = json.loads(plan.page_spec())
    assert (spec["name"], spec["config"]) == ("demo", "tier=demo")
    assert {origin for paper in spec["papers"] for origin in paper["origins"].values()} == {"generated"}


def test_the_page_says_which_data_are_real_and_which_the_papers_own() -> None:
    real = json.loads(load_plan(REPOSITORY, {"tier": "real", "name": "mine"}).page_spec())
    assert real["config"] == "tier=real name=mine"
    assert {origin for paper in real["papers"] for origin in paper["origins"].values()} == {"other"}
    full = json.loads(load_plan(REPOSITORY, {"tier": "paper"}).page_spec())
    origins = {name: origin for paper in full["papers"] for name, origin in paper["origins"].items()}
    assert origins["kinetics-sounds"] == origins["cremad"] == "own"
