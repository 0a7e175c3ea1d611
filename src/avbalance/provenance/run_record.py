"""What a run leaves of its circumstances in record.json: code, machine, versions, time and memory."""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import functools
import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RECORD_VERSION = 2
RECORD = "record.json"
PINS = (  # environment variables that choose the instruction set of PyTorch, oneDNN, MKL and NumPy's OpenBLAS
    "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR", "OPENBLAS_CORETYPE",
)  # fmt: skip
_PACKAGES = ("avbalance", "torch", "torchaudio", "numpy", "pandas", "av", "snakemake")


@dataclass
class Clock:
    """Wall and CPU seconds of this process since it was made."""

    wall: float = field(default_factory=time.monotonic)
    cpu: float = field(default_factory=time.process_time)

    def elapsed(self) -> dict[str, float]:
        return {"wall_s": round(time.monotonic() - self.wall, 3), "cpu_s": round(time.process_time() - self.cpu, 3)}


def circumstances(code: str, device: str, threads: int, clock: Clock) -> dict[str, Any]:
    """What every record says of its making: code (`code` is the digest), device, versions, times (s), memory (MB).

    device: kind of device that computed, "cpu" or "cuda".
    """
    return {
        "record_version": RECORD_VERSION,
        "code": {"digest": code, **code_state(Path.cwd())},
        "device": {"kind": device, "threads": threads, **machine(), "instruction_set": instruction_set()},
        "versions": versions(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "peak_memory_mb": peak_memory_mb(),
        **({"peak_gpu_memory_mb": peak_gpu_memory_mb()} if device == "cuda" else {}),
        **clock.elapsed(),
    }


def begin_peak() -> None:
    """Let the peak of memory begin anew, so that a run is not told the peak of those before it in its process.

    What is free goes back to the system first. Where the system cannot do this, the peak stays that of the process.
    """
    with contextlib.suppress(OSError, AttributeError):
        # glibc keeps freed memory, which would count as resident for the next run as well.
        ctypes.CDLL(None).malloc_trim(0)
        # See proc(5): 5 resets the peak of resident memory.
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def peak_memory_mb() -> float:
    """Peak resident memory of this process, MB (10^6 bytes), since `begin_peak` where the system is Linux."""
    # macOS counts bytes, Linux kibibytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


def peak_gpu_memory_mb() -> float:
    """Peak memory of the GPU's tensors, MB (10^6 bytes), since `begin_peak`."""
    return round(sys.modules["torch"].cuda.max_memory_allocated() / 1e6, 1)


@functools.cache  # a process trains hundreds of runs, and looking through the environment takes longer than a tiny one
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that bear on results."""
    known = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            known[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            known[package] = "not installed"
    return known


@functools.cache  # the code that this process has loaded stays what it was when the first run asked
def code_state(folder: Path) -> dict[str, Any]:
    """Commit of the checkout that `folder` is in and whether it has uncommitted changes; unknown outside git."""
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit or "unknown", "dirty": bool(changes) if commit else None}


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def machine() -> dict[str, Any]:
    """Processor, system and cores of this machine, without its name."""
    system = f"{platform.system()} {platform.machine()}"
    return {"system": system, "processor": _processor(), "cores": os.cpu_count()}


def pinned() -> dict[str, str]:
    """The variables of `PINS` that are set. Only these are part of a run's key, see training/cell.py."""
    return {name: os.environ[name] for name in PINS if os.environ.get(name)}


def instruction_set() -> dict[str, Any]:
    """What PyTorch's own kernels use on this processor, such as "AVX512", and what the environment pins.

    Without PyTorch where this process has not loaded it: what joins predictions computes without it.
    """
    torch = sys.modules.get("torch")
    used = {"torch": torch.backends.cpu.get_cpu_capability()} if torch else {}
    return {**used, "pinned": pinned()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
