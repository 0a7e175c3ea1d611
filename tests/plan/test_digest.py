"""The code digest: blind to comments, docstrings and layout, and to nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from avbalance.errors import UserError
from avbalance.plan import digest as digest_module
from avbalance.plan.digest import (
    closure,
    closure_digests,
    code_digest,
    digest_of,
    imported_modules,
    module_file,
    token_digest,
)

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
        ("scale * self.size**2", "(scale * self.size**2)".strip("()").replace("* self", "*     self")),
        ("(self, scale: float = 1.0)", "(\n        self,\n        # how much\n        scale: float = 1.0\n    )"),
        ("import math\n", "import math  \n"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(old: str, new: str) -> None:
    assert SOURCE.count(old) == 1
    assert token_digest(SOURCE.replace(old, new)) == token_digest(SOURCE)


def test_indentation_depth_does_not_count() -> None:
    assert token_digest("if a:\n    b\n    c\n") == token_digest("if a:\n  b\n  c\n")
    assert token_digest("if a:\n    b\n    c\n") != token_digest("if a:\n    b\nc\n")
    assert token_digest("a = 1\nb = 2\n") != token_digest("a = 1; b = 2\n") != token_digest("a = 1\n")


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
    assert token_digest(SOURCE.replace(old, new)) != token_digest(SOURCE)


def test_strings_and_f_strings_count_whole() -> None:
    sources = [
        'x = f"{a} b"\n',
        'x = f"{a}  b"\n',
        'x = f"{a!r} b"\n',
        'x = f"{c} b"\n',
        'x = "{a} b"\n',
        "x = f'{a} b'\n",
    ]
    assert len({token_digest(source) for source in sources}) == len(sources)
    nested = "x = f\"{f(f'{a}')} b\" + y\n"
    assert token_digest(nested) != token_digest(nested.replace("{a}", "{b}"))
    assert token_digest(nested) != token_digest(nested.replace("+ y", "+ z"))
    text = 'def f():\n    """Doc."""\n    return """# no comment\n\n    """\n'
    assert token_digest(text) != token_digest(text.replace("no comment", "comment"))


def test_imports_absolute_relative_and_late() -> None:
    source = (
        "import avbalance.files\nfrom avbalance import errors, nothing\nfrom . import digest\n"
        "from .config import merge\nfrom ..training import state\nimport numpy\n"
        "def f():\n    from avbalance.data import manifest\n"
    )
    assert imported_modules(source, "avbalance.plan.sheet", is_package=False) == {
        "avbalance", "avbalance.files", "avbalance.errors", "avbalance.plan", "avbalance.plan.digest",
        "avbalance.plan.config", "avbalance.training", "avbalance.training.state", "avbalance.data",
        "avbalance.data.manifest",
    }  # fmt: skip
    # in a package's own __init__ one dot is the package itself
    assert "avbalance.plan.sheet" in imported_modules("from . import sheet", "avbalance.plan", is_package=True)
    assert "avbalance.errors" in imported_modules("from . import errors", "avbalance.plan", is_package=False)


def test_imports_for_type_checking_only_are_left_out() -> None:
    source = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from avbalance.models.base import Model\n"
        "else:\n    import avbalance.files\n"
    )
    assert imported_modules(source, "avbalance.x", is_package=False) == {"avbalance.files"}


def test_the_closure_follows_imports_and_brings_packages_along() -> None:
    found = closure("avbalance.methods.greedy")
    assert {"avbalance", "avbalance.methods", "avbalance.methods.base", "avbalance.methods.branch_losses"} <= found
    assert "avbalance.methods.ogm_ge" not in found
    assert not any(name.startswith("avbalance.reporting") for name in closure("avbalance.training.cell"))


def test_an_unknown_entry_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"avbalance\.methods\.magic: no such module"):
        code_digest("avbalance.methods.magic")


def copied_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small package avbalance in place of the real one."""
    source = folder / "avbalance"
    (source / "part").mkdir(parents=True)
    (source / "__init__.py").write_text("")
    (source / "part" / "__init__.py").write_text("")
    (source / "part" / "one.py").write_text("from avbalance.part import two\nX = two.Y\n")
    (source / "part" / "two.py").write_text("Y = 1\n")
    (source / "part" / "three.py").write_text("Z = 1\n")
    monkeypatch.setattr(digest_module, "SOURCE", source)
    module_file.cache_clear()
    return source / "part"


@pytest.fixture(autouse=True)
def _forget_files() -> None:
    module_file.cache_clear()


def test_an_edit_changes_the_digests_of_the_steps_that_use_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = copied_package(tmp_path, monkeypatch)
    entries = ("avbalance.part.one", "avbalance.part.three")
    before = [code_digest(entry) for entry in entries]
    (part / "two.py").write_text("Y = 1  # as ever\n")
    assert [code_digest(entry) for entry in entries] == before
    (part / "two.py").write_text("Y = 2\n")
    after = [code_digest(entry) for entry in entries]
    assert after[0] != before[0] and after[1] == before[1]
    module_file.cache_clear()
    # a module that moves under another name is other code, whatever its tokens
    (part / "two.py").rename(part / "four.py")
    (part / "one.py").write_text("from avbalance.part import four as two\nX = two.Y\n")
    module_file.cache_clear()
    assert code_digest(entries[0]) not in (before[0], after[0])


def test_a_digest_is_that_of_its_closure_and_stays_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied_package(tmp_path, monkeypatch)
    modules = closure_digests("avbalance.part.one", "avbalance.part.three")
    assert list(modules) == ["avbalance", "avbalance.part", "avbalance.part.one", "avbalance.part.three",
                             "avbalance.part.two"]  # fmt: skip
    assert modules["avbalance.part.two"] == token_digest("Y = 1\n")
    assert digest_of(modules) == code_digest("avbalance.part.three", "avbalance.part.one")
    assert digest_of(modules) == "5e6c4e5e3ff270f8", "another value for the same code trains everything again"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"k": 1}', "null"])
def test_a_damaged_cache_file_is_made_again(damage: str, tmp_path: Path) -> None:
    right = code_digest("avbalance.plan.sheet")
    file = tmp_path / "digests.json"
    assert code_digest("avbalance.plan.sheet", cache_file=file) == right
    whole = file.read_text()
    assert code_digest("avbalance.plan.sheet", cache_file=file) == right
    file.write_text(damage)
    assert code_digest("avbalance.plan.sheet", cache_file=file) == right
    assert file.read_text() == whole


def test_the_cache_is_keyed_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = copied_package(tmp_path, monkeypatch)
    file = tmp_path / "digests.json"
    first = code_digest("avbalance.part.two", cache_file=file)
    (part / "two.py").write_text("Y = 7\n")
    assert code_digest("avbalance.part.two", cache_file=file) != first
    (part / "two.py").write_text("Y = 1\n")
    assert code_digest("avbalance.part.two", cache_file=file) == first


def test_two_processes_agree() -> None:
    code = "from avbalance.plan.digest import code_digest; print(code_digest('avbalance.plan.plan'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == code_digest("avbalance.plan.plan")
