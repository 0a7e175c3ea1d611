"""The documentation as a site: it builds without a warning, and every page can be reached."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    out = tmp_path_factory.mktemp("site")
    words = ["-q", "-W", "--keep-going", "-c", "docs", ".", str(out)]
    done = subprocess.run([sys.executable, "-m", "sphinx", *words], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
def test_the_first_page_leads_to_every_page(site: Path) -> None:
    assert 'url=docs/index.html"' in (site / "index.html").read_text(encoding="utf-8")
    first = (site / "docs/index.html").read_text(encoding="utf-8")
    sidebar = first.split('class="sidebar-tree"')[1].split("</aside>")[0]
    reached = {(site / "docs" / link).resolve() for link in re.findall(r'href="([^"#]+\.html)"', sidebar)}
    pages = {path for path in (site / "docs").rglob("*.html") if "gallery" not in path.parts}
    assert pages - {site / "docs/index.html"} <= reached and len(pages) > 25
    captions = re.findall(r'class="caption-text">([^<]+)<', sidebar)
    assert captions == ["Tutorial", "How-to guides", "Reference", "Explanation", "Papers and results"]


@pytest.mark.slow
def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    asked = re.compile(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(?:https?:)?//[^"]*"')
    found = {path.name: asked.findall(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}
    assert {name: links for name, links in found.items() if links} == {}


@pytest.mark.slow
def test_a_link_to_a_heading_and_one_out_of_docs_are_followed(site: Path) -> None:
    page = (site / "docs/explanation/gradient-modulation.html").read_text(encoding="utf-8")
    assert 'href="../how-to/read-the-results.html#a-claim"' in page
    assert 'href="../../workflow/papers/avvp-gradient-modulation/README.html"' in page
