"""report.html: what it says and how large it is; how it behaves is tested in a browser, test_page_in_browser.py."""

from __future__ import annotations

import base64
import io
import json
import re
import zlib
from pathlib import Path
from typing import Any

import av
import page_results
import pytest
from diagnosis_clips import pairs, picture, sound
from page_results import QUOTES, README, SCRIPT

from avbalance.data.build import build_dataset
from avbalance.errors import UserError
from avbalance.provenance.show import commands, find_run
from avbalance.reporting.page import clips, page, render_report
from avbalance.reporting.page.claims import linked
from avbalance.reporting.page.decisions import sections
from avbalance.reporting.page.figures import inline_svg, numbers_text
from avbalance.reporting.page.front import limits
from avbalance.reporting.page.intervals import EDGE, WIDTH, drawing, scale_of
from avbalance.reporting.page.runs import POINTS, Runs


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    return page_results.results(tmp_path)


def evidence(text: str) -> dict[str, Any]:
    packed = re.search(r'id="evidence">(.*?)</script>', text, re.DOTALL)
    assert packed
    return json.loads(zlib.decompress(base64.b64decode(packed[1])))


def test_the_same_results_give_the_same_bytes_which_do_not_tell_when_runs_were_made(spec):
    render_report(spec, "first.html")
    for record in Path("results").rglob("record.json"):
        told = json.loads(record.read_text()) | {"finished": "2099-01-01T00:00:00+00:00", "wall_s": 9.0}
        record.write_text(json.dumps(told))
    render_report(page_results.as_told(spec), "second.html")
    assert Path("first.html").read_bytes() == Path("second.html").read_bytes()


def test_names_stay_text_in_the_file(spec):
    text = page(spec)
    assert SCRIPT not in text and QUOTES not in text
    assert len(re.findall(r"<script", text)) == 2 and "<img" not in text
    assert text.count("&lt;script&gt;window.hacked") >= 6
    assert page_results.ARABIC in text


def test_no_two_elements_share_an_id_and_every_anchor_is_there(spec):
    spec["papers"][0]["figures"] *= 2  # one drawing twice: its own IDs must differ all the same
    text = page(spec)
    ids = re.findall(r'\sid="([^"]+)"', text)
    twice = {name for name in ids if ids.count(name) > 1} - {"paper-figure1"}
    assert not twice
    assert {name for name in re.findall(r'href="#([^"]+)"', text) if name not in ids} == set()


def test_first_screen_counts_claims_and_says_what_is_not_shown(spec):
    text = page(spec)
    counts = re.findall(r'<td class="count[^"]*" data-label="([^"]+)">(\d+)</td>', text)
    assert counts == [("hold", "1"), ("contrary", "0"), ("inconclusive", "0"), ("not testable", "1")]
    assert "No number here is a measurement on the papers&#39; own data: all are of generated clips." in text
    assert "1 of 2 claims could not be tested here" in text
    assert "1 of 9 runs did not learn and 0 did not converge" in text
    assert "<code>snakemake --config tier=made</code>" in text and page_results.COMMIT[:12] in text


def verdict_of(clips: list[dict[str, Any]], **withheld: str) -> dict[str, Any]:
    table = {"title": "Accuracy", "note": SCRIPT, "head": ["Model", "Accuracy"], "rows": [["Sound alone", "71.0"]]}
    return {
        "data": "set-1",
        "describe": f"the clips in {SCRIPT}",
        "headline": "Sound alone is as good as both",
        "gates": [{"run": "visual", "sentence": "The picture model learnt nothing.", "stops": True}],
        "odd": ["3 files are the same in two parts"],
        "verdicts": [{"question": "Does seeing add to sound?", "answer": "undecided", "sentence": "Not stated."}],
        "tables": [table],
        "withheld": withheld,
        "findings": {"disagree": clips, "mislabelled": []},
    }


def test_answers_about_own_clips_stand_on_the_first_screen_in_the_place_of_claims(spec, tmp_path):
    path = tmp_path / "verdict.json"
    path.write_text(json.dumps(verdict_of([])))
    assert "Read this first" not in page(spec)
    spec["papers"][0]["verdict"] = str(path)
    text = page(spec)
    assert '<h1 id="front-h">Sound alone is as good as both</h1>' in text
    order = ["learnt nothing.", "3 files are the same in two parts", "add to sound? <b>undecided</b>", ">71.0<"]
    places = [text.index(each) for each in order]
    assert places == sorted(places) and 'class="glance"' not in text
    assert "papers" not in text[places[-1] : text.index("How it was made")]
    assert SCRIPT not in text


