"""report.html as people meet it: in headless Chromium, with hostile names, at three widths, by mouse and keyboard.

Skipped where no Chromium is installed, unless AVBALANCE_REQUIRE_BROWSER=1 says that there must be one.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import page_results
import pytest
from page_results import ARABIC, COMMIT, QUOTES, SCRIPT

REQUIRED = os.environ.get("AVBALANCE_REQUIRE_BROWSER") == "1"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ABSENT = "no chromium on the PATH; apt-get install chromium has the page tested in a browser"
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason=ABSENT),
    pytest.mark.xdist_group("browser"),
]
SIZES = {"phone": (390, 844), "tablet": (820, 1180), "desk": (1400, 1000)}
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    assert CHROMIUM, ABSENT
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    before = Path.cwd()
    os.chdir(folder)
    try:
        return page_results.made_page(folder)
    finally:
        os.chdir(before)


@pytest.fixture
def view(browser: Any, made: Path) -> Iterator[Open]:
    """Opens the page; at the end nothing was requested but the page, and nothing was complained of."""
    requests, complaints, contexts = list[str](), list[str](), list[Any]()

    def opened(size: str = "desk", scheme: str = "light", path: Path = made, anchor: str = "") -> Any:
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path.as_uri() + anchor)
        page.wait_for_selector("html[data-ready]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "blob:"))] == []
    assert len([url for url in requests if url.startswith("file:")]) == len(contexts)


def saved(page: Any, button: Any) -> tuple[str, str]:
    """Name and content of what a button saves."""
    with page.expect_download() as waiting:
        button.click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_text(encoding="utf-8")


def found_by_axe(page: Any) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    violations = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html'][:120]}" for each in violations for node in each["nodes"]]


def test_hostile_names_stay_text(view: Open) -> None:
    page = view()
    assert page.evaluate("window.hacked") is None
    assert page.locator("#paper-h").inner_text() == f"A paper {SCRIPT}"
    page.get_by_role("button", name=f"Other {ARABIC} {QUOTES}").first.click()
    assert page.locator("#panel-h").inner_text().startswith(f"Other {ARABIC} {QUOTES}, Set, seed")
    assert page.locator("#panel").get_by_text(f"P {SCRIPT}").count() == 1
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_wider_than_the_screen(view: Open, size: str) -> None:
    page = view(size)
    page.evaluate("document.querySelectorAll('main details').forEach((each) => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == SIZES[size][0]


@pytest.mark.parametrize(("size", "scheme"), [("desk", "light"), ("desk", "dark"), ("phone", "light")])
def test_everybody_can_use_it(view: Open, size: str, scheme: str) -> None:
    page = view(size, scheme)
    page.evaluate("document.querySelectorAll('main details').forEach((each) => { each.open = true; })")
    assert found_by_axe(page) == []
    page.locator(".cell").first.click()
    assert found_by_axe(page) == []
    page.locator("#panel tbody button").first.click()
    assert found_by_axe(page) == []


def test_every_link_leads_somewhere(view: Open) -> None:
    page = view()
    links = page.evaluate("[...document.querySelectorAll('a')].map((link) => link.getAttribute('href'))")
    inside = [link for link in links if link.startswith("#")]
    assert set(links) - set(inside) == {"https://example.org/"}
    assert [link for link in inside if page.locator(f"[id='{link[1:]}']").count() != 1] == []


def test_an_address_opens_a_claim_and_its_source_leads_to_the_table(view: Open) -> None:
    page = view(anchor="#paper-C1")
    claim = page.locator("#paper-C1")
    assert claim.get_attribute("open") is not None
    assert page.locator("#paper-C2").get_attribute("open") is None
    claim.get_by_role("link", name="1").first.click()
    assert page.url.endswith("#paper-table1")
    assert page.evaluate("document.getElementById('paper-table1').getBoundingClientRect().top < innerHeight")


def test_a_claim_shows_effects_and_leads_to_its_runs(view: Open) -> None:
    page = view(anchor="#paper-C1")
    row = page.locator("#paper-C1 .comparisons tbody tr")
    assert re.sub(r"\s+", " ", row.locator("td").first.inner_text()) == (
        "+2.50 (+1.50 to +3.50) points as claimed · n 40† · detects 2.00 2 seeds: 0: +2.00, 1: +3.00"
    )
    row.get_by_role("button").click()
    runs = page.locator("#panel tbody th").all_inner_texts()
    assert len(runs) == 6 and {text.split(",")[0] for text in runs} == {f"Fused {SCRIPT}", "Audio unimodal"}


def test_definitions_of_subsets_stand_side_by_side_the_papers_own_first(view: Open) -> None:
    page = view(anchor="#paper-C2")
    assert page.locator("#paper-C2 thead th").all_inner_texts() == ["Comparison", "Estimated", "Planted", "Published"]
    cells = page.locator("#paper-C2 .comparisons tbody td").all_inner_texts()
    assert cells[0] == "not testable here: no such run" and cells[1].startswith("−0.20 (−1.20 to +0.80)")
    assert page.locator(".sides tbody td").all_inner_texts() == ["–\nnot testable here", "?\ninconclusive"]


def test_a_cell_leads_to_its_seeds_commit_data_and_command_and_a_seed_to_its_run(view: Open) -> None:
    page = view()
    page.locator("#paper-table1 .cell").nth(1).click()
    panel = page.locator("#panel")
    told = panel.inner_text()
    assert "61.00 ± 1.00 †" in told and "† fewer than 100 clips" in told and f"Fused {SCRIPT}, Set, overall" in told
    assert panel.locator("tbody td.number").all_inner_texts() == ["60", "61", "62"]
    for fact in (COMMIT, "da7ada7ada7ada7a", "AVX2, pinned by ATEN_CPU_CAPABILITY=avx2", "corrupt 1", "1 of 2 cores"):
        assert fact in told, fact
    commands = panel.locator("pre").inner_text()
    assert "snakemake --config tier=made --forcerun measure -- results/made/papers/paper/table1.csv" in commands
    assert commands.count(f"git checkout {COMMIT}") == 1 and commands.count("avbalance show results/made/runs") == 3
    panel.get_by_role("button", name="seed 1").click()
    assert panel.locator("h2").inner_text() == f"Fused {SCRIPT}, Set, seed 1"
    assert panel.locator(".curve").count() == 2 and "61.2 points above guessing" in panel.inner_text()
    assert "protocol.epochs = 4" in panel.inner_text()
    panel.get_by_role("button", name="Back").click()
    assert "61.00" in panel.inner_text() and panel.get_by_role("button", name="Back").count() == 0


def test_keys_alone_are_enough(view: Open) -> None:
    page = view()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # to the content
    assert page.evaluate("document.activeElement.id") == "top"
    page.locator("#paper-table1 .cell").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("#panel").is_visible()
    assert page.evaluate("document.getElementById('panel').contains(document.activeElement)")
    page.keyboard.press("Escape")
    assert not page.locator("#panel").is_visible()
    assert page.evaluate("document.activeElement.className") == "cell"
    page.locator("#paper-C1 summary").focus()
    page.keyboard.press("Space")
    assert page.locator("#paper-C1").get_attribute("open") is not None


def test_tables_are_sorted_by_numbers_with_absent_ones_last(view: Open) -> None:
    page = view()
    head = page.locator("#paper-table1 thead tr").last.locator("th").nth(1)
    rows = page.locator("#paper-table1 tbody tr")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert [text.split("±")[0].strip() for text in rows.locator(".cell").all_inner_texts()] == [
        "71.00",
        "61.00",
        "51.00",
    ]
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert rows.first.locator("th").inner_text() == "Audio unimodal"


def test_runs_are_searched_filtered_sorted_and_counted(view: Open) -> None:
    page = view()
    status, rows = page.get_by_role("status"), page.locator(".runs tbody tr")
    assert status.inner_text() == "9 of 9 runs"
    page.get_by_label("Search").fill("FUSED seed2")
    assert status.inner_text() == "1 of 9 runs" and rows.locator("td").nth(2).inner_text() == "2"
    page.get_by_label("Search").fill("")
    page.get_by_label("State").select_option("did not learn")
    assert status.inner_text() == "1 of 9 runs" and "Audio unimodal" in rows.inner_text()
    page.get_by_label("State").select_option("")
    page.locator(".runs thead").get_by_role("button", name="Seed").click()
    page.locator(".runs thead").get_by_role("button", name="Seed").click()
    assert rows.locator("td:nth-child(4)").all_inner_texts() == [*"222111000"]
    page.get_by_label("Search").fill("nothing of that name")
    assert status.inner_text() == "0 of 9 runs" and rows.count() == 0


def test_a_table_and_a_figure_can_be_saved(view: Open) -> None:
    page = view()
    name, table = saved(page, page.locator("#paper-table1").get_by_role("button", name="Save this table"))
    assert name == "paper-table1.csv"
    assert table.splitlines()[2].startswith("Audio unimodal,51.00 ± 1.00†(60.50),–,")
    assert f'"Other {ARABIC} {QUOTES.replace(chr(34), chr(34) * 2)}"' in table
    name, numbers = saved(page, page.locator("#paper-figure1").get_by_role("button", name="Save the numbers"))
    assert (name, numbers) == ("paper-figure1.csv", "name,value\na,0.123457\nb,2\n")
    name, drawing = saved(page, page.locator("#paper-figure1").get_by_role("button", name="Save the drawing"))
    assert name == "paper-figure1.svg" and ElementTree.fromstring(drawing).tag == "{http://www.w3.org/2000/svg}svg"


def test_it_can_be_dark_or_light_whatever_the_system_says(view: Open) -> None:
    page = view(scheme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(colour)
    page.get_by_role("button", name="Light").click()
    assert page.evaluate(colour) == "rgb(255, 255, 255)" != dark
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(colour) == dark


def test_print_has_the_evidence_without_the_tools(view: Open) -> None:
    page = view(scheme="dark")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#paper-C2 .comparisons").is_visible() and page.locator("#paper-table1 table").is_visible()
    assert not page.locator(".bar").is_visible() and page.locator(".tool:visible").count() == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_the_menu_of_a_phone_closes_behind_a_choice(view: Open) -> None:
    page = view("phone")
    menu = page.get_by_role("navigation", name="Contents")
    assert not menu.is_visible()
    page.get_by_text("Contents").click()
    menu.get_by_role("link", name="All runs").click()
    assert not menu.is_visible() and page.url.endswith("#runs")


def test_the_page_of_the_smoke_tier_is_whole(view: Open, smoke: Any) -> None:
    page = view(path=smoke.root / "results" / "smoke" / "report.html")
    assert page.locator(".paper").count() == 1
    assert page.locator("[data-table]").count() > 5 and page.locator("[data-figure] svg").count() > 3
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(ids) == len(set(ids))
    page.locator(".cell").first.click()
    assert "avbalance show results/smoke/runs/" in page.locator("#panel pre").inner_text()
    page.keyboard.press("Escape")
    definitions = page.locator("#balanced-audiovisual-tableS7 tbody tr")
    for definition, runs in {"estimated": 2, "planted": 0}.items():  # numbers of a file, not of the measurements
        definitions.filter(has_text=definition).locator(".cell").first.click()
        panel = page.locator("#panel")
        assert panel.get_by_role("button", name="unimodal").count() == runs
        assert panel.get_by_text("No run stands behind this").count() == (runs == 0)
        assert "--forcerun table -- " in panel.locator("pre").inner_text()
        page.keyboard.press("Escape")


def test_a_thousand_runs_are_usable(view: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = view(path=page_results.large_page(tmp_path))
    spent = page.evaluate("performance.now()")
    search, status = page.get_by_label("Search"), page.get_by_role("status")
    assert status.inner_text() == "1009 of 1009 runs, 50 shown"
    search.fill("seed999")
    assert status.inner_text() == "1 of 1009 runs"
    search.fill("")
    page.get_by_role("button", name="Show more").click()
    assert page.locator(".runs tbody tr").count() == 250
    assert spent < 5000  # milliseconds; about 300 on a machine that does nothing else
