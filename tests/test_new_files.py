"""A method that is laid down: its four files, what is refused, and what the contract says of it when it is broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from workspace import REPOSITORY, Workspace, borrow_environment, copy_working_tree

from avbalance.cli import main
from avbalance.plan.config import load_paper
from avbalance.plan.plan import load_plan
from avbalance.reporting.check import check_reports

PAPER = Path("workflow/papers/balanced-audiovisual")
LONGEST = "-".join(["thirty"] * 4) + "-ab"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copies of what new-method reads and writes, made the working directory."""
    for name in ("config", "workflow/papers"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    for name in ("src/avbalance/methods", "tests/methods"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["label-smoothing", "ab", LONGEST])
def test_a_new_method_has_four_places_and_the_style_of_the_repository(name: str, checkout: Path) -> None:
    assert len(LONGEST) == 30
    before = {path: (checkout / PAPER / path).read_text() for path in ("paper.yaml", "tables.yaml")}
    assert main(["new-method", name]) == 0
    module = name.replace("-", "_")
    written = [f"src/avbalance/methods/{module}.py", f"tests/methods/test_{module}.py"]
    for command in ("check", "format --check"):
        asked = [*command.split(), "--config", str(REPOSITORY / "pyproject.toml"), *written]
        done = subprocess.run([sys.executable, "-m", "ruff", *asked], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    for path, text in before.items():
        new = (checkout / PAPER / path).read_text()
        line = f"\n{path.removesuffix('.yaml').replace('paper', 'runs')}:\n"
        head, _, rest = text.partition(line)
        assert new.startswith(head + line) and new.endswith(rest) and len(new) > len(text)
    assert load_paper(checkout, PAPER.name)["runs"][name]["method"] == name
    plan = load_plan(checkout, {"tier": "smoke"})
    check_reports(plan)
    assert "tableS10" in plan.declared(PAPER.name, "tables")
    rows = plan.rows[PAPER.name]
    assert [row.settings["model"]["name"] for row in rows if row.method == name] == ["fusion-net"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ogm-ge", "src/avbalance/methods/ogm_ge.py: is there already, and is left as it is"),
        ("parts", "src/avbalance/methods/parts: is there already"),
        ("contract", "tests/methods/test_contract.py: is there already"),
        ("audio", "paper.yaml: has a run 'audio' already"),
        ("Mine", "'Mine' is no name of a method"),
        ("../mine", "'../mine' is no name of a method"),
        ("a" * 31, "is no name of a method"),
        ("tensor", "'tensor' has a meaning of its own"),
        ("none", "'none' has a meaning of its own"),
        ("yes", "'yes' has a meaning of its own"),
    ],
)
def test_a_name_that_cannot_serve_is_refused_and_nothing_is_written(
    name: str, said: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
    assert main(["new-method", name]) == 2
    assert said in capsys.readouterr().err
    assert {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()} == before


def test_a_paper_without_a_place_for_the_run_is_told(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = checkout / PAPER / "paper.yaml"
    path.write_text(path.read_text().replace("\nruns:\n", "\nruns: # all of them\n"))
    assert main(["new-method", "mine"]) == 2
    assert "paper.yaml: needs one line 'runs:' and has 0" in capsys.readouterr().err
    assert not (checkout / "src/avbalance/methods/mine.py").exists()


def test_a_method_that_is_not_there_is_not_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-method", "ogm"]) == 2
    assert "no method named 'ogm'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_broken_method_fails_its_contract_line_by_line(tmp_path: Path) -> None:
    copy_working_tree(tmp_path)
    borrow_environment(tmp_path)
    broken = Workspace(tmp_path)
    assert broken.run(".venv/bin/avbalance new-method mine").status == 0
    broken.edit("src/avbalance/methods/mine.py", "return cross_entropy(", "return -cross_entropy(")
    done = broken.run(".venv/bin/avbalance check-method mine", OMP_NUM_THREADS="1")
    assert done.status == 1
    lines = done.output.splitlines()
    assert "  yes  card is complete" in lines and "  no   learns on easy data" in lines
    assert "learns on easy data:" in lines and lines[-1] == "mine: does not fulfil the contract."
