"""The JSON schemas of what users edit, and sentences made from their violations."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.errors import UserError

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).resolve().parents[2] / "workflow" / "schemas"


@cache
def validator(name: str) -> Draft202012Validator:
    """Validator for workflow/schemas/<name>.schema.yaml; raises UserError when the file is absent."""
    import yaml
    from jsonschema import Draft202012Validator

    path = SCHEMAS / f"{name}.schema.yaml"
    try:
        schema = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; run avbalance from a checkout (pip install -e .).") from error
    return Draft202012Validator(schema)


def first_violation(name: str, value: Any) -> tuple[str, str] | None:
    """(where, what) of the most telling violation of a schema, or None; `where` is a dotted path.

    A violated alternative comes last: its message says only that nothing fitted.
    """
    errors = sorted(validator(name).iter_errors(value), key=lambda error: error.validator == "oneOf")
    if not errors:
        return None
    return ".".join(str(part) for part in errors[0].absolute_path), errors[0].message


def check(name: str, value: Any, where: str) -> None:
    """Raise UserError naming `where`, the key and the rule unless `value` satisfies the schema `name`."""
    violation = first_violation(name, value)
    if violation is not None:
        key, message = violation
        raise UserError(f"{where}, {key or 'top level'}: {message}; see workflow/schemas/{name}.schema.yaml.")
