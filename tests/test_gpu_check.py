"""The GPU check runs to its end on small networks without a GPU, and says plainly what it cannot do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).parents[1]


def check(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "benchmarks/gpu_check.py", "--out", str(out), *arguments]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=600)


@pytest.mark.slow
def test_the_check_runs_on_small_networks(tmp_path: Path) -> None:
    done = check(tmp_path, "--device", "cpu", "--quick")
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    found = json.loads((tmp_path / "gpu-check.json").read_text())
    assert (found["failed"], found["left_out"]) == ([], [])
    facts = ("two runs equal", "killed inside an epoch", "resumed run equal")
    assert [[entry[fact] for fact in facts] for entry in found["exactness"]] == [[True] * 3] * 2
    assert {entry["precision"] for entry in found["throughput"]} == {"fp32", "bf16"}
    assert all(entry[f"clips/s, {kind}"] > 0 for entry in found["throughput"] for kind in ("with loading", "steps"))
    assert [(entry["seeds"], entry["clips/s, all together"] > 0) for entry in found["side_by_side"]] == [(2, True)]
    assert {row["row"].split("/")[2]: row["outcome"] for row in found["rows"]} == {"han": "ok", "ks-visual": "ok"}
    page = (tmp_path / "gpu-check.md").read_text()
    assert page == done.stdout and "its numbers mean nothing" in page and torch.__version__ in page


def test_what_there_is_no_time_for_is_listed(tmp_path: Path) -> None:
    done = check(tmp_path, "--device", "cpu", "--quick", "--budget", "0")
    assert done.returncode == 0, done.stderr[-2000:]
    page = (tmp_path / "gpu-check.md").read_text()
    assert "- two steps of modality-relevance/kinetics-sounds/ks-visual" in page
    assert len(json.loads((tmp_path / "gpu-check.json").read_text())["left_out"]) == 2 + 4 + 1 + 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_one_sentence(tmp_path: Path) -> None:
    for arguments, words in (
        ((), "torch sees no GPU, so nothing was measured"),
        (("--device", "cpu"), "needs --quick"),
    ):
        done = check(tmp_path / "out", *arguments)
        assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_it_needs_nothing_that_a_bare_machine_lacks() -> None:
    """Neither media nor workflow: what it loads is what its first lines name."""
    script = "import sys, gpu_check; print(*{name.split('.')[0] for name in sys.modules})"
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY / 'benchmarks'}"}
    said = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    loaded = set(said.stdout.split())
    assert not loaded & {"snakemake", "dvc", "av", "torchaudio", "torchvision", "matplotlib", "sklearn", "jinja2"}
