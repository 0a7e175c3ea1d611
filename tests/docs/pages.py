"""The documentation's pages as lists of fenced blocks: what a reader types, and the files a page has him write."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
BLOCK = re.compile(r"^(?P<indent> *)```(?P<tag>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# file: (?P<path>\S+)\n")
ADDITION = re.compile(r"# add to: (?P<path>\S+), below: (?P<line>.+)\n")

# Not run: what takes long and is run otherwise, and fetching the repository, which the copy stands for.
EXEMPT = (
    "make test", "make test-all", "make lint", "make mutants", "make bench", "make bench-gpu", "make stability",
    "make disagreement",
    "make docs", "snakemake -n --quiet rules --config tier=paper",
    "python benchmarks/gpu_check.py --device cpu --quick", "git clone",
)  # fmt: skip
PLAYED = {  # elsewhere: by two people in tests/docs, and with a Slurm in tests/cluster
    "sharing": "docs/how-to/share-artifacts.md",
    "cluster": "docs/how-to/run-on-a-cluster.md",
}
SHOWN = ("text", "console")  # to be read, not typed
FILES = ("yaml", "python", "csv")  # to be written into a file


@dataclass(frozen=True)
class Block:
    """One fenced block: its tag and its text without indentation."""

    tag: str
    text: str

    @property
    def script(self) -> str:
        """The commands to run: all but the exempt lines, in the smoke tier, whose results lie elsewhere."""
        kept = [line for line in self.text.splitlines() if not _exempt(line)]
        smoke = "\n".join(kept).replace("results/demo", "results/smoke")
        return smoke.replace("/synthetic-balanced/", "/synthetic-balanced-smoke/")

    @property
    def needs_recordings(self) -> bool:
        """Whether the block computes or reads results of avdigits; its dry runs need nothing."""
        lines = [line for line in self.text.splitlines() if "avdigits" in line]
        return any(" -n " not in line for line in lines)

    @property
    def activates(self) -> bool:
        return "source .venv/bin/activate" in self.text


def _exempt(line: str) -> bool:
    command = line.strip()
    return command.removeprefix(".venv/bin/") in EXEMPT or command.startswith("git clone ")


def pages() -> list[str]:
    """README.md first, then the tutorial, then the rest."""
    written = [path for path in (REPOSITORY / "docs").rglob("*.md") if not {"gallery", "_build"} & {*path.parts}]
    found = sorted(str(path.relative_to(REPOSITORY)) for path in written)
    return ["README.md", *sorted(found, key=lambda name: "tutorial" not in name), "config/README.md"]


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    return [Block(found["tag"], textwrap.dedent(found["text"])) for found in BLOCK.finditer(text)]


def place(block: Block, root: Path) -> None:
    """Write a file block into the clone at `root`: a new file, or lines below a line of one that is there."""
    new, addition = FILE.match(block.text), ADDITION.match(block.text)
    assert new or addition, f"a {block.tag} block must begin with '# file:' or '# add to:':\n{block.text[:80]}"
    body = block.text.split("\n", 1)[1]
    if new:
        path = root / new["path"]
        assert not path.exists(), f"{new['path']} exists; a page must not overwrite a file"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body, encoding="utf-8")
        return
    path = root / addition["path"]
    before = path.read_text(encoding="utf-8")
    assert before.count(f"\n{addition['line']}\n") == 1, f"{addition['path']} has no single line {addition['line']!r}"
    path.write_text(before.replace(f"\n{addition['line']}\n", f"\n{addition['line']}\n{body}"), encoding="utf-8")
