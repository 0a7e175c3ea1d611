"""What papers declare of their claims: all of it is known, and every slip is told with file, place and nearest name."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from paper_files import REPOSITORY, loaded

from avbalance.errors import UserError
from avbalance.evaluation.declarations import Declarations, check_claims, claim_model, known_names
from avbalance.kinds import modules

PAPERS = sorted(path.parent.name for path in (REPOSITORY / "workflow" / "papers").glob("*/paper.yaml"))
BALANCED, DIAGNOSIS, GAP = "balanced-audiovisual", "diagnosis", "gmm-adaptive-loss"
RELEVANCE, PARSING = "modality-relevance", "avvp-gradient-modulation"
WITHOUT_CLAIMS = (DIAGNOSIS, "disagreement")  # the one answers in words, the other in effects


def checked(slug: str, path: str = "", value: Any = None) -> Declarations:
    """A paper's declarations, in which `path` (keys, ids and places from 0, joined by /) is set; None removes it."""
    known, paper = known_names(loaded(slug)), copy.deepcopy(loaded(slug))
    if path:
        *way, last = path.split("/")
        there: Any = paper
        for step in way:
            by_id = {entry.get("id"): entry for entry in there} if isinstance(there, list) else there
            there = by_id[step] if step in by_id else there[int(step)]
        there.update({last: value}) if value is not None else there.pop(last)
    return check_claims(paper, (slug, *paper.get("builds_on", [])), REPOSITORY / "workflow" / "papers" / slug, known)


@pytest.mark.parametrize("slug", PAPERS)
def test_the_declarations_of_every_paper_are_known(slug: str) -> None:
    declared = checked(slug)
    assert bool(declared.claims) == (slug not in WITHOUT_CLAIMS)
    assert all(each.__doc__ for each in declared.blocks)
    entries = loaded(slug)
    assert [claim.id for claim in declared.claims] == [entry["id"] for entry in entries.get("claims", ())]
    assert len(declared.blocks) == sum(
        len(entry["tests"]) for key in ("claims", "checks", "illustrations") for entry in entries.get(key, ())
    )


def test_kinds_of_a_paper_are_those_that_it_builds_on_may_use_too() -> None:
    assert {"difference", "by_seed"} == set(modules([GAP], "claims")) & set(modules([PARSING], "claims"))
    assert modules([DIAGNOSIS, BALANCED], "claims")["growth"] == "avbalance.papers.balanced_audiovisual.claims.growth"


@pytest.mark.parametrize("slug", PAPERS)
def test_every_key_of_every_kind_says_what_it_is(slug: str) -> None:
    schema = claim_model((slug,)).model_json_schema()
    assert schema["properties"]["tests"]["items"]["discriminator"]["propertyName"] == "kind"
    for name, model in schema["$defs"].items():
        assert model["additionalProperties"] is False and model["description"]
        for key, field in model["properties"].items():
            assert field.get("description"), f"{name}.{key}"


