"""A digest of exactly the code that a step uses, blind to comments, docstrings and layout.

Snakemake sees the command line of a rule, not the modules behind it. Every rule therefore carries, as a parameter, the
digest of the import closure of its entry modules; an edited module re-runs the steps that use it and no others.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from avbalance.errors import UserError
from avbalance.files import atomic_path
from avbalance.papers import folder_of

PACKAGE = "avbalance"
SOURCE = Path(__file__).resolve().parents[1]
DIGEST_VERSION = "1"
DIGEST_CACHE = Path(".avbalance/digests.json")  # below the folder that the workflow runs in
_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
_BLOCK = {tokenize.INDENT: "<indent>", tokenize.DEDENT: "<dedent>", tokenize.NEWLINE: "<newline>"}


def code_digest(*entries: str, cache_file: Path | None = None) -> str:
    """Digest (16 hex digits) of the import closure of the modules `entries`, e.g. "avbalance.training.cell".

    Dynamically imported modules (a method, a model) are invisible to the closure and must be named as entries.
    Raises UserError when an entry does not exist.
    """
    return digest_of(closure_digests(*entries, cache_file=cache_file))


def closure_digests(*entries: str, cache_file: Path | None = None) -> dict[str, str]:
    """Module -> token digest, for every module of the import closure of `entries`; raises UserError as above."""
    facts = _FactCache(cache_file)
    digests = {name: facts.of(name)[0] for name in sorted(_closure(entries, facts))}
    facts.save()
    return digests


def module_digests(names: Iterable[str], cache_file: Path | None = None) -> dict[str, str]:
    """Module -> token digest, for those of `names` that exist."""
    facts = _FactCache(cache_file)
    digests = {name: facts.of(name)[0] for name in names if module_file(name) is not None}
    facts.save()
    return digests


def digest_of(modules: Mapping[str, str]) -> str:
    """The code digest of a closure, given as module -> token digest."""
    text = "\n".join([DIGEST_VERSION, *(f"{name} {modules[name]}" for name in sorted(modules))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def closure(*entries: str) -> set[str]:
    """Names of all avbalance modules that `entries` import, directly or not, packages included."""
    return _closure(entries, _FactCache(None))


def _closure(entries: Iterable[str], facts: _FactCache) -> set[str]:
    pending, found = list(entries), set[str]()
    for entry in pending:
        if module_file(entry) is None:
            raise UserError(f"{entry}: no such module; a rule or a declaration names code that does not exist.")
    while pending:
        name = pending.pop()
        if name in found or module_file(name) is None:
            continue
        found.add(name)
        parts = name.split(".")
        pending += [".".join(parts[:depth]) for depth in range(1, len(parts))]
        pending += facts.of(name)[1]
    return found


@cache
def module_file(name: str) -> Path | None:
    """Source file of an avbalance module, or None when there is none (the name is an attribute, or foreign)."""
    parts = name.split(".")
    if parts[0] != PACKAGE:
        return None
    base = SOURCE.joinpath(*parts[1:])
    if parts[1:2] == ["papers"] and parts[2:]:  # code of a paper, in the paper's own folder
        base = folder_of(parts[2]).joinpath(*parts[3:])
    for candidate in (base / "__init__.py", base.with_suffix(".py") if parts[1:] else base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


class _FactCache:
    """Token digest and imports per file content; kept on disk because every `snakemake` call asks again."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, tuple[str, list[str]]] = {}
        self._names: dict[str, tuple[str, list[str]]] = {}
        self._dirty = False
        if path is not None and path.is_file():
            try:
                self._known = {key: (value[0], value[1]) for key, value in json.loads(path.read_text()).items()}
            except (ValueError, AttributeError, IndexError, TypeError):
                self._known = {}

    def of(self, name: str) -> tuple[str, list[str]]:
        if name not in self._names:
            file = module_file(name)
            assert file is not None, name
            source = file.read_bytes()
            is_package = file.name == "__init__.py"
            key = hashlib.sha256(f"{DIGEST_VERSION} {name} {is_package}\n".encode() + source).hexdigest()
            if key not in self._known:
                text = source.decode("utf-8")
                self._known[key] = (token_digest(text), sorted(imported_modules(text, name, is_package)))
                self._dirty = True
            self._names[name] = self._known[key]
        return self._names[name]

    def save(self) -> None:
        if self._path is not None and self._dirty:
            with atomic_path(self._path) as temporary:
                temporary.write_text(json.dumps(self._known))
            self._dirty = False


def token_digest(source: str) -> str:
    """sha256 over the tokens of `source` without comments, docstrings, blank lines and line wrapping."""
    docstrings = _docstrings(ast.parse(source))
    hasher = hashlib.sha256()
    last_line = 0  # of the docstring that is being skipped, with the line end that belongs to it
    for start, text in _tokens(source):
        last_line = docstrings.get(start, last_line)
        if last_line:
            if text in (_BLOCK[tokenize.NEWLINE], ";") and start[0] >= last_line:
                last_line = 0
            continue
        hasher.update(text.encode() + b"\0")
    return hasher.hexdigest()


def _docstrings(tree: ast.Module) -> dict[tuple[int, int], int]:
    """Start position (line from 1, column) -> last line of every docstring."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                text = first.value
                found[(text.lineno, text.col_offset)] = text.end_lineno or text.lineno
    return found


def _tokens(source: str) -> Iterator[tuple[tuple[int, int], str]]:
    """Tokens as (start, text); an f-string is one token on every Python version (3.12 splits it)."""
    lines = source.splitlines(keepends=True)
    depth, opened = 0, (0, 0)
    start_type, end_type = getattr(tokenize, "FSTRING_START", -1), getattr(tokenize, "FSTRING_END", -1)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == start_type:
            if depth == 0:
                opened = token.start
            depth += 1
        elif token.type == end_type:
            depth -= 1
            if depth == 0:
                yield opened, _slice(lines, opened, token.end)
        elif depth == 0 and token.type not in _LAYOUT:
            yield token.start, _BLOCK.get(token.type, token.string)


def _slice(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]]
    middle = lines[start[0] : end[0] - 1]
    return "".join([lines[start[0] - 1][start[1] :], *middle, lines[end[0] - 1][: end[1]]])


def imported_modules(source: str, name: str, is_package: bool) -> set[str]:
    """Avbalance modules that `source` (of module `name`) imports anywhere, except for type checking only."""
    found: set[str] = set()
    for node in _runtime_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, name, is_package)
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return {module for module in found if module.split(".")[0] == PACKAGE and module_file(module) is not None}


def _absolute(node: ast.ImportFrom, name: str, is_package: bool) -> str:
    if node.level == 0:
        return node.module or ""
    parts = name.split(".")
    anchor = parts[: len(parts) - node.level + (1 if is_package else 0)]
    return ".".join([*anchor, node.module] if node.module else anchor)


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for other in node.orelse:
                yield other
                yield from _runtime_nodes(other)
            continue
        yield node
        yield from _runtime_nodes(node)
