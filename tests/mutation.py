"""Changing a line of code in a copy of the repository and seeing whether a test fails; the lines stand in mutants.py.

Every change is made in a fresh copy in a temporary folder, and only the tests named `test_item_<number>_...` run on it.
A line is found by its tokens, so that it may be laid out anew; where names have changed, it is the one with the same
tokens otherwise; where its file has moved, the package is searched.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import Match, SequenceMatcher
from itertools import pairwise
from keyword import iskeyword
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
COPIED = ("src", "tests", "workflow", "config", "pyproject.toml")
GUARD = """import avbalance
from pathlib import Path

assert Path(avbalance.__file__).is_relative_to(Path(__file__).parents[1]), avbalance.__file__
"""


@dataclass(frozen=True)
class Mutant:
    """Item of the checklist, file, a line or a part of one, what replaces it, and the tests' file."""

    item: int
    path: str
    old: str
    new: str
    tests: str


def main(mutants: Sequence[Mutant]) -> int:
    """Run all mutants (or those of the items on the command line); returns the exit status: 1 when one survives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("items", nargs="*", type=int, help="items of the checklists of all papers; all by default")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    chosen = [mutant for mutant in mutants if not options.items or mutant.item in options.items]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = snapshot(folder / "whole")
        problems = [
            f"item {mutant.item}, {mutant.path}: {mutant.old!r} is not there once; mend tests/mutants.py"
            for mutant in chosen
            if change(mutant, whole) is None
        ]
        if not problems:
            done = run_tests(whole, sorted({mutant.tests for mutant in chosen}), "item")
            problems = [] if done.returncode == 0 else [f"without any mutation tests fail:\n{done.stdout}{done.stderr}"]
        if problems:
            print("\n".join(problems))
            return 1
        failed = 0
        with ThreadPoolExecutor(options.jobs) as pool:
            for mutant, (killed, text) in zip(
                chosen, pool.map(lambda mutant: judge(mutant, whole), chosen), strict=True
            ):
                print(f"item {mutant.item}: {text}", flush=True)
                failed += not killed
    print(f"{len(chosen)} mutants, {failed} not killed, {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


def snapshot(place: Path) -> Path:
    """Copy what the tests need, with a plugin that ends a run in which another avbalance is imported."""
    for name in COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copyfile(source, place / name)
    (place / "src" / "mutant_guard.py").write_text(GUARD, encoding="utf-8")
    return place


_TOKEN = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|\w+(?:\.\d+)?|[^\w\s]")


def tokens(text: str) -> list[re.Match[str]]:
    """The words, numbers, texts and signs of a piece of code; spaces and line ends do not count."""
    return list(_TOKEN.finditer(text))


def is_name(token: str) -> bool:
    return token.isidentifier() and not iskeyword(token)


def matches(pattern: Sequence[str], code: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Where `code` has the tokens of `pattern`, names aside, and the name there for each name in it."""
    for start in range(len(code) - len(pattern) + 1):
        names: dict[str, str] = {}
        for wanted, there in zip(pattern, code[start:], strict=False):
            if is_name(wanted) and is_name(there):
                if names.setdefault(wanted, there) != there:
                    break
            elif wanted != there:
                break
        else:
            yield start, names


def mutated(text: str, old: str, new: str, same_names: bool = False) -> str | None:
    """The file `text` with `new` in the place of `old`; None where it is not there once.

    Of the places with other names or another layout that with the most of the same names counts, if it has half of them
    or is the only one; with same_names it must have all.
    """
    if text.count(old) == 1:
        return text.replace(old, new)
    code, pattern = tokens(text), [token[0] for token in tokens(old)]
    places = list(matches(pattern, [token[0] for token in code]))
    alike = [sum(name == there for name, there in names.items()) for _, names in places]
    names_in_all = len(set(filter(is_name, pattern)))
    least = names_in_all if same_names else 0 if len(places) == 1 else names_in_all / 2
    if not places or alike.count(max(alike)) > 1 or max(alike) < least:
        return None
    start, names = places[alike.index(max(alike))]
    put, changed = tokens(new), text
    blocks = SequenceMatcher(None, pattern, [token[0] for token in put], autojunk=False).get_matching_blocks()
    # From the last difference to the first; what is the same keeps its layout.
    for before, after in reversed(list(pairwise([Match(0, 0, 0), *blocks]))):
        begin, put_begin = before.a + before.size, before.b + before.size
        if (begin, put_begin) != (after.a, after.b):
            words = new[put[put_begin - 1].end() if put_begin else 0 : put[after.b].start() if after.size else None]
            for name, there in names.items():
                words = re.sub(rf"\b{name}\b", there, words)
            first = code[start + begin - 1].end() if begin else code[start].start()
            last = code[start + after.a].start() if after.size else code[start + len(pattern) - 1].end()
            changed = changed[:first] + words + changed[last:]
    return changed


def change(mutant: Mutant, place: Path) -> tuple[Path, str] | None:
    """The file in `place`, a repository, that the mutant changes, and its changed text; None where it fits nowhere."""
    stated = place / mutant.path
    if stated.is_file():
        text = mutated(stated.read_text(encoding="utf-8"), mutant.old, mutant.new)
        return (stated, text) if text is not None else None
    texts = {path: path.read_text(encoding="utf-8") for path in (place / "src").rglob("*.py")}
    holding = {
        path: changed for path, text in texts.items() if (changed := mutated(text, mutant.old, mutant.new, True))
    }
    return next(iter(holding.items())) if len(holding) == 1 else None


def run_tests(place: Path, files: Sequence[str], keyword: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of `files` whose names hold `keyword`, on the package that lies in `place`."""
    environment = {
        **os.environ, "PYTHONPATH": str(place / "src"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    options = ["-x", "-q", "--tb=line", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "mutant_guard", "-k", keyword]
    command = [sys.executable, "-m", "pytest", *options, *files]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)


def judge(mutant: Mutant, whole: Path) -> tuple[bool, str]:
    """Whether a test of its item kills the mutant, and a line to print."""
    with tempfile.TemporaryDirectory(dir=whole.parent) as name:
        place = Path(name) / "repository"
        shutil.copytree(whole, place)
        path, text = change(mutant, place) or (place / mutant.path, "")
        path.write_text(text, encoding="utf-8")
        done = run_tests(place, [mutant.tests], f"item_{mutant.item:02d}")
    killer = re.search(r"^(?:FAILED|ERROR) (\S+::\S+)", done.stdout, flags=re.MULTILINE)
    if done.returncode == 1 and killer:
        return True, f"killed by {killer[1]}"
    told = f"{mutant.path}: {mutant.old.strip()!r} -> {mutant.new.strip()!r}"
    if done.returncode == 0:
        return False, f"SURVIVED: {told}"
    return False, f"BROKEN, pytest ended with {done.returncode}: {told}\n{done.stdout}{done.stderr}"
