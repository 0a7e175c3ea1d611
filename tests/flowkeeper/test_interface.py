"""flowkeeper stands on its own: it imports nothing of the workflows that use it, and nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import flowkeeper

SOURCE = Path(flowkeeper.__file__).parent
MODULES = sorted(path.stem for path in SOURCE.glob("*.py") if path.stem != "__init__")


def test_no_command_loads_anything_heavy() -> None:
    code = f"import sys, {', '.join(f'flowkeeper.{name}' for name in MODULES)}\n"
    code += "print(sorted({'dvc', 'torch', 'numpy', 'pandas', 'pyarrow', 'snakemake', 'avbalance'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
