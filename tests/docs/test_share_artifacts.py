"""The page on sharing, played by two people with a repository and a remote between them, command by command."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from workspace import ONE_PAPER, Done, Workspace, borrow_environment

sys.path.insert(0, str(Path(__file__).parent))
from pages import FILES, PLAYED, Block, blocks, place

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sharing-page")]

PAGE = PLAYED["sharing"]
NAMES = ("Ada", "Ben")
CELLS = "balanced-audiovisual/synthetic-balanced-smoke"
SPECIMEN = "src/sitecustomize.py"  # of the tests' own; not part of the repository
UNTRACKED = ("/processes.jsonl", "/.cache/", f"/{SPECIMEN}", "/.venv")


class Play:
    """Two clones of one repository and what was said in them. Ada's is the workspace, Ben's comes into the folder."""

    def __init__(self, folder: Path, workspace: Workspace) -> None:
        self.clones = {"Ada": workspace, "Ben": Workspace(folder / "ben")}
        self.origin = folder / "origin.git"
        self.said: list[tuple[str, str]] = []  # script, output

    def type(self, name: str, script: str) -> str:
        """Run commands in somebody's clone, in the environment that the page has activated."""
        person = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in _identity(name)}
        done: Done = self.clones[name].run(f'PATH="$PWD/.venv/bin:$PATH"\n{script}', OMP_NUM_THREADS="1", **person)
        assert done.status == 0, f"{name}: {script}\n{done.output[-4000:]}"
        self.said.append((script, done.output))
        return done.output

    def begin(self) -> None:
        """Ada's clone, with the origin that both share."""
        with open(self.clones["Ada"].root / ".gitignore", "a", encoding="utf-8") as ignored:
            ignored.write("\n".join(UNTRACKED) + "\n")
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(self.origin)], check=True)
        self.type("Ada", "git init -q -b main\ngit add -A\ngit commit -q -m begin")
        self.type("Ada", f"git remote add origin {self.origin}\ngit push -q -u origin main")

    def join(self) -> None:
        """Ben's clone, with the environment that `make` would install."""
        root = self.clones["Ben"].root
        subprocess.run(["git", "clone", "-q", str(self.origin), str(root)], check=True)
        borrow_environment(root)
        shutil.copy(self.clones["Ada"].root / SPECIMEN, root / SPECIMEN)

    def idle(self, name: str) -> bool:
        return "Nothing to be done" in self.type(name, "snakemake -n")


def _identity(name: str) -> list[tuple[str, str]]:
    return [("NAME", name), ("EMAIL", f"{name.lower()}@example.org")]


def in_smoke(block: Block) -> Block:
    """The same in the smoke tier of one paper."""
    return replace(block, text=block.text.replace("demo", "smoke").replace("  avvp-gradient-modulation: {}\n", ""))


def night_is_published(play: Play) -> None:
    """Ada publishes the manifest of a data set of her own, while that of Ben's is on a branch."""
    ben, ada = play.clones["Ben"].root, play.clones["Ada"].root
    play.type("Ben", "git switch -q dim")
    text = (ben / "config/user/dim.yaml").read_text(encoding="utf-8")
    play.type("Ben", "git switch -q main")
    config = text.replace("dim", "night").replace("907", "908")
    (ada / "config/user/night.yaml").write_text(config, encoding="utf-8")
    play.type(
        "Ada",
        "git add config/user/night.yaml\ngit commit -q -m Night\n"
        "snakemake --configfile config/user/night.yaml -- data/synthetic-night/manifest.parquet\n"
        "avbalance publish\ngit commit -q -m 'Publish the manifest'",
    )


def both_publish_the_same_set(play: Play) -> None:
    """Ada trains a method by new code, Ben another one; both publish results/smoke, Ada pushes first."""
    for name, method in (("Ada", "greedy"), ("Ben", "ogm_ge")):
        source = play.clones[name].root / f"src/avbalance/methods/{method}.py"
        source.write_text(f"{source.read_text(encoding='utf-8')}\n\nADDED = 1\n", encoding="utf-8")
        play.type(name, f"git commit -q -a -m {method}\nsnakemake\navbalance publish\ngit commit -q -m Publish")
    play.type("Ada", "git push -q")


