"""What to cite: works are found by what cards, papers and docstrings say of them."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from avbalance.cli import main
from avbalance.data.sources import kinds, source_text
from avbalance.methods.base import load, names
from avbalance.models import base as models
from avbalance.plan.config import load_paper
from avbalance.plan.entries import module_name
from avbalance.reporting.bibliography import OURS, Bibliography, Work

REPOSITORY = Path(__file__).parents[2]
BOOKS = Bibliography.of(REPOSITORY)
ARXIV = re.compile(r"\d{4}\.\d{5}")


def spoken() -> dict[str, str]:
    """Every text in which works are looked for, by what it is about."""
    cards = {f"method {name}": load(name).card.reference for name in names()}
    networks = {f"network {name}": f"avbalance.models.{module_name(name)}" for name in models.names()}
    papers = {path.parent.name for path in REPOSITORY.glob("workflow/papers/*/paper.yaml")}
    return {
        **cards,
        **{about: importlib.import_module(module).__doc__ or "" for about, module in networks.items()},
        **{f"data {kind}": source_text(kind) for kind in kinds()},
        **{f"paper {slug}": load_paper(REPOSITORY, slug)["reference"] for slug in papers},
    }


def test_every_work_that_is_named_is_in_the_bibliography_and_no_other():
    texts = spoken()
    named = {about: BOOKS.named_in(text) for about, text in texts.items()}
    lacking = [about for about, text in texts.items() if about.startswith("method") and OURS not in text]
    assert [about for about in lacking if not named[about]] == []
    listed = {work.arxiv for work in BOOKS.works}
    assert {number for text in texts.values() for number in ARXIV.findall(text)} <= listed
    found = {work.key for works in named.values() for work in works}
    assert {work.key for work in BOOKS.works} == found
    assert len(BOOKS.works) == len(found), "two works with one key"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Peng et al., CVPR 2022, arXiv 2203.15332", "peng2022balanced"),
        ("the network of Greedy (Wu et al. 2022)", "wu2022characterizing"),
        ("MA, stage two (Wu and Yang 2021)", "wu2021exploring"),
        ("AVSDN (Lin, Li and Wang 2019)", "lin2019dualmodality"),  # not Wang 2019, who comes last
        ("Wu is named in one sentence; of 2022 is another", ""),
    ],
)
def test_a_work_is_known_by_its_number_or_by_first_author_and_year(text, key):
    assert [work.key for work in BOOKS.named_in(text)] == ([key] if key else [])


def test_a_work_in_bibtex_and_in_words():
    work = Work(
        {
            "type": "article", "title": "Sound & sight?", "year": 2014, "journal": "Letters", "volume": 5, "start": 3,
            "end": 9,
            "authors": [{"family-names": "Cao", "given-names": "H."}, {"name": "others"}], "notes": "100 % ours",
            "identifiers": [{"type": "other", "value": "arXiv:1401.00001"}],
        }
    )  # fmt: skip
    assert work.bibtex.splitlines() == [
        "@article{cao2014sound,",
        r"  title = {{Sound \& sight?}},",
        "  author = {Cao, H. and others},",
        "  journal = {Letters},",
        "  volume = {5},",
        "  pages = {3--9},",
        "  year = {2014},",
        "  eprint = {1401.00001},",
        "  archiveprefix = {arXiv},",
        r"  note = {100 \% ours},",
        "}",
    ]
    assert work.plain == "Cao, H.; others (2014). Sound & sight? Letters, arXiv:1401.00001. 100 % ours."


def test_what_the_bibliography_lacks_is_cited_by_what_is_said_of_it():
    (work,) = BOOKS.behind("label-smoothing", "Label smoothing", "Szegedy et al., CVPR 2016")
    assert work.bibtex.startswith("@misc{label-smoothing,") and "note = {Szegedy et al., CVPR 2016}" in work.bibtex
    assert BOOKS.behind("late-ensemble", "Late ensemble", f"a control {OURS}") == []


def test_the_command_names_software_paper_methods_and_data(monkeypatch, capsys):
    monkeypatch.chdir(REPOSITORY)
    assert main(["cite", "--config", "tier=paper"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("% software avbalance\n@misc{maintainers2026avbalance,")
    assert re.search(r"% paper gmm-adaptive-loss; methods Adaptive loss, .*\n@article\{liu2025quantifying,", said)
    assert "Liu, Xiaoqing and Chen, C. L. Philip" in said
    assert re.search(r"% data sets vggsound, .*\n@inproceedings\{zverev2025vggsounder,", said)
    assert said.count("{xia2023balanced,") == 1
    assert "no title page, authors or year" in said  # of the paper whose authors nobody knows


def test_recordings_of_the_user_are_named_as_they_are_declared(monkeypatch, capsys):
    monkeypatch.chdir(REPOSITORY)
    assert main(["cite", "--plain", "--configfile", "config/user/avdigits.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("- avdigits. 3,000 real spoken digits") and lines[-1].endswith(
        " For: data set avdigits."
    )
    assert not any("synthetic" in line for line in lines)
