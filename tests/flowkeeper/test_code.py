"""The code digest: blind to comments, docstrings and layout, and to nothing else."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from flowkeeper.code import Code, digest_of, imported_modules, module_digest
from flowkeeper.errors import UserError

SOURCE = '''"""What it is."""
import math


class Thing:
    """A thing."""

    size = 3

    def area(self, scale: float = 1.0) -> float:
        """Area in square metres.

        Of a circle.
        """
        if scale > 0:  # always
            return math.pi * scale * self.size**2
        return 0.0
'''


def digest(source: str) -> str:
    return module_digest(ast.parse(source))


def imports(source: str, name: str, is_package: bool) -> set[str]:
    return imported_modules(ast.parse(source), name, is_package)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # always", ""),
        ("  # always", "  # sometimes"),
        ('"""A thing."""', '"""Another thing, told at length."""'),
        ('"""A thing."""', "'A thing.'"),
        ('"""A thing."""', '"A thing" " in two parts."'),
        ('    """A thing."""\n\n', ""),
        ('"""What it is."""\n', '"""What\n\nit is."""\n\n\n# and why\n'),
        ("Of a circle.\n", "Of a circle:\n\n    def area(): return 1\n"),
        ("\n\n\nclass", "\nclass"),
        ("size = 3\n", "size = 3\n\n\n\n"),
        ("self.size**2", "(self.size**2)"),
        ("1.0", "1.00"),
        ("(self, scale: float = 1.0)", "(\n        self,\n        # how much\n        scale: float = 1.0\n    )"),
        ("import math\n", "import math  \n"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(old: str, new: str) -> None:
    assert SOURCE.count(old) == 1
    assert digest(SOURCE.replace(old, new)) == digest(SOURCE)


def test_indentation_depth_and_lines_do_not_count() -> None:
    assert digest("if a:\n    b\n    c\n") == digest("if a:\n  b; c\n")
    assert digest("if a:\n    b\n    c\n") != digest("if a:\n    b\nc\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("scale > 0", "scale >= 0"),
        ("size = 3", "size = 3.0"),
        ("return 0.0", "return -0.0"),
        ("import math", "import cmath as math"),
        ("import math", "import math, os"),
        ("def area", "def surface"),
        ("            return math", "            pass\n        return math"),
        ("    size = 3\n", '    size = 3\n    "a string that is no docstring"\n'),
        ("scale: float = 1.0", "scale: int = 1.0"),
    ],
)
def test_code_counts(old: str, new: str) -> None:
    assert SOURCE.count(old) == 1
    assert digest(SOURCE.replace(old, new)) != digest(SOURCE)


def test_strings_and_f_strings_count_whole() -> None:
    sources = [
        'x = f"{a} b"\n',
        'x = f"{a}  b"\n',
        'x = f"{a!r} b"\n',
        'x = f"{c} b"\n',
        'x = "{a} b"\n',
        "x = b'{a} b'\n",
    ]
    assert len({digest(source) for source in sources}) == len(sources)
    nested = "x = f\"{f(f'{a}')} b\" + y\n"
    assert digest(nested) != digest(nested.replace("{a}", "{b}"))
    assert digest(nested) != digest(nested.replace("+ y", "+ z"))
    text = 'def f():\n    """Doc."""\n    return """# no comment\n\n    """\n'
    assert digest(text) != digest(text.replace("no comment", "comment"))


def test_imports_absolute_relative_and_late() -> None:
    source = (
        "import steps.files\nfrom steps import errors, nothing\nfrom . import digest\n"
        "from .config import merge\nfrom ..training import streams\n"
        "def f():\n    from steps.data import manifest\n"
    )
    assert imports(source, "steps.plan.sheet", is_package=False) == {
        "steps", "steps.files", "steps.errors", "steps.nothing", "steps.plan", "steps.plan.digest",
        "steps.plan.config", "steps.plan.config.merge", "steps.training", "steps.training.streams", "steps.data",
        "steps.data.manifest",
    }  # fmt: skip
    # in a package's own __init__ one dot is the package itself
    assert "steps.plan.sheet" in imports("from . import sheet", "steps.plan", is_package=True)


