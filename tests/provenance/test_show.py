"""What `avbalance show` says of a run, and that the commands it prints make the same bytes again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from workspace import Workspace

from avbalance.errors import UserError
from avbalance.provenance import show
from avbalance.provenance.run_record import RECORD_VERSION
from flowkeeper.files import write_json

RUNS = "results/smoke/runs/balanced-audiovisual/synthetic-balanced-smoke"


def commands_of(said: str) -> list[str]:
    """The commands below the last heading of what `avbalance show` prints."""
    return [line.strip() for line in said.split("comparison of its bytes:\n")[1].splitlines()]


@pytest.mark.parametrize("run", ["baseline", "late-ensemble"])
def test_the_shown_commands_make_the_run_again_with_the_same_bytes(workspace: Workspace, run: str) -> None:
    done = workspace.run(f".venv/bin/python -m avbalance show {RUNS}/{run}/seed0")
    assert done.status == 0, done.output
    assert "The code of this checkout is the one that made it." in done.output
    again, compare = commands_of(done.output)
    own = 'PATH="$PWD/.venv/bin:$PATH"; avbalance() { python -m avbalance "$@"; }'
    made = workspace.run(f"{own}; {again}; {compare}")
    assert made.status == 0, made.output
    assert "found in the run cache" not in made.output, "trained again, not taken over"
    predictions = workspace.root / "rerun" / "balanced-audiovisual" / "synthetic-balanced-smoke" / run / "seed0"
    (predictions / "predictions.parquet").write_bytes(b"others")
    assert workspace.run(compare).status != 0


def test_it_says_when_the_code_has_changed(workspace: Workspace) -> None:
    workspace.edit("src/avbalance/methods/greedy.py", "math.log10(bypass / main)", "math.log2(bypass / main)")
    said = {
        run: workspace.run(f".venv/bin/python -m avbalance show {RUNS}/{run}/seed0").output
        for run in ("greedy", "baseline")
    }
    assert "The code here is another" in said["greedy"]
    assert "The code of this checkout is the one that made it." in said["baseline"]


def test_every_run_has_a_complete_record(smoke: Workspace) -> None:
    records = sorted((smoke.root / "results/smoke/runs").glob("**/record.json"))
    assert len(records) > 10
    wanted = {"job", "code", "settings", "settings_digest", "inputs", "versions", "device", "wall_s", "cpu_s"}
    for path in records:
        record = json.loads(path.read_text())
        assert wanted | {"peak_memory_mb", "finished", "record_version"} <= set(record), path
        assert {"digest", "commit", "dirty"} <= set(record["code"]), path
        assert {"kind", "threads", "processor", "system", "cores"} <= set(record["device"]), path
        assert isinstance(record["job"]["seed"], int), path
        assert "data" in record or "predictions" in record["job"], path
        assert "unknown" not in show.lines(show.find_run(str(path)))[0]


def test_what_is_no_run_is_named_with_the_runs_below(smoke: Workspace) -> None:
    with pytest.raises(UserError, match=r"no folder of a run .*name one of its \d+ runs, such as .*seed0"):
        show.find_run(str(smoke.root / RUNS))
    with pytest.raises(UserError, match=r"nowhere: no folder of a run \(it has no record\.json\)\.$"):
        show.find_run("nowhere")


def test_the_instruction_set_is_said_and_typed_again(smoke: Workspace) -> None:
    run = show.find_run(str(smoke.root / RUNS / "baseline/seed0"))
    assert re.search(r"instruction_set:\n +pinned: {}\n +torch: [A-Z0-9]+", "\n".join(show.lines(run)))
    pinned = {"torch": "AVX2", "pinned": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}}
    other = show.Run(run.folder, {**run.record, "device": {**run.record["device"], "instruction_set": pinned}})
    assert "| ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 avbalance train " in show.commands(other)[0]


@pytest.mark.parametrize("record", [{"record_version": RECORD_VERSION + 1}, {}, []])
def test_a_record_of_another_version_is_named(tmp_path: Path, record: object) -> None:
    write_json(tmp_path / "record.json", record)
    with pytest.raises(UserError, match=r"a record of version \w+, this avbalance reads version 2"):
        show.find_run(str(tmp_path))


@pytest.mark.parametrize(
    ("dirty", "words"),
    [
        (True, "with uncommitted changes on commit 1234: no commit is known to hold its code"),
        (False, r"git checkout 1234$"),
        (None, "made outside git: no commit"),
    ],
)
def test_the_note_on_other_code(dirty: bool | None, words: str, tmp_path: Path) -> None:
    record = {
        "job": {"method": "late-ensemble", "predictions": {}}, "settings": {},
        "code": {"digest": "of other times", "commit": "1234", "dirty": dirty},
    }  # fmt: skip
    assert re.search(words, show.code_note(show.Run(tmp_path, record)))
