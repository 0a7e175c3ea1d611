"""What the jobs' memory settings save: `python benchmarks/memory_kept.py`; losses must be the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from side_by_side import finish, ratio_of_seconds
from trained import PAPER

# As in workflow/rules/common.smk, where they are explained.
KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    "MALLOC_TOP_PAD_": str(1 << 26),
}


def trained(options: dict[str, Any], kept: bool) -> dict[str, Any]:
    """Seconds and losses of a process that trains with these options, with the jobs' memory settings or without."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, str(Path(__file__).with_name("trained.py")), json.dumps(options)]
    done = subprocess.run(
        command, env={**environment, **(KEPT_MEMORY if kept else {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> None:
    """Training of the demo's and of the paper's networks; wanted is no loss, 1.01 and more would be welcome."""
    for name, options, rounds in (("demo", {}, 5), ("paper", PAPER, 3)):
        losses = [trained({**options, "fill": not kept}, kept)["losses"] for kept in (False, True)]
        assert losses[0] == losses[1], f"losses differ: {losses}"
        ratio_of_seconds(
            f"training the {name}'s ResNet-18 pair with memory kept and not filled, losses equal",
            lambda options=options: trained({**options, "fill": True}, kept=False)["seconds"],  # type: ignore[misc]
            lambda options=options: trained({**options, "fill": False}, kept=True)["seconds"],  # type: ignore[misc]
            wanted=1.0,
            rounds=rounds,
        )


if __name__ == "__main__":
    main()
    finish()
