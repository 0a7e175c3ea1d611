"""Every command of the documentation is run, page by page, in one clone in the smoke tier.

The demo's folder of results is read as the smoke tier's. Commands on real recordings run on a small part of them: the
configuration of avdigits is written anew with one epoch and one seed, and 20 clips of each digit.
"""

from __future__ import annotations

import csv
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from pages import FILES, PLAYED, SHOWN, Block, blocks, pages, place
from smoke_tier import contents

pytestmark = pytest.mark.xdist_group("newcomer")

USER = Path("config/user/avdigits.yaml")
SOURCES = ("config", "src", "tests", "workflow")  # what pages write into
METHOD, PAPER = "docs/how-to/add-a-method.md", "docs/how-to/add-a-paper.md"  # followed by tests of their own
TYPED: set[str] = set()  # blocks that were run; pages put the clone back, so that they would say the same again
CLIPS_PER_CLASS = {"train": 16, "test": 4}


def typed(page: str, recordings: bool) -> bool:
    return any(block.tag == "bash" and block.needs_recordings == recordings for block in blocks(page))


@contextmanager
def followed(page: str, clone) -> Iterator[list[Block]]:
    """The page's files written into the clone; afterwards its sources are as before, whatever a command did to them."""
    before = contents(clone.root, *SOURCES)
    try:
        parts = blocks(page)
        for block in parts:
            if block.tag in FILES:
                place(block, clone.root)
        yield parts
    finally:
        for path, content in contents(clone.root, *SOURCES).items():
            if path not in before:
                (clone.root / path).unlink()
            elif content != before[path]:
                (clone.root / path).write_bytes(before[path])


def type_in(clone, parts: list[Block], recordings: bool) -> list[str]:
    """Run the blocks in one shell's spirit: an environment that was activated stays so. Returns what they said."""
    said, active = [], False
    for block in parts:
        if block.tag != "bash":
            continue
        if block.needs_recordings == recordings and block.script.strip() and block.script not in TYPED:
            TYPED.add(block.script)
            prefix = "source .venv/bin/activate\n" if active else ""
            done = clone.run(prefix + block.script)
            assert done.status == 0, f"{block.script}\n{done.output[-4000:]}"
            said.append(done.output)
        active = active or block.activates
    return said


@pytest.mark.parametrize(
    "page",
    [page for page in pages() if typed(page, recordings=False) and page not in (METHOD, PAPER, *PLAYED.values())],
)
def test_commands_of_the_page(page, clone, made):
    assert made["first"].status == 0, made["first"].output[-3000:]
    with clone.alone(), followed(page, clone) as parts:
        type_in(clone, parts, recordings=False)


def test_a_method_that_follows_the_page_has_its_row(clone, made):
    with clone.alone(), followed(METHOD, clone) as parts:
        laid_down, shown = type_in(clone, parts, recordings=False)
    assert "label-smoothing: fulfils the contract." in laid_down and "1 passed" in laid_down
    table = (clone.root / "results/smoke/papers/balanced-audiovisual/tableS10.csv").read_text("utf-8")
    row = next(line for line in table.splitlines() if "Label smoothing" in line)
    assert row.split(",")[4] and "| Label smoothing |" in shown, "the new run has a number"


@pytest.mark.slow
def test_a_paper_that_follows_the_page_has_its_table(clone, made):
    with clone.alone(), followed(PAPER, clone) as parts:
        type_in(clone, parts, recordings=False)
    table = (clone.root / "results/one-question/papers/one-question/table1.md").read_text(encoding="utf-8")
    assert "(50.00)" in table, "the published number stands beside ours"


@pytest.mark.parametrize("page", pages())
def test_blocks_are_of_a_known_kind(page):
    for block in blocks(page):
        assert block.tag in ("bash", *SHOWN, *FILES), f"{page}: unknown tag {block.tag!r}"


@pytest.mark.slow
def test_commands_on_real_recordings(clone, made):
    source = os.environ.get("AVBALANCE_REAL_DATA")
    if not source:
        pytest.skip("AVBALANCE_REAL_DATA is not set: commands on avdigits were not run")
    with clone.alone(), small_recordings(Path(source) / "avdigits", clone.root):
        for page in pages():
            if typed(page, recordings=True):
                type_in(clone, blocks(page), recordings=True)
        folder = clone.root / "results/avdigits/papers/diagnosis"
        assert "real spoken digits" in (folder / "table1.md").read_text(encoding="utf-8")
        assert all((folder / name).is_file() for name in ("figure1.png", "tableS1.md", "verdict.md"))


@contextmanager
def small_recordings(source: Path, root: Path) -> Iterator[None]:
    """Some clips of each digit in downloads/avdigits, and the user's configuration cut to one epoch and seed."""
    target = root / "downloads" / "avdigits"
    target.mkdir(parents=True, exist_ok=True)
    with open(source / "manifest.csv", encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    taken: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
        some = taken.setdefault((row["label"], row["split"]), [])
        if len(some) < CLIPS_PER_CLASS[row["split"]]:
            some.append(row)
    chosen = [row for some in taken.values() for row in some]
    for row in chosen:
        for column in ("audio", "image"):
            (target / row[column]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / row[column], target / row[column])
    with open(target / "manifest.csv", "w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0].keys())
        writer.writeheader()
        writer.writerows(chosen)
    before = (root / USER).read_text(encoding="utf-8")
    config = yaml.safe_load(before)
    config["seeds"] = [0]
    settings = config["papers"]["diagnosis"]
    settings["settings"]["protocol"] |= {"epochs": 1, "decay_every": 1}
    settings["runs"]["gradient-blending"]["settings"]["method"]["super_epoch"] = 1
    (root / USER).write_text(yaml.safe_dump(config), encoding="utf-8")
    # The clone's own configuration names one paper, which every other configuration would make as well.
    shared = root / "config" / "config.yaml"
    all_papers = shared.read_text(encoding="utf-8")
    kept = [line for line in all_papers.splitlines(keepends=True) if not line.startswith("papers:")]
    shared.write_text("".join(kept), encoding="utf-8")
    try:
        yield
    finally:
        (root / USER).write_text(before, encoding="utf-8")
        shared.write_text(all_papers, encoding="utf-8")
