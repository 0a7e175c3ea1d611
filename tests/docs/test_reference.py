"""Pages that repeat what stands elsewhere still say the same."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from avbalance.cli import _parser
from avbalance.plan.config import load_dataset
from flowkeeper.files import digest_json

REPOSITORY = Path(__file__).parents[2]
REFERENCE = REPOSITORY / "docs" / "reference"
LINK = re.compile(r"\]\((?!https?://|#)(?P<target>[^)#\s]+)")
GENERATED = sorted((REPOSITORY / "config" / "datasets").glob("synthetic-*.yaml"))


def module_at(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def written_pages() -> list[Path]:
    """The pages of docs/ that people wrote: none of the gallery, none of a site that was built."""
    return [page for page in (REPOSITORY / "docs").rglob("*.md") if not {"gallery", "_build"} & {*page.parts}]


def markdown_pages() -> list[str]:
    found = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", REPOSITORY / "config/README.md"]
    found += [*written_pages(), *(REPOSITORY / "workflow/papers").rglob("*.md")]
    return sorted(str(path.relative_to(REPOSITORY)) for path in found)


@pytest.mark.parametrize("page", markdown_pages())
def test_links_lead_somewhere(page):
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    folder = (REPOSITORY / page).parent
    dead = [link["target"] for link in LINK.finditer(text) if not (folder / link["target"]).exists()]
    assert not dead, f"{page}: {dead}; pictures of docs/gallery are made by `make gallery`"


def test_every_page_is_in_the_list_of_pages():
    index = REPOSITORY / "docs/index.md"
    listed = {link["target"] for link in LINK.finditer(index.read_text(encoding="utf-8"))}
    pages = {str(page.relative_to(index.parent)) for page in written_pages() if page != index}
    assert pages <= listed


def test_list_of_methods_is_that_of_the_cards():
    made = module_at(REFERENCE / "make_methods.py").page()
    assert (REFERENCE / "methods.md").read_text(encoding="utf-8") == made, "run python docs/reference/make_methods.py"
    told = {part.partition("\n")[0]: part for part in made.split("\n## ")[1:]}
    without = [title for title, part in told.items() if not re.search(r"^- Equation: .{5,}", part, re.MULTILINE)]
    assert without == [], "no line Equation: in the docstring"


def test_declarations_and_schemas_are_those_of_the_classes():
    made = module_at(REFERENCE / "make_declarations.py").files()
    stale = [path.name for path, text in made.items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run python docs/reference/make_declarations.py"
    assert {path for path in made if path.suffix == ".yaml"} == set((REPOSITORY / "workflow/schemas").iterdir())


def test_every_field_that_may_be_written_is_explained():
    made = module_at(REFERENCE / "make_declarations.py")
    for classes in made.CHAPTERS.values():
        for model in classes:
            silent = [name for name, field in model.model_fields.items() if not field.description]
            assert silent == [], f"{model.__name__}: no line below {silent}"


def test_every_make_target_is_listed():
    targets = re.findall(r"^([a-z-]+):.*##", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    page = (REFERENCE / "commands.md").read_text(encoding="utf-8")
    assert len(targets) > 5
    assert [name for name in targets if name != "help" and f"| `make {name}` |" not in page] == []


def test_every_step_of_the_command_line_is_listed():
    steps = next(action.choices for action in _parser()._actions if action.choices)
    page = (REFERENCE / "commands.md").read_text(encoding="utf-8")
    assert [name for name in steps if f"avbalance {name}" not in page] == []


def test_every_column_of_a_finished_file_is_explained():
    from avbalance.data.manifest import _REQUIRED, ANNOTATED, PLANTED
    from avbalance.evaluation.measure import COLUMNS
    from avbalance.evaluation.predictions import SCHEMA
    from avbalance.features.store import INDEX_COLUMNS

    page = (REFERENCE / "files.md").read_text(encoding="utf-8")
    columns = [*_REQUIRED, *PLANTED, *ANNOTATED, *COLUMNS, *SCHEMA.names, *INDEX_COLUMNS]
    assert [name for name in columns if f"`{name}`" not in page] == []


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.stem)
def test_generator_settings_are_those_of_the_changelog(path):
    line = f"| `{path.stem}` | `{digest_json(load_dataset(REPOSITORY, {}, path.stem)['options'])}` |"
    changes = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert line in changes, f"the generator changed: add to CHANGELOG.md, with the old numbers,\n{line}"


def test_readme_is_short_and_shows_the_report_and_the_table_of_the_gallery():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") <= 120
    order = ["make reproduce", "](docs/images/report-first-screen.png)", "gallery:table", "avbalance cite"]
    assert sorted(order, key=text.index) == order
    update = module_at(REPOSITORY / "docs/gallery/update.py")
    table = REPOSITORY / "docs/gallery/real" / update.TABLE
    assert update.with_table(text, table.read_text(encoding="utf-8"), "real") == text, "run make gallery"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("real", "real recordings (GRID talker 1)"),
        ("demo", "synthetic stand-in"),
        ("comparison", "synthetic stand-in"),
    ],
)
def test_gallery_holds_what_its_folder_says(name, data):
    """Numbers of another tier must not be shown as the demo's or as those of recordings."""
    folder = f"docs/gallery/{name}"
    listed = subprocess.run(["git", "ls-files", "-co", folder], cwd=REPOSITORY, capture_output=True, text=True)
    update = module_at(REPOSITORY / "docs/gallery/update.py")
    shown = listed.stdout.split()
    needed = update.OWN.get(name, update.SOME)
    assert {f"{folder}/{path}" for path in needed} <= set(shown)
    assert {Path(path).suffix for path in shown} == {".md", ".png"}, "no media"
    pages = [(REPOSITORY / path).read_text(encoding="utf-8") for path in shown if path.endswith(".md")]
    assert data in (REPOSITORY / folder / needed[0]).read_text(encoding="utf-8")
    assert not any("its numbers mean nothing" in page for page in pages)
    for folder in {(REPOSITORY / path).parent for path in shown if path.endswith(".png")}:
        assert (folder / update.FIGURES).read_text(encoding="utf-8") == update.figures_page(folder), "run make gallery"
    if name == "real":
        assert len(pages) > 35 and not any("synthetic" in page for page in pages)
