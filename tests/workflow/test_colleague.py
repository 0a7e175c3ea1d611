"""The colleague's path on a real result set: publish, clone, fetch, and then each edit makes exactly its jobs anew."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from smoke_tier import PAPER, REPORT, RUNS
from test_rerun_truth import AGAIN, listed, pending, shuffled_times, why
from workspace import SPY, Workspace

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("colleague")]

NAME = "smoke"
PATHS = 'export PATH="$PWD/.venv/bin:$PATH"'
PUBLISHED = f"""
{PATHS}
git init -q -b main .
git config user.name Ada && git config user.email ada@example.org
git add -A && git commit -q -m "Everything"
mkdir ../remote
dvc remote add -q -d storage ../remote
git commit -q -a -m "A remote"
avbalance publish
git commit -q -a -m "Results"
"""


def clone_of(publisher: Workspace, target: Path) -> Workspace:
    """A fresh clone in which the environment is set up and nothing else."""
    done = publisher.run(f"git clone -q . {target} && git -C {target} config user.name Ben")
    assert done.status == 0, done.output
    shutil.copytree(publisher.root / ".venv", target / ".venv", symlinks=True)
    return Workspace(target)


@pytest.fixture(scope="module")
def publisher(smoke: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A checkout that published the smoke tier's results to the folder `remote` beside it."""
    clone = smoke.copy(tmp_path_factory.mktemp("site") / "publisher")
    for name in ("src/sitecustomize.py", "processes.jsonl"):  # the tests' own notes
        (clone.root / name).unlink()
    shutil.rmtree(clone.root / ".cache", ignore_errors=True)
    done = clone.run(PUBLISHED)
    assert done.status == 0, done.output
    return clone


@pytest.fixture(scope="module")
def fetched(publisher: Workspace) -> Workspace:
    """A colleague's clone with everything that was published, its times in disorder."""
    clone = clone_of(publisher, publisher.root.with_name("colleague"))
    done = clone.run(f"{PATHS}\navbalance fetch")
    assert done.status == 0, done.output
    shuffled_times(clone)
    return clone


@pytest.fixture
def colleague(fetched: Workspace, tmp_path: Path) -> Workspace:
    """A copy of it, to be changed at will; the remote lies beside, as in the original."""
    (tmp_path / "remote").symlink_to(fetched.root.with_name("remote"))
    return fetched.copy(tmp_path / "colleague")


def test_nothing_is_to_be_done_after_fetching_and_nothing_heavy_was_fetched(colleague: Workspace) -> None:
    assert not list((colleague.root / "results").rglob("features.npy"))
    assert not (colleague.root / "data/synthetic-balanced-smoke/media").exists()
    assert colleague.plan().idle
    shuffled_times(colleague)
    assert colleague.plan().idle
    shutil.rmtree(colleague.root / ".avbalance")
    assert colleague.plan().idle
    shutil.rmtree(colleague.root / ".snakemake")
    assert colleague.plan().idle
    (colleague.root / f"results/{NAME}/provenance.jsonl").unlink()
    shutil.rmtree(colleague.root / ".snakemake")
    shuffled_times(colleague)
    assert not colleague.plan().idle, "without its ledger the set says nothing of how it was made"


EDITS = ("an option of a method, a line of another, and a further one", "a further seed", "a setting of the generator")


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_makes_the_same_jobs_anew_as_where_the_results_were_made(colleague: Workspace, what: str) -> None:
    row = AGAIN[what]
    row.edit(colleague)
    said = why(colleague, "--all")
    assert pending(said) == Counter({kind: number for kind, number in row.jobs.items() if number})
    for reason, rules in row.said.items():
        assert rules <= listed(said, reason), f"{reason}\n{said}"


def test_a_new_seed_trains_itself_only_and_what_it_needs_is_made_again(colleague: Workspace) -> None:
    colleague.edit("config/tiers/smoke.yaml", "seeds: [0]\n", "seeds: [0, 1]\n")
    old = (colleague.root / RUNS / "baseline/seed0/predictions.parquet").read_bytes()
    done = colleague.snakemake(f"{RUNS}/baseline/seed1/predictions.parquet")
    assert done.status == 0, done.output[-3000:]
    log = (colleague.root / f"logs/{NAME}/train/balanced-audiovisual/synthetic-balanced-smoke/baseline.log").read_text()
    assert "baseline seed 0: found in the run cache" in log, "taken over from the fetched run"
    assert "the same bytes as on the card" in log, "media and features were made again"
    assert (colleague.root / RUNS / "baseline/seed0/predictions.parquet").read_bytes() == old
    assert (colleague.root / RUNS / "baseline/seed1/predictions.parquet").is_file()


