"""Settings of a run: read whole into classes, and refused with their place and the nearest key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_cell import tiny_settings

from avbalance.data.sources.built import BuiltOptions
from avbalance.errors import UserError
from avbalance.plan.config import load_yaml
from avbalance.training.settings import check, read_settings

REPOSITORY = Path(__file__).parents[2]


def test_all_four_parts_are_read() -> None:
    found = read_settings("ogm-ge", tiny_settings(method={"alpha": 0.5}), "settings")
    assert (found.method.name, found.method.options.alpha, found.task.name) == ("ogm-ge", 0.5, "classification")
    assert (found.model.name, found.data.frames, found.protocol.epochs) == ("fusion-net", 2, 3)


@pytest.mark.parametrize(
    ("method", "changes", "sentence"),
    [
        ("ogm-ge", {"method": {"alhpa": 1}}, "method: unknown key 'alhpa'; did you mean 'alpha'"),
        ("ogm-ge", {"model": {"widht": 8}}, "model: unknown key 'widht'; did you mean 'width'"),
        ("ogm-ge", {"protocol": {"ephocs": 3}}, "protocol: unknown key 'ephocs'; did you mean 'epochs'"),
        ("ogm-ge", {"data": {"frame": 1}}, "data: unknown key 'frame'; did you mean 'frames'"),
        ("ogm-ge", {"data": {"task": "captioning"}}, "data, task: is 'captioning'; there are classification"),
        ("ogm-ge", {"data": {"frames": "2"}}, "data, frames: is '2'; it must be a valid integer"),
        (
            "ogm-ge",
            {"data": {"crop_scale": [1.0, 0.5]}},
            "data, crop_scale: is [1.0, 0.5]; the lower number comes first",
        ),
        ("ogm-ge", {"protocol": {"select": "test"}}, "protocol, select: is 'test'; use 'validation' or 'last'"),
        ("ogm-ge", {"protocol": {"precision": "fp16"}}, "protocol, precision: is 'fp16'; use 'fp32' or 'bf16'"),
        ("ogm-ge", {"protocol": {"decay_at": [3]}}, "protocol: set one of decay_every and decay_at"),
        ("ogm-ge", {"protocol": {"metric": "event_A"}}, "protocol, metric: is 'event_A'; task classification has"),
        ("ogm-ge", {"model": {"name": "fusion"}}, "model: no model named 'fusion'; did you mean 'fusion-net'"),
        ("ogm-gee", {}, "no method named 'ogm-gee'; did you mean 'ogm-ge'"),
    ],
)
def test_what_is_wrong_is_one_sentence_before_anything_is_made(
    method: str, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError) as raised:
        check(method, tiny_settings(**changes), "paper x, run y")
    assert sentence in str(raised.value)
    assert str(raised.value).startswith("paper x, run y")


def test_a_missing_part_and_a_foreign_one_are_refused() -> None:
    settings = tiny_settings()
    del settings["protocol"]["epochs"]
    with pytest.raises(UserError, match=r"a, settings\.protocol: lacks the key 'epochs'"):
        check("baseline", settings, "a")
    with pytest.raises(UserError, match="a, settings: unknown key 'modle'; did you mean 'model'"):
        check("baseline", {**tiny_settings(), "modle": {}}, "a")


def test_the_models_that_a_set_is_built_with_are_checked_as_runs() -> None:
    spec = load_yaml(REPOSITORY / "config" / "datasets" / "synthetic-balanced.yaml")
    for settings in BuiltOptions.of(spec).estimators.runs().values():
        check("unimodal", settings, "a")
    spec["options"]["estimators"]["model"]["widht"] = 8
    for settings in BuiltOptions.of(spec).estimators.runs().values():
        with pytest.raises(UserError, match=r"^a, settings\.model: unknown key 'widht'; did you mean 'width'"):
            check("unimodal", settings, "a")