BEFORE: dict[str, Callable[[Play], None]] = {
    "git merge origin/dim": night_is_published,
    "git pull --no-rebase": both_publish_the_same_set,
}


@pytest.fixture(scope="module")
def play(smoke: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Play:
    folder = tmp_path_factory.mktemp("sharing")
    return perform(Play(folder, smoke.copy(folder / "ada")))


def perform(played: Play) -> Play:
    """Type the page, from its first to its last command."""
    played.begin()
    written: list[Block] = []  # files to be written by whoever types the next commands
    for block in map(in_smoke, blocks(PAGE)):
        if block.tag in FILES:
            written.append(block)
        if block.tag != "bash":
            continue
        name = block.text.splitlines()[0].removeprefix("# ")
        assert name in NAMES, f"nobody is to type\n{block.text}"
        for text, work in BEFORE.items():
            if text in block.text:
                work(played)
        if "git clone" in block.text:
            played.join()
        for file in written:
            if "\npapers:\n" in file.text:  # which may stand only once in a file
                config = played.clones[name].root / "config" / "config.yaml"
                config.write_text(config.read_text(encoding="utf-8").removeprefix(f"{ONE_PAPER}\n"), encoding="utf-8")
            place(file, played.clones[name].root)
        written.clear()
        played.type(name, block.script)
    return played


def outputs(play: Play, command: str) -> list[str]:
    """What was said when this command was among those typed."""
    return [output for script, output in play.said if command in script]


def test_the_whole_page_can_be_typed(play):
    assert play.said


def test_what_was_fetched_is_up_to_date(play):
    first = outputs(play, "make .venv/.ready")[0]
    assert "Nothing to be done" in first
    assert "| Baseline" in first, "the table"


def test_one_more_seed_trains_one_method(play):
    (said,) = outputs(play, 'git commit -m "A fourth seed of OGM-GE"')
    assert "train_balanced_audiovisual_synthetic_balanced_smoke_ogm_ge" in said
    assert "train_balanced_audiovisual_synthetic_balanced_smoke_greedy" not in said
    assert "Nothing to be done" in next(output for script, output in play.said if "# Ada\ngit pull" in script)


def test_after_coming_back_from_the_branch_nothing_is_to_be_done(play):
    (said,) = outputs(play, "git switch main")
    assert said.rstrip().splitlines()[-1].startswith("Nothing to be done")


def test_the_merge_conflicted_and_both_sides_keep_their_manifests(play):
    (said,) = outputs(play, "git merge origin/dim")
    assert "CONFLICT (content): Merge conflict in data.dvc" in said
    assert "1 file of other configurations brought, to stay published: data/synthetic-dim/manifest.parquet" in said
    listing = play.type("Ada", "dvc list --dvc-only -R --json . data")
    assert {entry["path"].split("/")[0] for entry in json.loads(listing)} == {
        "synthetic-balanced-smoke",
        "synthetic-dim",
        "synthetic-night",
    }


def test_the_same_set_of_both_sides_is_made_of_what_both_had(play):
    (said,) = outputs(play, "git pull --no-rebase")
    assert "CONFLICT (content): Merge conflict in results/smoke.dvc" in said
    assert "train_balanced_audiovisual_synthetic_balanced_smoke_greedy" not in said, "fetched from Ada"
    log = play.clones["Ben"].root / f"logs/smoke/train/{CELLS}/ogm-ge.log"
    assert "ogm-ge seed 0: found in the run cache" in log.read_text(encoding="utf-8"), "not trained again"
    assert play.idle("Ben")


def test_in_the_end_both_have_the_same(play):
    play.type("Ada", "git pull -q\navbalance fetch smoke")
    assert play.idle("Ada")
    ada, ben = (clone.root / "results/smoke" for clone in play.clones.values())
    tables = sorted(path.relative_to(ada) for path in (ada / "papers").rglob("*.csv"))
    assert tables and all((ada / table).read_bytes() == (ben / table).read_bytes() for table in tables)
