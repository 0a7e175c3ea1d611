"""Declarations with types: every wrong key, value and name is told with its place and the nearest known name."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from avbalance.declared import Declared, Range, Role, Run, read
from avbalance.errors import UserError


class Block(Declared):
    """A comparison."""

    run: Run
    """the run that is judged"""
    at_least: float = 0.0
    """by how much it must exceed the others"""
    over: Literal["each", "mean"] = "each"
    """one comparison per metric, or one of their mean"""
    datasets: list[Role] = Field(default=[])
    """where"""


class Claim(Declared):
    """A claim."""

    tests: list[Block]
    """its comparisons"""


KNOWN = {"run": ["ours", "baseline"], "data set": ["cremad"]}


def test_what_is_left_out_has_its_default_and_whole_numbers_are_numbers() -> None:
    claim = read(Claim, {"tests": [{"run": "ours", "at_least": 2}]}, "claims.yaml", KNOWN)
    assert claim.tests == [Block(run="ours", at_least=2.0)]


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ({"run": "ours", "at_leats": 2}, r"tests\[1\]: unknown key 'at_leats'; did you mean 'at_least'; known are run"),
        ({"run": "our"}, r"tests\[1\]\.run: there is no run 'our'; did you mean 'ours'; there are ours, baseline\."),
        (
            {"run": "ours", "datasets": ["cremad", "x"]},
            r"tests\[1\]\.datasets\[2\]: there is no data set 'x'",
        ),
        ({"run": "ours", "at_least": "2"}, r"tests\[1\]\.at_least: is '2'; it must .* \(write 2 without quotes\)\."),
        ({"run": "ours", "over": "meen"}, r"tests\[1\]\.over: is 'meen'; use 'each' or 'mean'\."),
        ({"at_least": 1}, r"tests\[1\]: lacks the key 'run'\."),
        ({"run": "ours", "datasets": "cremad"}, r"tests\[1\]\.datasets: is 'cremad'; it must be a valid list\."),
    ],
)
def test_a_wrong_key_or_value_is_told_with_file_place_and_nearest_name(block: object, told: str) -> None:
    with pytest.raises(UserError, match=rf"^claims\.yaml, {told}"):
        read(Claim, {"tests": [block]}, "claims.yaml", KNOWN)


def test_a_range_goes_from_low_to_high() -> None:
    assert TypeAdapter(Range).validate_python([-3, 2.5]) == (-3.0, 2.5)
    with pytest.raises(ValidationError, match=r"is \[2.0, -3.0\]; the lower number comes first"):
        TypeAdapter(Range).validate_python([2, -3])


def test_the_top_of_a_file_has_no_place() -> None:
    with pytest.raises(UserError, match=r"^claims\.yaml: unknown key 'tets'; did you mean 'tests'"):
        read(Claim, {"tets": []}, "claims.yaml")


def test_names_are_free_where_none_are_known() -> None:
    assert read(Block, {"run": "anything"}, "claims.yaml").run == "anything"


def test_every_field_carries_its_line_of_documentation() -> None:
    assert Block.model_json_schema()["properties"]["run"]["description"] == "the run that is judged"