def test_imports_for_type_checking_only_are_left_out() -> None:
    source = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from steps.models.base import Model\n"
        "else:\n    import steps.files\n"
    )
    assert imports(source, "steps.x", is_package=False) == {"typing", "typing.TYPE_CHECKING", "steps.files"}


@pytest.fixture
def code(tmp_path: Path) -> Code:
    """A small package."""
    part = tmp_path / "steps" / "part"
    part.mkdir(parents=True)
    (part.parent / "__init__.py").write_text("")
    (part / "__init__.py").write_text("")
    (part / "one.py").write_text("import os\nfrom steps.part import two\nX = two.Y\n")
    (part / "two.py").write_text("Y = 1\n")
    (part / "three.py").write_text("Z = 1\n")
    return Code({"steps": part.parent})


def part_of(code: Code) -> Path:
    return code.packages["steps"] / "part"


def again(code: Code) -> Code:
    """The same for another process."""
    return Code(code.packages, code.cache, code.elsewhere)


def test_an_edit_changes_the_digests_of_the_steps_that_use_it(code: Code) -> None:
    part, entries = part_of(code), ("steps.part.one", "steps.part.three")
    before = [code.digest(entry) for entry in entries]
    (part / "two.py").write_text("Y = 1  # as ever\n")
    assert [code.digest(entry) for entry in entries] == before
    (part / "two.py").write_text("Y = 2\n")
    after = [code.digest(entry) for entry in entries]
    assert after[0] != before[0] and after[1] == before[1]
    # a module that moves under another name is other code, whatever its tokens
    (part / "two.py").rename(part / "four.py")
    (part / "one.py").write_text("import os\nfrom steps.part import four as two\nX = two.Y\n")
    assert again(code).digest(entries[0]) not in (before[0], after[0])


def test_a_digest_is_that_of_its_closure_and_stays_what_it_was(code: Code) -> None:
    (part_of(code) / "one.py").write_text("from steps.part import two\nX = two.Y\n")
    modules = code.closure("steps.part.one", "steps.part.three")
    assert list(modules) == ["steps", "steps.part", "steps.part.one", "steps.part.three", "steps.part.two"]
    assert modules["steps.part.two"] == digest("Y = 1\n")
    assert code.modules(["steps.part.two", "steps.part.gone"]) == {"steps.part.two": modules["steps.part.two"]}
    assert digest_of(modules) == code.digest("steps.part.three", "steps.part.one")
    assert digest_of(modules) == "3ecbd69e0d92217c", "another value for the same code trains everything again"


def test_a_module_that_lies_elsewhere_is_found_there(code: Code, tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "own.py").write_text("import steps.part.two\n")
    base = tmp_path / "papers" / "own"
    outside = replace(code, elsewhere=lambda name: base if name == "steps.own" else None, _files={})
    assert set(outside.closure("steps.own")) == {"steps", "steps.own", "steps.part", "steps.part.two"}


def test_an_unknown_entry_is_one_sentence(code: Code) -> None:
    with pytest.raises(UserError, match=r"steps\.magic: no such module"):
        code.digest("steps.magic")


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"k": 1}', "null"])
def test_a_damaged_cache_file_is_made_again(damage: str, code: Code, tmp_path: Path) -> None:
    cached = replace(code, cache=tmp_path / "digests.json")
    right = code.digest("steps.part.one")
    assert cached.digest("steps.part.one") == cached.digest("steps.part.one") == right
    whole = (tmp_path / "digests.json").read_text()
    (tmp_path / "digests.json").write_text(damage)
    assert cached.digest("steps.part.one") == right
    assert (tmp_path / "digests.json").read_text() == whole


def test_the_cache_is_keyed_by_content(code: Code, tmp_path: Path) -> None:
    cached = replace(code, cache=tmp_path / "digests.json")
    first = cached.digest("steps.part.two")
    (part_of(code) / "two.py").write_text("Y = 7\n")
    assert cached.digest("steps.part.two") != first
    (part_of(code) / "two.py").write_text("Y = 1\n")
    assert cached.digest("steps.part.two") == first
