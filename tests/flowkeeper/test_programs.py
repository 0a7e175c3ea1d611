"""Other programs: shown, found, and their complaints shortened."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from flowkeeper.errors import UserError
from flowkeeper.programs import Finished, dvc_transfer, program, run, shown


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_command_is_shown_and_then_run_without_a_shell(tmp_path):
    said: list[str] = []
    script(tmp_path / "bin" / "tell", 'printf "%s|" "$@"; echo trouble >&2; exit 3')
    done = run([str(tmp_path / "bin" / "tell"), "a b", "$HOME; ls *"], tmp_path, said.append)
    assert (done.status, done.output, done.errors) == (3, "a b|$HOME; ls *|", "trouble\n")
    assert said == [f"$ {tmp_path}/bin/tell 'a b' '$HOME; ls *'"]


def test_programs_of_this_environment_come_first_though_it_is_not_activated(tmp_path, monkeypatch):
    script(tmp_path / "environment" / "dvc", "true")
    for name in ("dvc", "other"):
        script(tmp_path / "elsewhere" / name, "false")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "environment" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    assert program("dvc") == str(tmp_path / "environment" / "dvc")
    assert program("other") == str(tmp_path / "elsewhere" / "other")
    with pytest.raises(UserError, match="snakemake: no such program"):
        program("snakemake")


def test_a_fault_is_told_by_its_error_lines_alone():
    errors = "WARNING: old\nTraceback\nERROR: unexpected error - no space left.\nERROR: second\n\nAny troubles?\n"
    assert Finished(1, "", errors).fault == "no space left; second"
    assert Finished(1, "", "fatal: not a repository\n").fault == "fatal: not a repository"
    assert Finished(7, "", "").fault == "exit status 7 without a word"


def test_a_long_command_is_shown_in_part():
    words = ["dvc", "fetch", *(f"file {number}" for number in range(600))]
    assert shown(words).startswith("dvc fetch 'file 0' ") and shown(words).endswith(" ... (590 more)")
    assert shown(words[:13]).endswith("'file 10'")


def test_each_transfer_starts_without_memories(tmp_path, monkeypatch):
    """What DVC remembers of a remote lies in its site cache: every call has an empty one of its own."""
    memory = '"$DVC_SITE_CACHE_DIR"'
    script(tmp_path / "environment" / "dvc", f"ls -A {memory}; echo {memory}; touch {memory}/x")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "environment" / "python"))
    first, second = (dvc_transfer(["push"], tmp_path, lambda line: None).output.split() for _ in range(2))
    assert len(first) == len(second) == 1, "nothing is listed but the folder itself"
    assert first != second
    assert not os.path.exists(first[0]) and not os.path.exists(second[0])