def test_a_fetched_file_that_was_damaged_in_silence_is_not_taken_over(colleague: Workspace) -> None:
    colleague.edit("config/tiers/smoke.yaml", "seeds: [0]\n", "seeds: [0, 1]\n")
    path = f"{RUNS}/baseline/seed0/predictions.parquet"
    good = (colleague.root / path).read_bytes()
    flipped_with_kept_time(colleague.root / path)
    refused = colleague.snakemake(f"{RUNS}/baseline/seed1/predictions.parquet")
    assert refused.status != 0
    assert f"{path}: content differs from its recorded md5" in refused.output
    assert "run `avbalance repair smoke`" in refused.output
    (colleague.root / path).write_bytes(good)
    done = colleague.snakemake(f"{RUNS}/baseline/seed1/predictions.parquet")
    assert done.status == 0, done.output[-3000:]
    assert (colleague.root / path).read_bytes() == good


def test_pending_jobs_are_named_in_place_of_publishing(publisher: Workspace, tmp_path: Path) -> None:
    (tmp_path / "remote").symlink_to(publisher.root.with_name("remote"))
    changed = publisher.copy(tmp_path / "publisher")
    source = changed.root / "src/avbalance/methods/greedy.py"
    source.write_text(source.read_text() + "\n\nADDED = 1\n")
    refused = changed.run(f"{PATHS}\navbalance publish || true")
    told = next(line for line in refused.output.splitlines() if "pending" in line)
    assert "1 train" in told and "1 measure" in told and "dataset" not in told
    assert "`avbalance why` says why" in told
    assert "1 file not committed: src/avbalance/methods/greedy.py" in refused.output


PARTS = {
    "tables": ((f"{PAPER}/table2.md", f"{PAPER}/claims.json"), (f"{RUNS}/baseline/seed0/predictions.parquet",)),
    "predictions": ((f"{RUNS}/baseline/seed0/predictions.parquet",), (f"{RUNS}/baseline/seed0/model.safetensors",)),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_enough_for_an_idle_workflow(publisher: Workspace, tmp_path: Path, part: str) -> None:
    (tmp_path / "remote").symlink_to(publisher.root.with_name("remote"))
    clone = clone_of(publisher, tmp_path / "colleague")
    done = clone.run(f"{PATHS}\navbalance fetch --only {part}")
    assert done.status == 0, done.output
    there, absent = PARTS[part]
    assert all((clone.root / path).is_file() for path in there)
    assert not any((clone.root / path).exists() for path in absent)
    if part == "tables":
        assert clone.plan().idle
        return
    before = {path: (publisher.root / path).read_bytes() for path in (f"{PAPER}/table2.csv", f"{PAPER}/claims.json")}
    assert set(clone.plan().kinds) <= {"measure", "losses", *REPORT}, "from predictions all tables rebuild"
    (clone.root / "src/sitecustomize.py").write_text(SPY)
    done = clone.snakemake()
    assert done.status == 0, done.output[-3000:]
    assert clone.processes() and not any(process["torch"] for process in clone.processes())
    assert {path: (clone.root / path).read_bytes() for path in before} == before


def truncated(path: Path) -> None:
    os.truncate(path, 1000)


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def flipped_with_kept_time(path: Path) -> None:
    before = path.stat()
    flipped(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("damage", [truncated, flipped, flipped_with_kept_time, Path.unlink])
def test_damage_is_named_with_the_command_that_mends_it(colleague: Workspace, damage: Callable[[Path], None]) -> None:
    assert colleague.plan().idle
    path = f"{RUNS}/greedy/seed0/predictions.parquet"
    good = (colleague.root / path).read_bytes()
    damage(colleague.root / path)
    visible = damage in (truncated, flipped)
    planned = colleague.plan()
    assert (planned.status != 0) is visible
    said = planned.output if visible or damage is Path.unlink else ""
    if not said:
        checked = colleague.run(f"{PATHS}\navbalance verify")
        assert checked.status == 1
        said = checked.output
    assert path in said
    (command,) = set(re.findall(r"avbalance repair[\w -]*", said))
    mended = colleague.run(f"{PATHS}\n{command}")
    assert mended.status == 0, mended.output
    assert (colleague.root / path).read_bytes() == good
    assert colleague.plan().idle
    assert colleague.run(f"{PATHS}\navbalance verify").status == 0
