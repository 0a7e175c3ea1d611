"""What must hold of the repository as a whole: no traces of a machine, versions that agree, nothing large."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parents[1]
LARGEST = 1_000_000  # bytes
# Folders of people and machines; spelt in parts, so that this file does not name one.
MACHINE_PATHS = re.compile(
    r"(?<![\w.~}-])/(?:" + "|".join(["home", "root", "Users", "work", "workspace", "mnt"]) + r")/[\w.]"
    r"|[A-Z]:\\" + "Users"
)
LOCKED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)")


def tracked() -> list[Path]:
    """Files that git carries or would carry."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(
        command,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return [REPOSITORY / name for name in filter(None, listed.stdout.split("\0")) if (REPOSITORY / name).is_file()]


def pins() -> dict[str, str]:
    """Package -> version that requirements.lock has for the conda environment: Python 3.11 on Linux."""
    target = {"python_version": "3.11", "python_full_version": "3.11.9", "sys_platform": "linux"}
    found: dict[str, str] = {}
    for line in (REPOSITORY / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if LOCKED.match(line):
            pin = Requirement(line.rstrip("\\ "))
            if pin.marker is None or pin.marker.evaluate(target):
                name = pin.name.lower().replace("_", "-")
                assert name not in found, f"two versions of {name} for one Python"
                found[name] = str(pin.specifier).removeprefix("==")
    return found


def project() -> dict[str, str]:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_no_file_names_a_folder_of_some_machine():
    named = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # pictures
        named += [f"{path.relative_to(REPOSITORY)}: {found[0]}" for found in [MACHINE_PATHS.search(text)] if found]
    assert not named


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("cd /" + "home/ada/avbalance", True),
        ("root: '/" + "work/main'", True),
        (r"C:\\"[:3] + "Users\\ada", True),
        ("config/" + "work/x", False),
        ("https://example.org/" + "home/x", False),
    ],
)
def test_machine_paths_are_recognised(text, named):
    assert bool(MACHINE_PATHS.search(text)) == named


def test_no_two_classes_share_a_name():
    files = [path for folder in ("src", "workflow") for path in (REPOSITORY / folder).rglob("*.py")]
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    classes = Counter(node.name for node in nodes if isinstance(node, ast.ClassDef))
    assert len(classes) > 100
    assert [name for name, times in classes.items() if times > 1] == []


def test_a_long_module_says_at_its_top_why_it_is_long():
    files = [path for folder in ("src", "workflow") for path in (REPOSITORY / folder).rglob("*.py")]
    texts = {str(path.relative_to(REPOSITORY)): path.read_text(encoding="utf-8") for path in files}
    long = {name: text for name, text in texts.items() if text.count("\n") > 300}
    assert [name for name, text in long.items() if "Longer than other files" not in text[:1000]] == []


def test_no_file_is_large():
    sizes = {str(path.relative_to(REPOSITORY)): path.stat().st_size for path in tracked()}
    assert {name: size for name, size in sizes.items() if size > LARGEST} == {}


def test_citation_and_licence_agree_with_the_project():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project()["version"]
    assert citation["license"] == project()["license"] == "MIT"
    licence = (REPOSITORY / "LICENSE").read_text(encoding="utf-8")
    assert licence.startswith("MIT License\n")
    assert citation["authors"][0]["name"] in licence
    assert f"\n## {project()['version']} " in (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_pin_has_a_hash_and_no_address():
    text = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    entries = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    assert len(entries) > 50
    for entry in entries:
        assert LOCKED.match(entry), f"not a pin: {entry.splitlines()[0]}"
        assert "--hash=sha256:" in entry, f"no hash: {entry.splitlines()[0]}"


def test_conda_environments_have_the_locked_versions():
    locked = pins()
    for path in (REPOSITORY / "envs").glob("*.yaml"):
        environment = yaml.safe_load(path.read_text(encoding="utf-8"))
        listed = [entry for part in environment["dependencies"] if isinstance(part, dict) for entry in part["pip"]]
        assert listed
        for entry in listed:
            name, version = entry.split("==")
            assert locked[name.lower()] == version, f"{path.name}: {entry}, the lock has {locked[name.lower()]}"


def test_conda_environment_has_what_the_package_imports():
    """Every dependency but those of sharing and the executors, which jobs do not import."""
    text = (REPOSITORY / "envs" / "avbalance.yaml").read_text(encoding="utf-8")
    needed = {re.split(r"[~=<>]", entry)[0] for entry in project()["dependencies"]} - {"dvc", "rocrate"}
    needed = {name for name in needed if not name.startswith("snakemake-executor-")}
    assert [name for name in sorted(needed) if f"- {name}==" not in text] == []


def test_every_setting_of_a_profile_says_why():
    profiles = list((REPOSITORY / "profiles").rglob("*.yaml"))
    assert profiles
    for path in profiles:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip() and not line.startswith("#"):
                assert re.search(r"\S\s+# \S", line), f"{path.relative_to(REPOSITORY)}: {line!r} has no reason"


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="one process: all tests are together")
@pytest.mark.xdist_group("together")
def test_groups_of_tests_share_a_process(request: pytest.FixtureRequest) -> None:
    """Some versions of pytest and pytest-xdist ignore the groups; then long preparations are made once per process."""
    assert request.node.nodeid.endswith("@together")
