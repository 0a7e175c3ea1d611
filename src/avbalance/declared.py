"""Declarations with types: what people write in YAML, checked key by key before anything runs.

A declaration is a class; its fields are the keys that may be written, with their defaults and a line of documentation
each. Of these classes are made: the sentence on a wrong key or value (file, place, nearest known name),
docs/reference/declarations.md, and the JSON schemas that editors read.

    class Margin(Declared):
        run: Run
        '''the run that is judged'''
        at_least: float = 0.0
        '''by how much it must exceed the others'''
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from avbalance.errors import Faults

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
OWN = "declared"  # type of the errors whose sentence is ours
SHOWN = 20  # names that a sentence lists at the most
Known = Mapping[str, Collection[str]]  # kind of name, as in the aliases below -> the names there are
_Any = TypeVar("_Any", bound="Declared")
_Item = TypeVar("_Item")


class Declared(BaseModel):
    """A declaration; wrong keys and values raise, numbers written as text do not pass for numbers."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            for key in given:
                if key not in known and key not in cls.model_fields:
                    raise refusal(f"unknown key {key!r}{nearest(str(key), known)}; known are {listed(known)}")
        return given


def refusal(sentence: str) -> PydanticCustomError:
    """What a validator raises so that people read `sentence`; it ends without a full stop."""
    return PydanticCustomError(OWN, "{sentence}", {"sentence": sentence})


def read(model: type[_Any], given: Any, where: str, known: Known | None = None) -> _Any:
    """The declaration that `given`, plain YAML, says; known: the names that may occur, by kind.

    Raises Faults: `where` (the file), the place in it and what is wrong there, for each place.
    """
    try:
        return model.model_validate(given, context=dict(known or {}))
    except ValidationError as error:
        places: dict[tuple[int | str, ...], list[ErrorDetails]] = {}
        for each in error.errors(include_url=False):
            places.setdefault(tuple(_written(each["loc"], given)), []).append(each)
        raise Faults([_sentence(where, _told(errors), given) for errors in places.values()]) from None


def _told(errors: list[ErrorDetails]) -> ErrorDetails:
    """The error that is told of those at one place: where a value may have several forms, a word's of words alone."""
    return next((e for e in errors if e["type"] != "literal_error" or isinstance(e["input"], str)), errors[0])


def nearest(name: str, known: Collection[str]) -> str:
    """The end of a sentence on an unknown name: which known one may be meant, if any."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}" if near else ""


def listed(known: Collection[str]) -> str:
    """Names in a sentence: all of a few, the first of many."""
    names = list(known)
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def among(kind: str, names: Collection[str]) -> AfterValidator:
    """Checks that a text is one of fixed names."""

    def check(name: str) -> str:
        if name not in names:
            raise refusal(f"there is no {kind} {name!r}{nearest(name, names)}; there are {listed(names)}")
        return name

    return AfterValidator(check)


def _sentence(where: str, error: ErrorDetails, given: Any) -> str:
    parts = _written(error["loc"], given)
    place = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")
    told, value, limits = error["msg"], error.get("input"), error.get("ctx", {})
    if error["type"] == "missing":
        key = error["loc"][-1]
        told = f"lacks the key {key!r}" if isinstance(key, str) else "has too few values"
    elif error["type"] == "literal_error":
        told = f"is {shown(value)}; use {limits['expected']}"
    elif error["type"] == "string_pattern_mismatch":
        told = f"is {value!r}; it must be of the form {limits['pattern']}"
    elif error["type"] != OWN:
        told = re.sub("^(Input|List|Tuple) should", "it must", told).replace(" after validation", "")
        told = re.sub(r"a valid dictionary( or instance of \w+)?", "keys with values", told)
        told = told.replace("a valid boolean", "true or false").replace("it must be None", "it must be null")
        told = f"is {shown(value)}; {told}{_as_number(value) if 'number' in told or 'integer' in told else ''}"
    return f"{where}{', ' if place else ''}{place}: {told}."


def shown(value: Any) -> str:
    """A value in a sentence; null as it is written in YAML."""
    return "null" if value is None else repr(value)


def _as_number(value: Any) -> str:
    """The end of a sentence on a text where a number is wanted: the number, if it says one (1e-3 is text in YAML)."""
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        return ""
    written = f"{number:g}".replace("e", ".0e") if number % 1 else f"{number:.0f}"
    return f" (write {written} without quotes)"


def _written(loc: tuple[int | str, ...], given: Any) -> list[int | str]:
    """The place of an error as it stands in the file: pydantic's says, besides, which of several forms it tried."""
    place: list[int | str] = []
    for part in loc:
        try:
            given = given[part]
        except (KeyError, IndexError, TypeError):
            continue
        place.append(part)
    return place


def check_name(kind: str, name: str, known: Known | None) -> str:
    """Refuses a name that is not among those of its kind, where the reader was given them; returns the name."""
    names = (known or {}).get(kind)
    if names is not None and name not in names:
        raise refusal(f"there is no {kind} {name!r}{nearest(name, names)}; there are {listed(names)}")
    return name


def named(kind: str) -> Callable[[str, ValidationInfo], str]:
    """A validator that checks a name against those of its kind."""
    return lambda name, info: check_name(kind, name, info.context)


Role = Annotated[str, AfterValidator(named("data set"))]  # of a paper: the name of a role
Run = Annotated[str, AfterValidator(named("run"))]
ScoredRun = Annotated[str, AfterValidator(named("run or reference"))]  # a run, or what looks at nothing
Metric = Annotated[str, AfterValidator(named("metric"))]
Condition = Annotated[str, AfterValidator(named("condition"))]


def _plain(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise refusal(f"{name!r} is no name; use letters, digits, '_', '.' and '-', and begin with a letter or digit")
    return name


# A name that the user gives, of a run, a data set, a paper or a role; it becomes a part of paths and of commands.
Name = Annotated[str, AfterValidator(_plain), WithJsonSchema({"type": "string", "pattern": NAME})]
ListedData = Annotated[Name, AfterValidator(named("file of config/datasets"))]
Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]
Above0 = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
TwoNumbers = Annotated[tuple[float, float], Field(strict=False)]  # a list of two numbers


def _from_low_to_high(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise refusal(f"is {list(bounds)}; the lower number comes first")
    return bounds


Range = Annotated[TwoNumbers, AfterValidator(_from_low_to_high)]


def _once(values: list[_Item]) -> list[_Item]:
    twice = [value for number, value in enumerate(values) if value in values[:number]]
    if twice:
        raise refusal(f"names {getattr(twice[0], 'value', twice[0])!r} twice")
    return values


Once = Annotated[list[_Item], AfterValidator(_once)]  # a list of different values