def test_striking_clips_of_own_folders_are_seen_and_heard(spec, tmp_path):
    pairs(tmp_path / "pets", each=4)
    options = {"root": str(tmp_path / "pets"), "manifest": "clips.csv"}
    lines = [
        f"{name}{n},{name},train,{name}/{name}{n}.wav,{name}/{name}{n}.png" for name in ("cat", "dog") for n in "01"
    ]
    (tmp_path / "pets" / "clips.csv").write_text("\n".join(["id,label,split,audio,image", *lines]))
    folder = {"kind": "folder", "stands_for": None, "describe": "pets", "options": options}
    build_dataset("pets", folder, tmp_path / "pets.parquet")
    named = {"class": "dog", "percent": 91.2}
    clip = {"id": "cat0", "label": "cat", "value": 0.9, "audio": named, "visual": named}
    told = spec["papers"][0]
    told["verdict"], told["paper"]["datasets"]["set"]["manifest"] = (
        str(tmp_path / "v.json"),
        str(tmp_path / "pets.parquet"),
    )
    (tmp_path / "v.json").write_text(json.dumps(verdict_of([clip, {**clip, "id": "gone"}])))
    text = page(spec)
    shown = text[text.index("disagree most") :]
    assert shown.count("data:image/jpeg;base64,") == shown.count("data:audio/mpeg;base64,") == 1
    assert "sound: dog, 91 %" in shown and "<b>gone</b>" in shown
    (tmp_path / "v.json").write_text(json.dumps(verdict_of([clip], estimated="The picture model learnt nothing.")))
    assert "data:audio" not in page(spec)


def test_media_on_the_page_are_few_and_small(tmp_path):
    sound_file, picture_file = tmp_path / "a.wav", tmp_path / "a.png"
    sound(sound_file, seconds=20)
    picture(picture_file)
    assert 1000 < len(clips.sound(sound_file)) < 40_000 and 300 < len(clips.picture(picture_file)) < 8000
    (tmp_path / "b.wav").write_bytes(b"no sound")
    assert clips.sound(tmp_path / "b.wav") == clips.picture(tmp_path / "none.png") == ""
    with av.open(io.BytesIO(base64.b64decode(clips.sound(sound_file).partition(",")[2]))) as made:
        assert made.duration == pytest.approx(6e6, rel=0.05) and made.streams.audio[0].channels == 1


def test_a_table_has_ours_beside_published_with_spread_seeds_and_clips(spec):
    text = page(spec)
    assert '<th scope="row">Audio unimodal</th><td>51.00<small> ± 1.00</small><sup>†</sup><i>(60.50)</i><td>–' in text
    assert '<td class="side">3' in text and '<tfoot><tr><th scope="row" colspan="1">Clips</th><td>40</td>' in text


def test_behind_a_cell_stand_its_place_and_the_value_of_every_seed(spec):
    told = evidence(page(spec))
    where, n, seeds, *values = told["cells"]["paper-table1"][1][0]
    place = [told["words"][word] for word in told["places"][where]]
    assert place == ["set-1", "fused", "overall", "test", "both", "none", "selected", "accuracy"]
    assert (n, told["seeds"][seeds], values) == (40, [0, 1, 2], [60.0, 61.0, 62.0])
    assert told["cells"]["paper-table1"][0][1] is None


def test_the_commands_of_a_run_are_those_of_avbalance_show(spec):
    told = evidence(page(spec))
    columns, pools = told["columns"], told["pools"]
    folder = f"paper/set-1/{pools['runs'][columns['run'][4]]}/seed{columns['seed'][4]}"
    command = pools["commands"][columns["command"][4]]
    made = command.replace("{run}", f"results/made/runs/{folder}").replace("{job}", folder)
    assert made.splitlines() == commands(find_run(f"results/made/runs/{folder}"))
    assert made.startswith("avbalance show results/made/runs/paper/set-1/fused/seed1 --job | ATEN_CPU_CAPABILITY=avx2")


