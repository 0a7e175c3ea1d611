"""flowkeeper stands on its own: it imports nothing of the workflows that use it, and nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import flowkeeper

SOURCE = Path(flowkeeper.__file__).parent
MODULES = sorted(path.stem for path in SOURCE.glob("*.py") if path.stem != "__init__")
ALLOWED = {"flowkeeper", "filelock", "pydantic", "yaml", "snakemake"}


def test_it_imports_nothing_but_itself_the_standard_library_and_a_few_packages() -> None:
    for path in sorted(SOURCE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            tops = {name.split(".")[0] for name in names}
            assert tops <= ALLOWED | sys.stdlib_module_names, f"{path.name}: {tops}"
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path.name}: a relative import"


def test_no_command_loads_anything_heavy() -> None:
    code = f"import sys, {', '.join(f'flowkeeper.{name}' for name in MODULES)}\n"
    code += "print(sorted({'dvc', 'torch', 'numpy', 'pandas', 'pyarrow', 'snakemake', 'avbalance'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_readme_fits_a_screen_and_names_what_is_there() -> None:
    text = (SOURCE / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    for name in ("Workflow", "Plan", "Step", "before_planning", "before_running", "after_running", "add_commands"):
        assert name in text
