"""Copy results to docs/gallery, and put a table of the first folder into the README.

Usage: python docs/gallery/update.py [folders of results, by default those of MAKERS below results]

Of real recordings, of the comparisons and of disagreement all tables, figures and claims are copied, of other results a
few. No media are. Figures of a paper stand with their captions in figures.md beside them. The README shows a table of
the first folder, unless that is one without a paper.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from avbalance.errors import UserError
from avbalance.reporting.escape import escape_markdown
from flowkeeper.files import atomic_path

ROOT = Path(__file__).resolve().parents[2]
TABLE = "balanced-audiovisual/table2.md"
SOME = (TABLE, "balanced-audiovisual/figure1.png")
# Of a tier that builds its balanced set
BUILDING = tuple(f"balanced-audiovisual/{name}" for name in ("tableS8.md", "tableS9.md", "figureS3.png"))
ALL = ("*.md", "*/*.md", "*/*.png")
MAKERS = {
    "real": "make real GRID=<folder>",
    "demo": "make reproduce",
    "grid-balanced": "snakemake --configfile config/user/grid-balanced.yaml",
    "comparison": "make compare",
    "comparison-grid": "snakemake --configfile config/user/comparison-grid.yaml",
    "comparison-one-rate": "snakemake --configfile config/user/comparison-one-rate.yaml",
    "comparison-aug": "snakemake --configfile config/user/comparison-aug.yaml",
    "disagreement": "make disagreement",
}
OWN = {  # what is no paper, whole
    **dict.fromkeys(("comparison", "comparison-grid", "comparison-one-rate", "comparison-aug"), ("comparison/table2.md",)),
    "disagreement": ("disagreement/table1.md",),
}
FIGURES = "figures.md"
ROWS = 7  # the methods and the unimodal models; the controls stand in the whole table
BLOCK = re.compile(r"(<!-- gallery:table -->\n).*?(<!-- /gallery -->)", re.DOTALL)


def excerpt(table: str, name: str) -> str:
    """Title, the first rows with their heads, and the data line of the Markdown of a table of results/<name>."""
    lines = table.splitlines()
    title = next(line.removeprefix("# ") for line in lines if line.startswith("# "))
    data = next(line for line in lines if line.startswith("Data: "))
    cells = next(line for line in lines if line.startswith("Cells: "))
    rows = [line for line in lines if line.startswith("|")]
    return "\n".join(
        [f"**{title}**", "", *rows[: 2 + ROWS], "", f"{data} {cells} [Whole table](docs/gallery/{name}/{TABLE}).", ""]
    )


def with_table(readme: str, table: str, name: str) -> str:
    """The README with `table` between its markers; raises UserError when they are not there exactly once."""
    if len(BLOCK.findall(readme)) != 1:
        raise UserError("README.md: needs one block <!-- gallery:table --> ... <!-- /gallery -->; put it back.")
    return BLOCK.sub(lambda match: f"{match[1]}{excerpt(table, name)}{match[2]}", readme)


def made(results: Path) -> list[str]:
    """The files below papers/ of a folder of results that are shown; raises UserError when one is absent."""
    papers = results / "papers"
    absent = [papers / name for name in OWN.get(results.name, SOME) if not (papers / name).is_file()]
    if absent:
        raise UserError(f"{absent[0]}: no such file; run {MAKERS.get(results.name, 'snakemake')} first.")
    if results.name not in ("real", *OWN):
        return [*SOME, *(name for name in BUILDING if (papers / name).is_file())]
    return sorted(str(path.relative_to(papers)) for pattern in ALL for path in papers.glob(pattern))


def figures_page(folder: Path) -> str:
    """Markdown that shows the pictures in a folder, each with the title and the caption that its file holds."""
    lines = ["# Figures"]
    for path in sorted(folder.glob("figure*.png")):
        with Image.open(path) as picture:
            title, caption = (escape_markdown(str(picture.info[name])) for name in ("Title", "Description"))
        lines += ["", f"## {title}", "", f"![{title}]({path.name})", "", caption]
    return "\n".join(lines) + "\n"


def update(root: Path, folders: Sequence[Path]) -> None:
    """Renew docs/gallery and README.md below `root` from folders of results; raises UserError when one lacks a file."""
    shown = {folder: made(folder) for folder in folders}
    readme, table = root / "README.md", folders[0] / "papers" / TABLE
    text = readme.read_text(encoding="utf-8")
    if folders[0].name not in OWN:
        text = with_table(text, table.read_text(encoding="utf-8"), folders[0].name)
    for folder, names in shown.items():
        target = root / "docs" / "gallery" / folder.name
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(target / name) as temporary:
                shutil.copyfile(folder / "papers" / name, temporary)
        for path in target.rglob("*.*"):
            if str(path.relative_to(target)) not in names:
                path.unlink()  # no longer made
        for paper in sorted({path.parent for path in target.rglob("figure*.png")}):
            with atomic_path(paper / FIGURES) as temporary:
                temporary.write_text(figures_page(paper), encoding="utf-8")
    with atomic_path(readme) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        update(ROOT, [Path(name) for name in sys.argv[1:]] or [ROOT / "results" / name for name in MAKERS])
    except UserError as error:
        sys.exit(f"error: {error}")
