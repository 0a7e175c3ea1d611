"""What the README promises somebody who has just cloned the repository, in the smoke tier."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.xdist_group("newcomer")

PAPER = "results/smoke/papers/balanced-audiovisual"
PROMISED = [
    *(f"{table}.{suffix}" for table in ("table1", "table2") for suffix in ("csv", "md", "tex")),
    *(f"{figure}.{suffix}" for figure in ("figure1", "figure2") for suffix in ("svg", "png", "pdf", "tex", "csv")),
    "claims.json",
    "claims.md",
    "measurements.parquet",
    "lost_clips.csv",
]


def test_make_smoke_runs_to_the_end(made):
    first = made["first"]
    assert first.status == 0, first.output[-3000:]
    assert "(100%) done" in first.output
    kinds = first.kinds  # starting a process takes most of the time here, on any machine
    assert kinds["train"] <= 10 and kinds.total() <= 25, kinds
    assert max(map(len, first.output.splitlines())) < 300, "a line fits a screen: jobs are told by name, not by files"


def test_nothing_is_installed_again(made):
    assert "pip install" not in made["first"].output


def test_a_second_call_has_nothing_to_do_and_says_so_quickly(made):
    second = made["second"]
    assert second.status == 0, second.output[-3000:]
    assert "Nothing to be done" in second.output
    assert second.cpu_s < made["first"].cpu_s / 10


@pytest.mark.parametrize("name", PROMISED)
def test_promised_files_are_there(clone, made, name):
    path = clone.root / PAPER / name
    assert path.is_file() and path.stat().st_size > 0


def test_tables_name_their_data(clone, made):
    text = (clone.root / PAPER / "table2.md").read_text(encoding="utf-8")
    assert "synthetic stand-in" in text
    assert "its numbers mean nothing" in text


def test_the_clone_runs_its_own_code(clone):
    said = clone.run(".venv/bin/python -c 'import avbalance; print(avbalance.__file__)'")
    assert said.output.strip() == str(clone.root / "src" / "avbalance" / "__init__.py")


def test_the_gallery_is_made_from_results(clone, made):
    with clone.alone():
        readme = clone.root / "README.md"
        before = readme.read_text(encoding="utf-8")
        absent = clone.run(".venv/bin/python docs/gallery/update.py results/nowhere")
        assert absent.status == 1
        assert absent.output.count("\n") == 1 and "run snakemake first" in absent.output
        assert readme.read_text(encoding="utf-8") == before
        said = clone.run(".venv/bin/python docs/gallery/update.py results/smoke")
        assert said.status == 0, said.output
        shown = readme.read_text(encoding="utf-8")
        readme.write_text(before, encoding="utf-8")
    table = (clone.root / PAPER / "table2.md").read_text(encoding="utf-8")
    block = shown.split("<!-- gallery:table -->\n")[1].split("<!-- /gallery -->")[0]
    row = next(line for line in table.splitlines() if line.startswith("| Baseline "))
    assert row in block.splitlines()
    assert "synthetic stand-in" in block
    shown = clone.root / "docs/gallery/smoke/balanced-audiovisual/figure1.png"
    assert shown.read_bytes() == (clone.root / PAPER / "figure1.png").read_bytes()
    captions = shown.with_name("figures.md").read_text(encoding="utf-8")
    assert "## Figure 1. Modality discrepancy" in captions and "Data: " in captions
