"""Copy the figure and the table that the README shows from results/demo, and put the table into the README.

Usage: python docs/gallery/update.py [folder of results, by default results/demo]
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from avbalance.errors import UserError
from avbalance.files import atomic_path

ROOT = Path(__file__).resolve().parents[2]
PAPER = "papers/balanced-audiovisual"
SHOWN = ("figure1.png", "table2.md")
ROWS = 7  # the methods and the unimodal models; the controls stand in the whole table
BLOCK = re.compile(r"(<!-- gallery:table -->\n).*?(<!-- /gallery -->)", re.DOTALL)


def excerpt(table: str) -> str:
    """Title, the first rows with their heads, and the data line of a table's Markdown."""
    lines = table.splitlines()
    title = next(line.removeprefix("# ") for line in lines if line.startswith("# "))
    data = next(line for line in lines if line.startswith("Data: "))
    cells = next(line for line in lines if line.startswith("Cells: "))
    rows = [line for line in lines if line.startswith("|")]
    return "\n".join(
        [f"**{title}**", "", *rows[: 2 + ROWS], "", f"{data} {cells} [Whole table](docs/gallery/table2.md).", ""]
    )


def with_table(readme: str, table: str) -> str:
    """The README with `table` between its markers; raises UserError when they are not there exactly once."""
    if len(BLOCK.findall(readme)) != 1:
        raise UserError("README.md: needs one block <!-- gallery:table --> ... <!-- /gallery -->; put it back.")
    return BLOCK.sub(lambda match: f"{match[1]}{excerpt(table)}{match[2]}", readme)


def update(root: Path, results: Path) -> None:
    """Renew docs/gallery and README.md below `root` from a folder of results; raises UserError when it lacks a file."""
    made = [results / PAPER / name for name in SHOWN]
    absent = [path for path in made if not path.is_file()]
    if absent:
        raise UserError(f"{absent[0]}: no such file; run make reproduce first.")
    readme = root / "README.md"
    text = with_table(readme.read_text(encoding="utf-8"), made[1].read_text(encoding="utf-8"))
    for path in made:
        with atomic_path(root / "docs" / "gallery" / path.name) as temporary:
            shutil.copyfile(path, temporary)
    with atomic_path(readme) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        update(ROOT, Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "results" / "demo")
    except UserError as error:
        sys.exit(f"error: {error}")