def test_long_courses_are_thinned_and_keep_both_ends(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page_results.record_run(Path("runs/p/d/r/seed0"), "p/d/r/seed0", epochs=500)
    runs = Runs()
    runs.read(["p/d/r/seed0"], "runs")
    (loss,), (course,) = runs.columns["loss"], runs.columns["validation"]
    assert len(loss) == len(course) == POINTS
    assert (course[0], course[-1]) == (70.1, 120) and runs.columns["epochs"] == [500]


def test_a_thousand_runs_stay_below_five_megabytes(spec):
    page_results.add_runs(spec, 1000)
    text = page(spec)
    assert len(text.encode()) < 1_000_000  # of five, most are left to tables, claims and figures
    assert len(evidence(text)["columns"]["seed"]) == 1009


def test_a_run_without_a_record_ends_in_a_sentence(spec):
    Path("results/made/runs/paper/set-1/fused/seed1/record.json").unlink()
    with pytest.raises(UserError, match=r"seed1: no folder of a run"):
        page(spec)


# Parts


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": "table1"}'])
def test_a_table_that_cannot_be_read_ends_in_a_sentence(spec, text):
    path = Path("results/made/papers/paper/table1.json")
    path.write_text(text)
    with pytest.raises(UserError, match=r"table1\.json: (not valid JSON|holds no table).*delete it to have"):
        page(spec)
    path.unlink()
    with pytest.raises(UserError, match=r"table1\.json: no such file"):
        page(spec)


def test_a_drawing_keeps_its_words_and_loses_what_it_shares_with_others(tmp_path):
    (tmp_path / "figure1.svg").write_text(page_results.SVG.replace("{}", "&quot;&lt;b&gt;"))
    svg, title, caption = inline_svg(tmp_path, "figure1", "x")
    assert (title, caption) == ('Figure 1. A drawing "<b>', ("Drawn of 3 < 4 clips.",))
    assert "0.123456 as it is" in svg and 'x="10.1" y="20"' in svg and 'd="M0 0L0 3.1"' in svg
    assert '<title id="x0">Figure 1. A drawing &#34;&lt;b&gt;</title>' in svg and 'style="width:120px"' in svg
    assert 'id="x1"' in svg and 'href="#x1"' in svg and "m1" not in svg and "DejaVu" not in svg


@pytest.mark.parametrize("bad", ["<script>1</script>", '<g onload="x()"/>'])
def test_a_drawing_that_is_not_harmless_is_refused(tmp_path, bad):
    (tmp_path / "figure1.svg").write_text(page_results.SVG.replace("</svg>", f"{bad}</svg>"))
    with pytest.raises(UserError, match=r"figure1\.svg: holds a script"):
        inline_svg(tmp_path, "figure1", "x")


def test_numbers_keep_six_digits(tmp_path):
    (tmp_path / "a.csv").write_text("id,value\nclip-0.1234567,1.5\nb,0.00012345678\nc,1234567\nd,-1.23456789e-05\n")
    text = numbers_text(tmp_path / "a.csv")
    assert text.splitlines()[2:] == ["b,0.000123457", "c,1234567", "d,-1.23457e-05"]


def test_what_deviates_comes_first_and_the_page_needs_no_other_file(tmp_path):
    (tmp_path / "README.md").write_text(README)
    first, second = sections(tmp_path / "README.md")
    assert (first["title"], second["title"]) == ("Deviations", "How it is replicated")
    assert "&lt;script&gt;" in first["html"] and "<script" not in first["html"]
    assert "<td></td>" in first["html"] and "<th>Why</th>" in first["html"] and "<strong>bold</strong>" in first["html"]
    assert second["html"].strip() == '<p>See a file and <a href="https://example.org/">a site</a>.</p>'


def test_sources_of_claims_lead_to_tables_and_figures():
    anchors = {"table 1": "table1", "table 2": "table2", "table IV": "table4", "figure 3": "figure3"}
    pieces = linked("section 5, tables 1 and 2; figure 3 and its text; table IV, table 9", anchors)
    assert "".join(text for text, _ in pieces) == "section 5, tables 1 and 2; figure 3 and its text; table IV, table 9"
    assert [pair for pair in pieces if pair[1]] == [
        ("1", "table1"), ("2", "table2"), ("3", "figure3"), ("IV", "table4")
    ]  # fmt: skip


def test_a_line_holds_zero_and_all_effects_and_cuts_huge_intervals():
    known = {"published": 2.0, "seeds": [0.5, 1.5]}
    wide, usual = (
        {"effect": 1.0, "low": -90.0, "high": 92.0, **known},
        {"effect": 1.0, "low": 0.2, "high": 1.8, **known},
    )
    scale = scale_of([wide, usual])
    drawn, other = drawing(wide, scale), drawing(usual, scale)
    assert drawn and other
    assert drawn["cut"] == (True, True) and drawn["interval"] == (EDGE, WIDTH - EDGE)
    low, high = other["interval"]
    assert other["cut"] == (False, False)
    assert (
        EDGE < other["zero"] < low < other["seeds"][0] < other["effect"] < other["seeds"][1] < high < other["published"]
    )
    assert drawing({**usual, "effect": None}, scale) is None


@pytest.mark.parametrize(
    ("origins", "said"),
    [
        (["generated"], "all are of generated clips"),
        (["other", "generated"], "all are of clips other than theirs"),
        (["own", "other"], "Only claims that say reproduced"),
        (["own"], None),
    ],
)
def test_what_data_do_not_show(origins, said):
    data = [{"name": name, "origin": name} for name in origins]
    papers = [{"data": data, "claims": None, "cuts": (), "verdict": None}]
    told = limits(papers, {"runs": 1, "failed": 0, "unsettled": 0}, [])
    assert [said in sentence for sentence in told] == [True] if said else told == []