SLIPS = [
    (BALANCED, "claims/C1/tests/0/left", ["ogmge"],
     r"claims\.yaml, C1, tests\[1\]\.left\[1\]: there is no run 'ogmge'; did you mean 'ogm-ge'"),
    (BALANCED, "claims/C1/tests/0/datasets", ["balance"], "there is no data set 'balance'; did you mean 'balanced'"),
    (BALANCED, "claims/C3/tests/0/subsets", ["visual_domnated@0.4"], "there is no subset 'visual_domnated@0.4'; did"),
    (BALANCED, "claims/C1/tests/0/left", [], r"left: is \[\]; it must have at least 1 item"),
    (BALANCED, "claims/C1/tests/0/kind", "diference",
     r"C1, tests\[1\]: there is no 'diference' of claims; did you mean 'difference'; there are by_seed, d"),
    (BALANCED, "claims/C1/tests/0/kind", None, r"C1, tests\[1\]: lacks the key 'kind'"),
    (BALANCED, "claims/C1/protocols", ["plantd"], r"C1, protocols\[1\]: is 'plantd'; use 'estimated'"),
    (BALANCED, "claims/C2/id", "C1", "claims: the id 'C1' is used twice"),
    (BALANCED, "claims/C2/id", "K1", "checks: the id 'K1' is used twice"),
    (BALANCED, "claims/C1/tests/1/headline", True, "C1: tests have two headlines"),
    (BALANCED, "checks/K4/tests/0/at_leats", 5, r"tests\[1\]: unknown key 'at_leats'; did you mean"),
    (BALANCED, "checks/K4/tests/0/pieces/0/condition", "prob-visual", r"pieces\[1\]\.condition: there is no condition"),
    (BALANCED, "checks/K4/tests/0/metrics", ["acuracy"], "no metric 'acuracy'; did you mean 'accuracy'"),
    (BALANCED, "checks/K4/tests/0/checkpoint", "best", "checkpoint: is 'best'; use 'selected', 'last' or 'best-test'"),
    (BALANCED, "checks/K4/tests/0/left", ["audio"], "needs one of left with right, chain .* and pieces"),
    (BALANCED, "statistics/levl", 1, "statistics: unknown key 'levl'; did you mean 'level'"),
    (BALANCED, "measures/cross_fitted/audoi", {}, r"tables\.yaml, measures, cross_fitted\.audoi: there is no run"),
    (BALANCED, "confidence/rule/patience", {"valu": 3}, r"paper\.yaml, confidence, rule\.patience: is {'valu': 3}"),
    (BALANCED, "published/0/value", "acc", r"table1\.csv: has no column 'acc', which tables\.yaml names"),
    (BALANCED, "published/0/file", "table9.csv", r"table9\.csv: no such file; did you mean 'table[12]\.csv'"),
    (BALANCED, "published/3/run", "mp", "there is no label of a run 'mp'"),
    (PARSING, "published/3/dataset", "LPL", "there is no label of a data set 'LPL'; did you mean 'LLP'"),
    (RELEVANCE, "published/0/run", "{method}, urbn/rural", "published, run: there is no label of a run .* urbn"),
    (PARSING, "published/3/metric", "segmnt_{variant}", "published, metric: there is no metric 'segmnt_"),
    (PARSING, "published/3/subset", "overal", "published, subset: there is no subset 'overal'; did you mean 'overall'"),
    (PARSING, "claims/F5.1/tests/0/columns", ["loss_audio", "loss_visul"], r"columns\[2\]: is 'loss_visul'; use"),
    (PARSING, "illustrations/F4.2/tests/0/class", None, r"tests\[1\]: lacks the key 'class'"),
    (GAP, "claims/C1/tests/0/kind", "growth", r"there is no 'growth' of claims; copy claims/growth\.py from the"),
    (GAP, "measures/metrics", ["macrof1"], "there is no metric 'macrof1'; did you mean 'macro_f1'"),
    (GAP, "claims/C4/tests/0/runs", ["ours"], "measure mean needs 2 runs, not 1"),
    (GAP, "claims/C3/tests/3/at_least", None, "at_least belongs to measure separation, which needs it"),
    (GAP, "claims/C3/tests/0/file", "mixtures.json", r"measure nulls reads gaps\.json, not mixtures\.json"),
    (GAP, "checks/K1/tests/0/right", ["majority-labl"], "'majority-labl'; did you mean 'majority-label'"),
    (GAP, "checks/K1/tests/0/left", ["no-event"], "compares no run with anything"),
    (RELEVANCE, "claims/T1.1/tests/0/claim", "teacher", "'teacher'; did you mean 'teachers'; known are teachers"),
    (RELEVANCE, "claims/T1.1/tests/0/classes", 26, "classes belongs to table kinetics-sounds"),
    (RELEVANCE, "checks/K2/tests/0/stand_ins/mean-audio", "both", "the tables have no condition 'mean-audio'"),
]  # fmt: skip


@pytest.mark.parametrize(("slug", "path", "value", "told"), SLIPS)
def test_every_slip_is_told(slug: str, path: str, value: Any, told: str) -> None:
    with pytest.raises(UserError, match=told) as error:
        checked(slug, path, value)
    assert f"workflow/papers/{slug}/" in str(error.value) and "\n" not in str(error.value)
