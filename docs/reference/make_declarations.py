"""Write docs/reference/declarations.md and workflow/schemas/ from the classes of all that is written in YAML.

Usage: python docs/reference/make_declarations.py. A further class stands in CHAPTERS; those that it names come along.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from avbalance.data.clip_rows import ClipRow
from avbalance.data.sources import DatasetFile, kinds, source_class
from avbalance.declared import Declared
from avbalance.models import base as models
from avbalance.plan.declarations import FILES, Configuration, DeclaredPaper, SettingsLayer
from avbalance.training.protocol import Protocol
from avbalance.training.tasks import base as tasks
from flowkeeper.files import atomic_path

PAGE = Path(__file__).with_name("declarations.md")
SCHEMAS = Path(__file__).parents[2] / "workflow" / "schemas"
HEAD = """# Declarations

Every key that may be written in YAML, by file. Made from the classes in `src/avbalance` by
`python docs/reference/make_declarations.py`; do not edit. A wrong key or value ends planning with a sentence that names
it. Editors that know JSON schemas find them in `workflow/schemas/`. How configurations are laid over each other:
[configuration](configuration.md). Options of methods: [methods](methods.md).
"""
OPTIONS = {kind: source_class(kind, "kind") for kind in kinds()}
DATA_SETTINGS = [tasks.task_class(name, "task").Settings for name in tasks.names()]
CHAPTERS: dict[str, list[type[Declared]]] = {
    "Configurations: config/tiers/, config/user/": [Configuration],
    "Papers: workflow/papers/": [DeclaredPaper, *FILES.values()],
    "Data sets: config/datasets/": [DatasetFile, *OPTIONS.values()],
    "A row of your own folder's manifest.csv": [ClipRow],
    "Settings of runs: data": DATA_SETTINGS,
    "Settings of runs: model": [models.load(name).Settings for name in models.names()],
    "Settings of runs: protocol": [Protocol],
}


def page() -> str:
    """The whole page: a chapter per file, a table per class."""
    lines, shown = [HEAD], set[str]()
    for title, classes in CHAPTERS.items():
        lines += [f"## {title}", ""]
        for model in classes:
            for name, schema in classes_of(model):
                if name not in shown:
                    shown.add(name)
                    lines += section(name, schema)
    return "\n".join(lines)


def classes_of(model: type[Declared]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and JSON schema of a class, then of those that it names."""
    schema = model.model_json_schema()
    further = schema.pop("$defs", {})
    name = str(schema["title"] if "title" in schema else schema["$ref"].rpartition("/")[2])
    yield name, further.pop(name, schema)  # a class that names itself stands among the others
    yield from further.items()


def section(name: str, schema: Mapping[str, Any]) -> list[str]:
    """One class: what it is, and a row for each key."""
    lines = [f"### {name}", "", one_line(schema.get("description", "")), ""]
    lines += ["| Key | Value | Default | Meaning |", "|---|---|---|---|"]
    required = schema.get("required", ())
    for key, of_key in schema.get("properties", {}).items():
        default = "needed" if key in required else f"`{json.dumps(of_key.get('default'))}`"
        cells = (f"`{key}`", value_of(of_key), default, one_line(of_key.get("description", "")))
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return [*lines, ""]


def one_line(text: str) -> str:
    return " ".join(text.split())


