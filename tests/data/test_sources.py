"""Specifications of data sets: those that are shipped, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avbalance.data.sources import build, check_dataset, kinds, read_source
from avbalance.errors import UserError
from avbalance.plan.config import load_dataset

REPOSITORY = Path(__file__).parents[2]
CONFIGS = sorted((REPOSITORY / "config" / "datasets").glob("*.yaml"))


def _load(path: Path) -> Any:
    return load_dataset(REPOSITORY, {}, path.stem)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_specification_is_valid(path: Path) -> None:
    spec = _load(path)
    check_dataset(spec, path.name)
    generated = spec["kind"].startswith("synthetic") or path.stem == "synthetic-balanced"  # that is built of such
    assert (spec["stands_for"] is not None) == generated
    read_source(spec).missing()


@pytest.mark.parametrize("kind", kinds())
def test_an_option_that_does_not_exist_is_named_with_its_kind(kind: str) -> None:
    spec = {"kind": kind, "stands_for": None, "describe": "toy", "options": {"colour": "red"}}
    with pytest.raises(UserError, match=r"^toy\.yaml, options: (unknown key 'colour'; .*known are|lacks the key)"):
        check_dataset(spec, "toy.yaml")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kind": "synthetik"}, "toy, kind: is 'synthetik'; did you mean 'synthetic'"),
        ({"options": {"clases": 3}}, "toy, options: unknown key 'clases'; did you mean 'classes'"),
        ({"options": {"classes": 1}}, "toy, options, classes: is 1; it must be greater than or equal to 2"),
        ({"options": {"snr_audio_db": [1.0]}}, "toy, options, snr_audio_db: has too few values"),
        ({"option": {}}, "toy: unknown key 'option'; did you mean 'options'"),
        ({"describe": ""}, "toy, describe: is ''"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_its_place(changes: dict[str, Any], sentence: str) -> None:
    spec = _load(next(path for path in CONFIGS if path.stem == "synthetic-flat"))
    wrong = {**spec, **changes, "options": {**spec["options"], **changes.get("options", {})}}
    with pytest.raises(UserError) as raised:
        check_dataset(wrong, "toy")
    assert sentence in str(raised.value)


@pytest.mark.parametrize(
    ("dataset", "change", "message"),
    [
        ("synthetic-flat", {"side": 33}, "side: is 33; it must be even"),
        ("synthetic-flat", {"clips": {"dev": 3}}, "clips: has the part 'dev'"),
        ("synthetic-flat", {"discrepancy_beta": [0.0, 1.0]}, r"discrepancy_beta\[1\]: is 0.0"),
        ("synthetic-flat", {"slow": "both"}, "slow: is 'both'; use"),
        ("synthetic-flat", {"slow": "visual", "classes": 33}, "tell at most 32 apart"),
        ("synthetic-llp", {"scheme": "guessing"}, "kind synthetic-timeline, options, scheme: is 'guessing'; use"),
        ("synthetic-llp", {"duration": 4}, "duration: is 4; use 10"),
        ("synthetic-audioset", {"speech_share": 1}, "speech_share: is 1; it must be less than 1"),
        ("synthetic-audioset", {"test_share": 0.6}, "test_share: is 0.6"),
        ("synthetic-audioset", {"speech_discrepancy_beta": [0, 1]}, "speech_discrepancy_beta"),
        ("synthetic-audioset", {"clips": 9}, "clips: is 9"),
        ("grid-digits", {"test_talkers": ["s1"]}, "s1 is in talkers and in test_talkers"),
        ("grid-digits", {"region": [0.5, 0.0, 0.4, 1.0]}, "region: is .*; it needs left < right"),
        ("grid-digits", {"discrepancy_beta": None}, "a law of noise needs discrepancy_beta, snr_audio"),
        ("grid-digits", {"visual_noise": "blur", "snr_visual_db": [0.0, 9.0]}, "blur needs an snr_visual_db above 0"),
        ("grid-parsing", {"scheme": "guessing"}, "kind grid-timeline, options, scheme: is 'guessing'; use"),
    ],
)
def test_options_that_cannot_be_are_told_and_nothing_is_written(
    tmp_path: Path, dataset: str, change: dict[str, Any], message: str
) -> None:
    spec = _load(next(path for path in CONFIGS if path.stem == dataset))
    with pytest.raises(UserError, match=message):
        build("toy", {**spec, "options": {**spec["options"], **change}}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_stand_ins_do_not_share_a_seed() -> None:
    made = [spec for spec in map(_load, CONFIGS) if spec["kind"].startswith("synthetic")]
    seeds = [spec["options"]["seed"] for spec in made]
    assert len(seeds) >= 3 and len(set(seeds)) == len(seeds)
