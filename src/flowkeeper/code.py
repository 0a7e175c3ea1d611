"""A digest of exactly the code that a step uses, blind to comments, docstrings and layout.

Snakemake sees the command line of a rule, not the modules behind it. Every rule therefore carries, as a parameter, the
digest of the import closure of its entry modules; an edited module re-runs the steps that use it and no others.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowkeeper.errors import UserError
from flowkeeper.files import atomic_path

DIGEST_VERSION = "2"  # how code is compared; another one trains everything again


@dataclass(frozen=True)
class Code:
    """The packages whose modules count as code of the workflow, each with its folder.

    cache: file that keeps what was read of each module, relative to the folder that snakemake works in; every call of
    snakemake asks for all digests again. elsewhere: tells the place, without suffix, of modules that do not lie in
    their package's folder; None for others.
    """

    packages: Mapping[str, Path]
    cache: Path | None = None
    elsewhere: Callable[[str], Path | None] = lambda name: None
    _files: dict[str, Path | None] = field(default_factory=dict, compare=False, repr=False)

    def digest(self, *entries: str) -> str:
        """Digest (16 hex digits) of the import closure of the modules `entries`.

        Dynamically imported modules are invisible to the closure and must be named as entries. Raises UserError when
        an entry does not exist.
        """
        return digest_of(self.closure(*entries))

    def closure(self, *entries: str) -> dict[str, str]:
        """Module -> digest, for every module that `entries` import, directly or not, packages included."""
        absent = next((entry for entry in entries if self.file(entry) is None), None)
        if absent is not None:
            raise UserError(f"{absent}: no such module; a rule or a declaration names code that does not exist.")
        facts = _Facts(self)
        pending, digests = list(entries), dict[str, str]()
        while pending:
            name = pending.pop()
            if name not in digests and self.file(name) is not None:
                digests[name], imported = facts.of(name)
                parts = name.split(".")
                # Importing a.b.c runs a/__init__.py and a/b/__init__.py too.
                pending += [".".join(parts[:depth]) for depth in range(1, len(parts))] + imported
        facts.save()
        return dict(sorted(digests.items()))

    def modules(self, names: Iterable[str]) -> dict[str, str]:
        """Module -> digest, for those of `names` that exist."""
        facts = _Facts(self)
        digests = {name: facts.of(name)[0] for name in names if self.file(name) is not None}
        facts.save()
        return digests

    def file(self, name: str) -> Path | None:
        """Source file of a module, or None when there is none (the name is an attribute, or foreign)."""
        if name not in self._files:
            self._files[name] = self._find(name)
        return self._files[name]

    def _find(self, name: str) -> Path | None:
        package, *rest = name.split(".")
        if package not in self.packages:
            return None
        base = self.elsewhere(name) or self.packages[package].joinpath(*rest)
        candidates = [base / "__init__.py", *([base.with_suffix(".py")] if rest else [])]
        return next((path for path in candidates if path.is_file()), None)


def digest_of(modules: Mapping[str, str]) -> str:
    """The code digest of a closure, given as module -> digest."""
    text = "\n".join([DIGEST_VERSION, *(f"{name} {modules[name]}" for name in sorted(modules))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Facts:
    """Digest and imports of single modules, by the content of their files."""

    def __init__(self, code: Code) -> None:
        self._code = code
        self._known: dict[str, tuple[str, list[str]]] = {}
        self._new = False
        if code.cache is not None and code.cache.is_file():
            try:
                self._known = {key: (value[0], value[1]) for key, value in json.loads(code.cache.read_text()).items()}
            except (ValueError, AttributeError, IndexError, TypeError):
                self._known = {}

    def of(self, name: str) -> tuple[str, list[str]]:
        file = self._code.file(name)
        assert file is not None, name
        source = file.read_bytes()
        is_package = file.name == "__init__.py"
        key = hashlib.sha256(f"{DIGEST_VERSION} {name} {is_package}\n".encode() + source).hexdigest()
        if key not in self._known:
            tree = ast.parse(source)
            imported = imported_modules(tree, name, is_package)  # first: the docstrings are taken out of the tree then
            own = sorted(each for each in imported if each.split(".")[0] in self._code.packages)
            self._known[key] = (module_digest(tree), own)
            self._new = True
        return self._known[key]

    def save(self) -> None:
        if self._code.cache is not None and self._new:
            with atomic_path(self._code.cache) as temporary:
                temporary.write_text(json.dumps(self._known))


def module_digest(tree: ast.Module) -> str:
    """sha256 of a module's syntax tree, from which the docstrings are removed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            # True counts as 1: the first statement goes if it is a docstring.
            del node.body[: ast.get_docstring(node, clean=False) is not None]
    return hashlib.sha256(ascii(_shape(tree)).encode()).hexdigest()


def _shape(node: Any) -> Any:
    """A syntax tree as nested lists. Unlike `ast.dump` it is the same on every version of Python.

    Versions differ in the empty fields that they have, so these are left out.
    """
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
        return [type(node).__name__, *((name, _shape(value)) for name, value in fields)]
    return [_shape(each) for each in node] if isinstance(node, list) else node


def imported_modules(tree: ast.Module, name: str, is_package: bool) -> set[str]:
    """Names that the module `name` imports anywhere, except for type checking only: modules or attributes."""
    names: set[str] = set()
    for node in _nodes_that_run(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, name, is_package)
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return names


def _absolute(node: ast.ImportFrom, name: str, is_package: bool) -> str:
    if node.level == 0:
        return node.module or ""
    parts = name.split(".")
    anchor = parts[: len(parts) - node.level + is_package]
    return ".".join([*anchor, node.module] if node.module else anchor)


def _nodes_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        # Imports for type checking never run: only the other branch counts.
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            node = ast.Module(node.orelse, [])
        yield node
        yield from _nodes_that_run(node)