def value_of(schema: Mapping[str, Any]) -> str:
    """What may stand in the place of a value, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        words = [value_of(each) for each in schema["anyOf"]]
        return (", or " if any(":" in word for word in words) else " or ").join(words)
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{each}`" for each in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "anything")
    if kind == "array":
        several = schema.get("prefixItems")
        return f"{len(several)} of: {value_of(several[0])}" if several else f"list of: {value_of(schema['items'])}"
    if kind == "object":
        inner = schema.get("additionalProperties", schema.get("patternProperties", {}))
        inner = next(iter(inner.values())) if "patternProperties" in schema else inner
        return f"mapping to: {value_of(inner)}" if isinstance(inner, dict) and inner else "mapping"
    return {"integer": "whole number", "string": "text", "boolean": "true or false"}.get(kind, kind) + limits(schema)


def limits(schema: Mapping[str, Any]) -> str:
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    return "".join(f", {word} {schema[key]:g}" for key, word in words.items() if key in schema)


def schemas() -> dict[str, dict[str, Any]]:
    """Name of a file of workflow/schemas -> its JSON schema."""
    classes = {"config": Configuration, "paper": DeclaredPaper, **FILES}
    files = {name: with_settings(model.model_json_schema()) for name, model in classes.items()}
    pair = {"value": {}, "source": {"type": "string"}}
    for name in ("paper", *FILES):
        files[name] = sourced(files[name])
        files[name].setdefault("$defs", {})["Sourced"] = {
            "type": "object", "required": list(pair), "additionalProperties": False, "properties": pair,
        }  # fmt: skip
    return {**files, "dataset": dataset_schema(), "manifest": ClipRow.model_json_schema()}


def dataset_schema() -> dict[str, Any]:
    """That of a data set, whose kind says which options there are."""
    schema = DatasetFile.model_json_schema()
    schema["properties"]["kind"]["enum"] = list(OPTIONS)
    schema["properties"]["base"] = {
        "type": "string",
        "description": "another file whose keys count where this has none",
    }
    del schema["required"]  # the base may have them
    schema["$defs"], schema["allOf"] = {}, []
    for kind, model in OPTIONS.items():
        of_kind = model.model_json_schema()
        schema["$defs"] |= {**of_kind.pop("$defs", {}), kind: of_kind}
        then = {"properties": {"options": {"$ref": f"#/$defs/{kind}"}}}
        schema["allOf"].append({"if": {"properties": {"kind": {"const": kind}}}, "then": then})
    return schema


def with_settings(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema; of a layer of settings, the keys of data and protocol are known."""
    layer = schema.get("$defs", {}).get(SettingsLayer.__name__)
    if layer is not None:
        for part, classes in (("data", DATA_SETTINGS), ("protocol", [Protocol])):
            layer["properties"][part] |= {"additionalProperties": False, "properties": merged_properties(classes)}
    return schema


def merged_properties(classes: Iterable[type[Declared]]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for model in classes:
        properties |= model.model_json_schema()["properties"]
    return properties


def sourced(schema: Any) -> Any:
    """The same schema, where every plain value may also be {value, source}."""
    if isinstance(schema, list):
        return [sourced(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: sourced(value) for key, value in schema.items()}
    if isinstance(kept.get("properties"), dict):
        kept["properties"] = {key: with_source(value) for key, value in kept["properties"].items()}
    return kept


def untitled(schema: Any) -> Any:
    """The same schema without the titles, which repeat the keys."""
    if isinstance(schema, list):
        return [untitled(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: untitled(value) for key, value in schema.items() if key != "title" or isinstance(value, dict)}


def with_source(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") in ("object", "array") or "$ref" in schema or "allOf" in schema:
        return schema
    described = {"description": schema["description"]} if "description" in schema else {}
    plain = {key: value for key, value in schema.items() if key != "description"}
    return {**described, "anyOf": [*plain.pop("anyOf", []), *([plain] if plain else []), {"$ref": "#/$defs/Sourced"}]}


def schema_text(schema: Mapping[str, Any]) -> str:
    """A schema as it stands in its file."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    told = "# Made by docs/reference/make_declarations.py; do not edit.\n"
    return told + yaml.safe_dump({**head, **untitled(schema)}, sort_keys=False, default_flow_style=None, width=120)


def files() -> dict[Path, str]:
    """Everything that is made: path -> text."""
    return {
        PAGE: page(),
        **{SCHEMAS / f"{name}.schema.yaml": schema_text(schema) for name, schema in schemas().items()},
    }


if __name__ == "__main__":
    for path, text in files().items():
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
