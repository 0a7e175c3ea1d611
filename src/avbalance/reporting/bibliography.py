"""CITATION.cff, the only bibliography: its entries, found by what a text says of them, as BibTeX and as sentences.

Cards of methods, paper.yaml and the docstrings of networks and of kinds of data sets name works as people do, "Peng et
al. 2022" or "arXiv 2203.15332".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from avbalance.errors import UserError

BIBLIOGRAPHY = "CITATION.cff"
OURS = "of this repository"  # a reference that says so names no work
OTHERS = "others"  # in place of the authors that a source does not list


@dataclass(frozen=True)
class Work:
    """One entry of CITATION.cff: the software itself, or one of `references`."""

    entry: Mapping[str, Any]

    @property
    def title(self) -> str:
        return str(self.entry["title"])

    @property
    def authors(self) -> list[str]:
        """As "Family, Given"; groups by their name, and "others" where the source abbreviates the list."""
        return [
            person["name"] if "name" in person else f"{person['family-names']}, {person['given-names']}"
            for person in self.entry.get("authors", ())
        ]

    @property
    def year(self) -> str:
        return str(self.entry.get("year") or self.entry.get("date-released", ""))[:4]

    @property
    def arxiv(self) -> str:
        """Number at arXiv, "" where it has none."""
        values = [str(each["value"]) for each in self.entry.get("identifiers", ())]
        return next((value.removeprefix("arXiv:") for value in values if value.startswith("arXiv:")), "")

    @property
    def venue(self) -> str:
        return str(self.entry.get("journal") or self.entry.get("conference", {}).get("name", ""))

    @property
    def key(self) -> str:
        """Of BibTeX: first author, year, first word of the title."""
        first = self.authors[0].partition(",")[0].split()[-1] if self.authors else ""
        return str(self.entry.get("key")) if "key" in self.entry else _word(first + self.year + self.title.split()[0])

    def is_named_in(self, text: str) -> bool:
        """Whether a text speaks of it, by its number at arXiv or by its first author and its year."""
        if self.arxiv and self.arxiv in text:
            return True
        family = re.escape(self.authors[0].partition(",")[0])
        # Not behind a comma or "and", where the name is that of a later author; not across a bracket or semicolon,
        # behind which another work begins.
        return re.search(rf"(?<!, )(?<!and )\b{family}\b[^;()]{{0,40}}\b{self.year}\b", text) is not None

    @property
    def bibtex(self) -> str:
        kind = {"article": "article", "conference-paper": "inproceedings"}.get(self.entry.get("type", ""), "misc")
        place = {"article": "journal", "inproceedings": "booktitle"}.get(kind, "howpublished")
        fields = {
            "title": f"{{{_tex(self.title)}}}",
            "author": " and ".join(name if "," in name or name == OTHERS else f"{{{name}}}" for name in self.authors),
            place: self.venue or (f"arXiv:{self.arxiv}" if kind == "article" else ""),
            "volume": self.entry.get("volume"),
            "number": self.entry.get("issue"),
            "pages": f"{self.entry['start']}--{self.entry['end']}" if "start" in self.entry else "",
            "year": self.year,
            "version": self.entry.get("version"),
            "eprint": self.arxiv,
            "archiveprefix": "arXiv" if self.arxiv else "",
            "note": _tex(self.entry.get("notes", "")),
        }
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@{kind}{{{self.key},", *lines, "}"])

    @property
    def plain(self) -> str:
        """One line: authors, year, title, and where it is to be found."""
        number, version = f"arXiv:{self.arxiv}" if self.arxiv else "", self.entry.get("version", "")
        where = ", ".join(filter(None, [self.venue, number, f"version {version}" if version else ""]))
        who = f"{'; '.join(self.authors)} ({self.year})" if self.authors else ""
        said = filter(None, [who, self.title, where, str(self.entry.get("notes", ""))])
        return " ".join(part if part.endswith((".", "?")) else f"{part}." for part in said)


def _word(text: str) -> str:
    return re.sub(r"\W", "", text.lower())


def _tex(text: str) -> str:
    """What TeX would read as a command, escaped."""
    return re.sub(r"([&%$#_])", r"\\\1", text)


@dataclass(frozen=True)
class Bibliography:
    """CITATION.cff of a repository."""

    content: Mapping[str, Any]

    @classmethod
    def of(cls, root: Path) -> Bibliography:
        """Raises UserError when the file is absent or broken."""
        path = root / BIBLIOGRAPHY
        try:
            return cls(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, yaml.YAMLError) as error:
            raise UserError(f"{path}: cannot be read ({' '.join(str(error).split())}); take it from git.") from error

    def software(self, commit: str | None = None) -> Work:
        """This software, as it is at a commit."""
        return Work({**self.content, "notes": f"commit {commit}"} if commit else self.content)

    @cached_property
    def works(self) -> list[Work]:
        return [Work(entry) for entry in self.content.get("references", ())]

    def named_in(self, text: str) -> list[Work]:
        """The works that a text speaks of, in the order of the bibliography."""
        return [work for work in self.works if work.is_named_in(text)]

    def behind(self, name: str, title: str, text: str) -> list[Work]:
        """The works behind one thing by what is said of it; what the bibliography lacks becomes a note."""
        return self.named_in(text) or ([] if OURS in text else [Work({"title": title, "notes": text, "key": name})])
