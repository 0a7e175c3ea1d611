"""What a result set says of itself to others: RO-Crate 1.1 for archives and search, CODECHECK 1.0 for who checks it.

See researchobject.org/ro-crate/specification/1.1 and codecheck.org.uk/spec/config/1.0. Both are made of records and
declarations alone, so that the same results are described by the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from avbalance.reporting.bibliography import Bibliography, Work
from flowkeeper.files import atomic_path, read_json, sha256_file, write_json

FORMATS = {
    ".csv": "text/csv", ".md": "text/markdown", ".tex": "application/x-tex", ".png": "image/png",
    ".pdf": "application/pdf", ".json": "application/json", ".html": "text/html",
}  # fmt: skip
CHECKED = (".csv", ".png", ".html")  # what somebody who checks compares; of claims the page
TITLES = {"claims": "Verdicts on the claims", "lost_clips": "Clips that were not used", "report": "Report"}
CODECHECK = "https://codecheck.org.uk/spec/config/1.0/"
CODECHECK_HEAD = """\
# For a CODECHECK (codecheck.org.uk): the files to make again and to compare. Who checks adds codechecker, report,
# certificate, check_time and, where this belongs to a publication, paper: reference.
"""


def describe(spec: Mapping[str, Any], out: Path) -> None:
    """Write ro-crate-metadata.json and codecheck.yml of a result set into `out`, its folder.

    spec: name; papers, title and reference of each; titles of tables and figures, by "<slug>/<id>"; datasets, what each
    is; sources, what is known of where they come from; files of the set; records of its runs, of which some may be
    absent. Raises UserError for a file that cannot be read.
    """
    books = Bibliography.of(Path.cwd())
    with atomic_path(out / "codecheck.yml") as temporary:
        temporary.write_text(codecheck(spec, books, out), encoding="utf-8")
    write_json(out / "ro-crate-metadata.json", crate(spec, books, out).metadata.generate())


def _title(spec: Mapping[str, Any], path: Path) -> str:
    """Of a file: that of its table or figure, or what it holds; and of which paper."""
    slug = path.parent.name
    title = spec["titles"].get(f"{slug}/{path.stem}", TITLES.get(path.stem, path.name))
    return f"{title} ({slug})" if slug in spec["papers"] else title


def codecheck(spec: Mapping[str, Any], books: Bibliography, out: Path) -> str:
    """The text of codecheck.yml: the files that whoever checks makes again, each with its title."""
    files = [Path(path) for path in spec["files"] if Path(path).suffix in CHECKED or Path(path).name == "claims.md"]
    software = books.software()
    papers = "; ".join(f"{paper['title']} ({paper['reference']})" for paper in spec["papers"].values())
    content = {
        "version": CODECHECK,
        "paper": {"title": software.title, "authors": [{"name": name} for name in software.authors]},
        "manifest": [{"file": str(path.relative_to(out)), "comment": _title(spec, path)} for path in files],
        "summary": f"Results {spec['name']} of {software.title}, {software.entry['version']}. After: {papers}.",
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{CODECHECK_HEAD}{text}"


def crate(spec: Mapping[str, Any], books: Bibliography, out: Path) -> ROCrate:
    """The result set as a research object: its files, the code and the runs that made them, and what they stand on."""
    records = [read_json(path) for path in spec["records"] if Path(path).is_file()]
    made = ROCrate(version="1.1")
    software, root = books.software(), made.root_dataset
    made.name = f"{spec['name']}: results of {software.title}"
    made.description = "; ".join(f"{name}: {what}" for name, what in spec["datasets"].items())
    made.license = f"https://spdx.org/licenses/{software.entry['license']}"
    # The date of the last run, not today's: the same results must give the same bytes.
    ended = [str(record["finished"]) for record in records if "finished" in record]
    root["datePublished"] = max(ended, default=str(software.entry["date-released"]))[:10]
    root["author"] = [_add(made, f"#{quote(name)}", "Organization", name=name) for name in software.authors]
    root["citation"] = [_work(made, work) for work in _stands_on(spec, books)]
    code = [_code(made, software, commit) for commit in sorted({_commit(record) for record in records})]
    if (out / "runs").is_dir():
        made.add_directory(
            dest_path="runs/", properties={"name": "Predictions, histories, weights and records of all runs"}
        )
    files = {path: _file(made, spec, out, Path(path)) for path in spec["files"]}
    for slug, paper in spec["papers"].items():
        result = [entity for path, entity in files.items() if Path(path).parent.name == slug]
        _add(made, f"#{slug}", "CreateAction", name=paper["title"], instrument=code, result=result)
    return made


def _add(made: ROCrate, identifier: str, kind: str, **properties: Any) -> Any:
    """Add something that is no file; what is empty is left out."""
    kept = {"@type": kind, **{key: value for key, value in properties.items() if value}}
    return made.add(ContextEntity(made, identifier, properties=kept))


def _commit(record: Mapping[str, Any]) -> str:
    code = record["code"]
    return f"{code['commit']}{'-dirty' if code.get('dirty') else ''}"


def _code(made: ROCrate, software: Work, commit: str) -> Any:
    version = f"{software.entry['version']}, commit {commit}"
    return _add(made, f"#code-{commit}", "SoftwareSourceCode", name=software.title, version=version)


def _stands_on(spec: Mapping[str, Any], books: Bibliography) -> Iterator[Work]:
    """Papers and data sets; `avbalance cite` tells the methods, too, whose cards need torch to be read."""
    texts = [*(paper["reference"] for paper in spec["papers"].values()), *spec["sources"]]
    yield from (work for work in books.works if any(work.is_named_in(text) for text in texts))


def _work(made: ROCrate, work: Work) -> Any:
    identifier = f"https://arxiv.org/abs/{work.arxiv}" if work.arxiv else f"#{work.key}"
    named = {"name": work.title, "author": "; ".join(work.authors), "datePublished": work.year}
    return _add(made, identifier, "ScholarlyArticle", **named)


def _file(made: ROCrate, spec: Mapping[str, Any], out: Path, path: Path) -> Any:
    facts = {
        "name": _title(spec, path),
        "encodingFormat": FORMATS.get(path.suffix, "application/octet-stream"),
        "contentSize": str(path.stat().st_size),
        "sha256": sha256_file(path),
    }
    return made.add_file(dest_path=str(path.relative_to(out)), properties=facts)
