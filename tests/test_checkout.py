"""What a command says where it cannot work: outside a checkout, in another one's environment; and new-dataset."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from avbalance import user_commands
from avbalance.cli import main
from avbalance.plan.plan import load_plan_for

REPOSITORY = Path(__file__).parents[1]
NEED_A_CHECKOUT = (
    ["why"],
    ["estimate"],
    ["cite"],
    ["publish"],
    ["clean", "--stale"],
    ["diagnose", "clips"],
    ["new-dataset", "mine"],
    ["new-method", "mine"],
    ["check-method", "baseline"],
)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout as far as planning reads it, made the working directory."""
    for name in ("workflow", "src"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    for name in ("tiers", "templates", "config.yaml", "costs.yaml"):
        (tmp_path / "config").mkdir(exist_ok=True)
        (tmp_path / "config" / name).symlink_to(REPOSITORY / "config" / name)
    (tmp_path / "Snakefile").symlink_to(REPOSITORY / "Snakefile")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", NEED_A_CHECKOUT, ids=lambda command: command[0])
def test_outside_a_checkout_a_command_says_where_to_go(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    said = capsys.readouterr().err
    assert said == (
        f"error: {tmp_path}: no checkout of avbalance (there is no config/config.yaml); cd to the folder that `git "
        "clone` made and type the command there.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_inside_of_a_checkout_its_topmost_folder_is_named(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(checkout / "config")
    assert main(["estimate"]) == 2
    assert capsys.readouterr().err.endswith(f"type the command in its topmost folder: cd {checkout}\n")


def test_a_new_data_set_has_two_files_that_plan_and_are_never_overwritten(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "my clips: all").mkdir()
    for name in "ab":
        (checkout / "my clips: all" / f"{name}.mp4").write_bytes(name.encode())
    (checkout / "my clips: all" / "manifest.csv").write_text(
        "id,label,split,video\n1,x,train,a.mp4\n2,y,train,b.mp4\n3,x,test,a.mp4\n"
    )
    assert main(["new-dataset", "12", "--folder", "my clips: all"]) == 0
    assert "snakemake -n --quiet rules --configfile config/user/12.yaml" in capsys.readouterr().out
    plan = load_plan_for(checkout, ["config/user/12.yaml"], [])
    assert plan.name == "12" and list(plan.datasets) == ["12"] and plan.preflight() == []
    assert plan.oddities() == ["12: 1 files are named in several parts (a.mp4): tests leak."]
    before = Path("config/datasets/12.yaml").read_text()
    Path("config/user/12.yaml").unlink()
    assert main(["new-dataset", "12"]) == 2
    assert "config/datasets/12.yaml: is there already" in capsys.readouterr().err
    assert Path("config/datasets/12.yaml").read_text() == before and not Path("config/user/12.yaml").exists()
    assert main(["new-dataset", "../12"]) == 2
    assert "is no name" in capsys.readouterr().err


def test_a_package_that_the_environment_lacks_is_told_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(user_commands, "_methods", lambda options: fail("pydantic"))
    assert main(["methods"]) == 2
    said = capsys.readouterr().err
    assert f"{sys.prefix}: this environment has no package 'pydantic'" in said and "`make .venv/.ready`" in said
    monkeypatch.setattr(user_commands, "_methods", lambda options: fail("avbalance.lost"))
    with pytest.raises(ModuleNotFoundError):
        main(["methods"])


def test_code_of_another_checkout_that_cannot_be_exchanged_is_refused(tmp_path: Path) -> None:
    (tmp_path / "src" / "avbalance").mkdir(parents=True)
    command = [sys.executable, "-c", "import sys; from avbalance.cli import main; sys.exit(main())", "methods"]
    environment = {**os.environ, "AVBALANCE_SOURCE": str(tmp_path / "src")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {tmp_path}: the code of another checkout runs here, {REPOSITORY / 'src'}; ")


def snakemake(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"} | environment
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True)


def test_snakemake_names_the_variable_that_helps_where_home_cannot_be_written_to(checkout: Path) -> None:
    (checkout / "home").write_text("a file")
    done = snakemake("--config", "tier=smoke", HOME=str(checkout / "home"))
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert done.stderr == (
        f"error: {checkout}/home/.cache/snakemake: cannot be written to (not a directory); set the variable "
        "XDG_CACHE_HOME to a folder of yours.\n"
    )


def test_a_configuration_in_another_encoding_is_told_with_its_line(checkout: Path) -> None:
    (checkout / "mine.yaml").write_bytes("name: x\ntier: smoke # \u00e9t\u00e9\n".encode("latin-1"))
    done = snakemake("--configfile", "mine.yaml", XDG_CACHE_HOME=str(checkout / "cache"))
    assert done.returncode != 0
    assert done.stderr.startswith("error: mine.yaml, line 2: not saved as UTF-8 (")


def test_the_dry_run_tells_all_faults_and_ends_with_them(checkout: Path) -> None:
    """Table and recipes; braces in labels and names of files, in descriptions and reasons are no wildcards."""
    (checkout / "clips").mkdir()
    (checkout / "clips" / "{a}.mp4").write_bytes(b"a")
    rows = ["id,label,split,video", "1,{x},train,{a}.mp4", "2,y,train,{a}.mp4", "3,y,dev,{a}.mp4", "4,,test,{a}.mp4"]
    (checkout / "clips" / "manifest.csv").write_text("\n".join(rows))
    assert main(["new-dataset", "mine", "--folder", "clips"]) == 0
    path = checkout / "config" / "datasets" / "mine.yaml"
    path.write_text(path.read_text().replace("my own clips", "'{my} own {{clips'"))
    (checkout / "CITATION.cff").symlink_to(REPOSITORY / "CITATION.cff")
    arguments = ("--configfile", "config/user/mine.yaml")
    done = snakemake(*arguments, XDG_CACHE_HOME=str(checkout / "cache"))
    assert done.returncode == 0, done.stderr
    wrong = [f"mine: clips/manifest.csv, row {row}" for row in (4, 5)]
    assert [line.strip().partition(":")[0] for line in done.stderr.splitlines()[-2:]] == ["mine", "mine"]
    assert [line.strip()[: len(told)] for line, told in zip(done.stderr.splitlines()[-2:], wrong, strict=True)] == wrong
    user = checkout / "config" / "user" / "mine.yaml"
    user.write_text(user.read_text().replace("logmel64x128-4s", "logmel").replace("fps1-middle-64-4s", "fsp1"))
    done = snakemake(*arguments, XDG_CACHE_HOME=str(checkout / "cache"))
    errors = [line for line in done.stderr.splitlines() if line.startswith(("preflight: ", "error: "))]
    assert [line.partition(": ")[2].split(" ")[0] for line in errors] == ["mine:", "mine:", "paper", "paper"]
    assert "audio_recipe: audio recipe 'logmel' does not exist" in errors[2] and "'fsp1' does not" in errors[3]
