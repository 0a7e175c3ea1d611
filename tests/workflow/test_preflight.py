"""What is said, in one sentence per data set, before anything is planned on data that are not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from avbalance.errors import UserError
from avbalance.plan.plan import load_plan

REPOSITORY = Path(__file__).parents[2]
SLUG = "balanced-audiovisual"


def said(*datasets: str, **own: Any) -> list[str]:
    """Sentences about the data sets when they stand for the paper's, with `own` entries of the configuration."""
    roles = dict(zip(("kinetics-sounds", "vggsound", "balanced"), [*datasets, None, None], strict=False))
    return load_plan(REPOSITORY, {"tier": "paper", "papers": {SLUG: {"datasets": roles}}, **own}).preflight()


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Paths of the configuration are relative to where the workflow is started."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(*paths: str) -> None:
    """Empty files; a path that ends with a slash is a folder."""
    for path in paths:
        if path.endswith("/"):
            Path(path).mkdir(parents=True)
        else:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).touch()


def test_generated_data_need_nothing() -> None:
    assert said("synthetic-kinetics-sounds", "synthetic-vggsound", "synthetic-balanced") == []


# Data set -> steps until it is content: what is put there, how its one sentence then starts, what it tells to do.
KS, VGG, BALANCED, OWN = (f"downloads/{name}" for name in ("kinetics-sounds", "vggsound", "balanced", "avdigits"))
STEPS = {
    "kinetics-sounds": [
        ((), f"{KS}/lists/my_train.txt: no such file; ", "GeWu-Lab/OGM-GE_CVPR2022"),
        ((f"{KS}/lists/my_train.txt",), f"{KS}/lists/my_test.txt: ", "take"),
        ((f"{KS}/lists/my_test.txt",), f"{KS}/lists/KS_train_val.json: ", "take"),
        (
            (f"{KS}/lists/KS_train_val.json",),
            f"{KS}/media: no such folder; ",
            "cvdfoundation/kinetics-dataset",
        ),
        ((f"{KS}/media/",), "", ""),
    ],
    "vggsound": [
        ((), f"{VGG}/vggsound.csv: no such file; ", "hche11/VGGSound"),
        ((f"{VGG}/vggsound.csv",), f"{VGG}/media: no such folder; ", "set the option allow_missing"),
        ((f"{VGG}/media/",), "", ""),
    ],
    "balanced": [
        ((), f"{BALANCED}/annotation.json: no such file; ", "GeWu-Lab/Balanced-Audiovisual-Dataset"),
        ((f"{BALANCED}/annotation.json",), f"{BALANCED}/video: no such folder; ", "by hand"),
        ((f"{BALANCED}/video/",), f"{BALANCED}/audio: no such folder; ", "set the option allow_missing"),
        ((f"{BALANCED}/audio/",), "", ""),
    ],
    "avdigits": [
        ((), f"{OWN}: no such folder; ", "set the option root"),
        ((f"{OWN}/",), f"{OWN}/manifest.csv: no such file; ", "list your clips in it"),
        ((f"{OWN}/manifest.csv",), f"{OWN}/manifest.csv: is empty; ", "list your clips in it"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("dataset", list(STEPS))
def test_each_missing_thing_is_named_in_one_sentence_with_its_cure(dataset: str) -> None:
    for there, start, cure in STEPS[dataset]:
        make(*there)
        sentences = said(dataset)
        if not start:
            assert sentences == []
            continue
        (sentence,) = sentences
        assert sentence.startswith(f"{dataset}: {start}")
        assert cure in sentence
        assert sentence.endswith(".")
        assert "\n" not in sentence


def test_a_user_folder_under_a_name_of_its_own(workplace: Path) -> None:
    own = {"my-clips": {"base": "avdigits", "options": {"root": str(workplace / "mine"), "manifest": "list.csv"}}}
    assert said("my-clips", datasets=own) == [
        f"my-clips: {workplace / 'mine'}: no such folder; "
        "put your media there or set the option root to where they are."
    ]
    make("mine/a.mp4")
    rows = ("id,label,split,video,speaker", "a,x,train,a.mp4,ann", "b,y,dev,a.mp4,bob", "b,,test,a.mp4,bob")
    Path("mine/list.csv").write_text("\n".join(rows))
    assert [sentence.partition("list.csv, ")[2] for sentence in said("my-clips", datasets=own)] == [
        "row 3: column 'split' is 'dev'; use 'train', 'val' or 'test'.",
        "row 4: column 'label' is empty; fill it in.",
    ]
    Path("mine/list.csv").write_text("\n".join(rows).replace("dev", "test").replace("b,,", "c,y,"))
    assert said("my-clips", datasets=own) == []


def test_a_path_with_braces_is_refused_and_no_wildcard_of_snakemake(workplace: Path) -> None:
    own = {"my-clips": {"base": "avdigits", "options": {"root": str(workplace / "{mine}")}}}
    make("{mine}/manifest.csv")
    (sentence,) = said("my-clips", datasets=own)
    assert sentence.startswith(f"my-clips: {workplace}/{{mine}}/manifest.csv: Snakemake takes braces for wildcards; ")
    roles = {"kinetics-sounds": "my-clips", "vggsound": None, "balanced": None}
    plan = load_plan(REPOSITORY, {"tier": "paper", "papers": {SLUG: {"datasets": roles}}, "datasets": own})
    assert plan.source_inputs("my-clips") == []


def test_clips_may_be_absent_where_that_is_allowed() -> None:
    make("downloads/vggsound/vggsound.csv", "downloads/balanced/annotation.json")
    allowed = {name: {"options": {"allow_missing": True}} for name in ("vggsound", "balanced")}
    assert said("vggsound", "balanced", datasets=allowed) == []


def test_a_data_set_that_is_built_already_is_not_asked_for_again() -> None:
    make("data/vggsound/manifest.parquet")
    assert [sentence.split(":")[0] for sentence in said("kinetics-sounds", "vggsound", "balanced")] == [
        "kinetics-sounds",
        "balanced",
    ]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"kinetics-sounds": {"options": {"media_rot": "x"}}}, r"data set kinetics-sounds.*media_rot"),
        (
            {"kinetics-sounds": {"options": {"classes": "all"}}},
            r"data set kinetics-sounds, .*options, classes: is 'all'",
        ),
    ],
)
def test_a_misspelt_option_is_named(own: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        said("kinetics-sounds", datasets=own)


def test_a_data_set_that_nobody_described_is_named_with_those_there_are() -> None:
    with pytest.raises(
        UserError, match=r"config/datasets/kinetics\.yaml: no such file; the folder has: .*kinetics-sounds"
    ):
        said("kinetics")


def test_planning_opens_no_list(workplace: Path) -> None:
    # A list of two million bytes that is no list at all: only the build looks into it.
    make("downloads/balanced/video/", "downloads/balanced/audio/")
    (workplace / "downloads" / "balanced" / "annotation.json").write_text(json.dumps("x" * 2_000_000))
    assert said("balanced") == []
