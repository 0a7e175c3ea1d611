"""Fetching, with real git and DVC: all, parts, on top of own work, and everything that can be wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from people_at_work import ARRAY, LEDGER, Person, address
from published_set import CARD, FILES, HISTORY, INDEX, MANIFEST, NAME, PREDICTIONS, TABLE, Checkout

from avbalance import cli
from avbalance.errors import UserError
from avbalance.provenance.ledger import read_ledger, write_ledger
from avbalance.provenance.restore import restore
from avbalance.sharing.fetch import kinds_of, targets
from avbalance.sharing.objects import Cache, Pointer
from avbalance.sharing.sets import chosen

OWN = "results/demo/runs/greedy/seed1/predictions.parquet"


def contents(person: Person, *paths: str) -> dict[str, bytes]:
    return {path: (person.root / path).read_bytes() for path in paths}


def refusal(person: Person, *only: str, name: str | None = None, features: bool = False) -> str:
    """Why nothing was fetched: one sentence, and nothing under data/ and results/ has changed."""
    before = person.files()
    with pytest.raises(UserError) as caught:
        person.fetch(*only, name=name, features=features)
    said = str(caught.value)
    assert person.files() == before
    assert "\n" not in said and "Traceback" not in said
    return said


def next_version(publisher: Person) -> None:
    """The training and the table are done again by other code, and published."""
    checkout = Checkout(publisher.root)
    checkout.job("train", 1_700_003_600.0, "v2")
    checkout.job("table", 1_700_003_700.0, "v2")
    publisher.publish()
    publisher.commit()


# --- What comes ---


def test_the_whole_set_comes_with_its_records_and_times(publisher, colleague):
    restored = colleague.fetch()
    assert restored.restored == len(FILES)
    shared = publisher.files()
    del shared[ARRAY]
    assert colleague.files() == shared
    there, here = Checkout(publisher.root), Checkout(colleague.root)
    for path in FILES:
        assert here.record(path) == there.record(path)
        assert here.time(path) == pytest.approx(there.record(path)["endtime"], abs=1e-3)
    assert colleague.commands == ["dvc fetch results/demo/provenance.jsonl", f"dvc fetch {MANIFEST} results/demo"]
    assert colleague.said[-1].startswith("next: `snakemake -n`")
    again = colleague.fetch()
    assert (again.restored, again.kept) == (0, len(FILES))
    assert colleague.commands == [], "nothing is left to be asked for"


def test_number_and_size_are_told_before_the_download(colleague, publisher):
    colleague.fetch()
    size = sum((publisher.root / path).stat().st_size for path in FILES)
    told = next(line for line in colleague.said if "are asked for" in line)
    assert told.startswith(f"7 of its 7 files are asked for, {size / 1e3:.1f} kB; to download: 6 files, ")
    assert colleague.said.index(told) < colleague.said.index(f"$ dvc fetch {MANIFEST} results/demo")


@pytest.mark.parametrize(
    ("path", "kinds"),
    [
        ("papers/slug/table1.csv", {"tables"}),
        ("runs/slug/data/run/seed0/predictions.parquet", {"predictions"}),
        ("runs/slug/data/run/seed0/confidence.npz", {"predictions"}),
        ("runs/slug/data/run/seed0/record.json", {"predictions", "records"}),
        ("runs/slug/data/run/seed0/history.csv", {"predictions", "records"}),
        ("runs/slug/data/run/seed0/model.safetensors", {"models"}),
        ("subsets/slug/data.parquet", {"predictions"}),
        ("confidence/slug/data/sensitivity.csv", {"predictions"}),
        ("features/data/audio-recipe/card.json", {"predictions"}),
        ("provenance.jsonl", {"predictions"}),
    ],
)
def test_kinds_of_files(path, kinds):
    assert kinds_of(path) == kinds


def test_folders_that_are_wanted_whole_are_asked_for_as_such():
    listed = ["results/x/a/1", "results/x/a/2", "results/x/b/c/1", "results/x/b/c/2", "results/x/b/2", "results/x/p"]
    assert targets(listed[:3], listed) == ["results/x/a", "results/x/b/c/1"]
    assert targets(listed[2:4], listed) == ["results/x/b/c"]
    assert targets([*listed, "data/d/manifest.parquet"], listed) == ["data/d/manifest.parquet", "results/x"]
    assert targets(listed[1:2], listed) == ["results/x/a/2"]


def test_a_part_comes_with_ledger_and_manifests_and_the_rest_comes_later(colleague, publisher):
    colleague.fetch("tables")
    assert set(colleague.files()) == {TABLE, LEDGER, MANIFEST}
    colleague.fetch("tables")
    colleague.fetch("records", "tables")
    assert set(colleague.files()) == {TABLE, LEDGER, MANIFEST, HISTORY}
    colleague.fetch()
    assert contents(colleague, *FILES) == contents(publisher, *FILES)


def test_dvc_is_not_believed_when_it_takes_an_earlier_request_for_all_there_is(colleague):
    """After `dvc fetch PART` that brought nothing new, plain DVC fetches nothing else of the set, and says so."""
    colleague.dvc("fetch", "results/demo/papers")
    colleague.dvc("fetch", "results/demo/papers")
    assert "up to date" in colleague.dvc("fetch", "results/demo/runs"), "DVC is cured: programs.dvc_transfer can go"
    colleague.fetch()
    assert (colleague.root / PREDICTIONS).is_file()


# --- On top of own work ---


def test_unpublished_work_stays(colleague):
    target = colleague.root / OWN
    target.parent.mkdir(parents=True)
    target.write_bytes(b"mine")
    colleague.fetch("tables")
    colleague.fetch()
    assert target.read_bytes() == b"mine"


def test_own_files_of_the_same_name_are_not_overwritten(colleague):
    Checkout(colleague.root).job("table", 1_700_003_600.0, "mine")
    said = refusal(colleague)
    assert said.startswith(f"1 file here would be overwritten and never was published: {TABLE}; publish")
    colleague.fetch("records")
    assert b"mine" in (colleague.root / TABLE).read_bytes()


def test_own_files_with_the_published_bytes_are_no_hindrance(colleague):
    Checkout(colleague.root).job("table", 1_700_003_600.0, "v1")
    colleague.fetch()
    record = Checkout(colleague.root).record(TABLE)
    assert record["endtime"] > 1_700_003_600, "made here later: its own record stays"


def test_a_later_version_takes_the_place_of_an_earlier_one(colleague, publisher):
    colleague.fetch()
    next_version(publisher)
    colleague.git("pull", "-q")
    with pytest.raises(UserError, match="earlier version"):
        shutil.copy(publisher.root / LEDGER, colleague.root / LEDGER)
        restore(colleague.root, NAME)
    colleague.fetch("tables")
    assert contents(colleague, *FILES) == contents(publisher, *FILES), "a part is asked for; what is here is renewed"


@pytest.mark.slow
def test_an_earlier_version_comes_back_with_its_branch(colleague, publisher):
    old = contents(publisher, *FILES)
    colleague.fetch()
    next_version(publisher)
    colleague.git("checkout", "-q", "-b", "earlier")
    colleague.git("checkout", "-q", "main")
    colleague.git("pull", "-q")
    colleague.fetch()
    colleague.git("checkout", "-q", "earlier")
    colleague.fetch()
    assert contents(colleague, *FILES) == old
    assert "v1" in Checkout(colleague.root).record(TABLE)["params"][0]


@pytest.mark.slow
def test_a_manifest_of_another_version_is_left_out_and_named(colleague, publisher):
    """data.dvc went on while the set stayed: its tables can be had all the same."""
    Checkout(publisher.root).write(MANIFEST, b"made anew", 1_800_000_000)
    publisher.dvc("add", "--quiet", "data")
    publisher.dvc("push", "--quiet", "data.dvc")
    publisher.commit()
    colleague.git("pull", "-q")
    colleague.fetch()
    assert any(line.startswith(f"note: data.dvc of this commit has not the {MANIFEST}") for line in colleague.said)
    assert (colleague.root / TABLE).is_file() and not (colleague.root / MANIFEST).exists()


def test_arrays_that_were_not_published_cannot_be_had(colleague):
    assert "published without features.npy; training makes it again" in refusal(colleague, features=True)


# --- Which set ---


def test_the_default_configuration_names_the_set(colleague, monkeypatch):
    (colleague.root / "results/other.dvc").write_text((colleague.root / "results/demo.dvc").read_text())
    assert refusal(colleague) == "several result sets are published; name one of demo, other."
    (colleague.root / "config").mkdir()
    (colleague.root / "config/config.yaml").write_text("tier: demo\n")
    monkeypatch.setattr("avbalance.sharing.sets.load_config", lambda root, config: {"name": config["tier"]})
    assert chosen(colleague.root, None) == "demo"


def test_a_set_that_is_not_published_is_told_with_those_that_are(colleague):
    assert refusal(colleague, name="paper") == "results/paper.dvc: no such file; published result sets are demo."
    (colleague.root / "results/demo.dvc").unlink()
    assert refusal(colleague).startswith("results: this commit has no published result set")


# --- Bad input ---


def test_on_the_command_line_it_is_one_sentence_and_status_2(colleague, remote, capsys, monkeypatch):
    monkeypatch.chdir(colleague.root)
    remote.rename(remote.with_name("elsewhere"))
    assert cli.main(["fetch", "demo", "--only", "tables"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"error: the folder of the DVC remote store, {remote}, is not there")
    assert said.err.count("\n") == 1 and said.out == "$ dvc config --list --show-origin\n"
    remote.with_name("elsewhere").rename(remote)
    assert cli.main(["fetch", "--only", "tables"]) == 0
    assert "next: `snakemake -n`" in capsys.readouterr().out


def test_outside_a_checkout(colleague):
    shutil.rmtree(colleague.root / ".git")
    assert "not the root of a git checkout" in refusal(colleague)
    colleague.git("init", "-q")
    shutil.rmtree(colleague.root / ".dvc")
    assert "not the root of a DVC checkout" in refusal(colleague)


def test_settings_that_dvc_cannot_read(colleague):
    (colleague.root / ".dvc/config").write_text("[core\n")
    assert refusal(colleague).startswith(".dvc/config: DVC cannot read its settings (")


def test_no_remote(colleague):
    colleague.dvc("remote", "remove", "store")
    assert "no DVC remote is chosen" in refusal(colleague)


def test_the_remote_is_gone(colleague, remote):
    remote.rename(remote.with_name("elsewhere"))
    assert refusal(colleague).startswith(f"the folder of the DVC remote store, {remote}, is not there; mount it")


def test_a_remote_that_cannot_be_reached(colleague):
    colleague.dvc("remote", "modify", "store", "url", "http://127.0.0.1:9/nothing")
    said = refusal(colleague)
    assert "the remote store (http://127.0.0.1:9/nothing)" in said


def test_a_remote_to_which_nothing_was_sent(colleague, remote):
    shutil.rmtree(remote)
    remote.mkdir()
    assert refusal(colleague).endswith(
        f"the remote store ({remote}) does not have what results/demo.dvc points to; ask the publisher to run"
        " `avbalance publish` again."
    )


@pytest.mark.parametrize("path", [TABLE, pytest.param(MANIFEST, marks=pytest.mark.slow)])
def test_files_that_the_remote_lacks_are_named(colleague, publisher, remote, path):
    target = colleague.root / OWN
    target.parent.mkdir(parents=True)
    target.write_bytes(b"mine")  # `dvc pull` would delete it now, with all of results/demo
    address(remote, (publisher.root / path).read_bytes()).unlink()
    said = refusal(colleague)
    assert f"lacks 1 file: {path}; ask the publisher to run `avbalance publish` again" in said
    assert target.read_bytes() == b"mine"


@pytest.mark.parametrize("checks", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_files_that_the_remote_has_damaged_are_named(colleague, publisher, remote, checks):
    bad = address(remote, (publisher.root / TABLE).read_bytes())
    bad.chmod(0o644)
    bad.write_bytes(b"bad")
    if not checks:
        colleague.dvc("remote", "modify", "store", "verify", "false")
    said = refusal(colleague)
    assert f"has 1 file damaged: {TABLE} ({bad.relative_to(remote)}); delete there" in said
    bad.unlink()
    publisher.publish()
    colleague.fetch()
    assert contents(colleague, TABLE) == contents(publisher, TABLE)


def test_a_damaged_copy_in_the_cache_is_got_again(colleague, publisher):
    colleague.fetch()
    cached = address(colleague.root / ".dvc/cache", (publisher.root / TABLE).read_bytes())
    cached.chmod(0o644)
    cached.write_bytes(b"bad")
    colleague.delete(TABLE)
    colleague.fetch()
    assert contents(colleague, TABLE) == contents(publisher, TABLE)
    assert colleague.commands == [f"dvc fetch {Path(TABLE).parent}"]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("md5: ", "md4: ", "no md5"),
        ("outs:", "", "not a DVC pointer"),
        ("path: demo", "path: demo\n  [", "not a DVC pointer"),
        ("path: demo", "path: elsewhere", "its entry is not that of a folder"),
        ("path: demo", "<<<<<<< HEAD\n  path: demo", "choose a side, see docs/how-to/share-artifacts.md"),
    ],
)
def test_a_pointer_that_is_none(colleague, old, new, what):
    pointer = colleague.root / "results/demo.dvc"
    pointer.write_text(pointer.read_text().replace(old, new))
    said = refusal(colleague)
    assert said.startswith("results/demo.dvc: not a DVC pointer") and what in said


def republish(publisher: Person, **header: object) -> None:
    """Publish another ledger, by hand."""
    ledger = read_ledger(publisher.root / LEDGER)
    ledger.header.update(header)
    write_ledger(publisher.root / LEDGER, ledger)
    publish_by_hand(publisher)


def publish_by_hand(publisher: Person) -> None:
    publisher.dvc("add", "--quiet", "results/demo")
    publisher.dvc("push", "--quiet", "results/demo.dvc")
    publisher.commit()


def test_a_ledger_of_another_version(publisher, tmp_path):
    republish(publisher, record_format_version=5)
    said = refusal(publisher.clone(tmp_path / "late"))
    assert "Snakemake's record format 5, here it is 6" in said


@pytest.mark.slow
def test_a_ledger_of_another_set(publisher, tmp_path):
    publisher.delete(*(path for path in FILES if path != MANIFEST))
    ledger = (publisher.root / LEDGER).read_text().replace("demo", "elsewhere")
    (publisher.root / LEDGER).write_text(ledger)
    publish_by_hand(publisher)
    assert "its ledger is that of another publication" in refusal(publisher.clone(tmp_path / "late"))


@pytest.mark.slow
def test_files_that_were_added_by_hand_after_the_ledger(publisher, tmp_path):
    publisher.damage(TABLE, keep_times=False)
    publish_by_hand(publisher)
    said = refusal(publisher.clone(tmp_path / "late"))
    assert f"its ledger is that of another publication ({TABLE})" in said


def test_a_folder_without_ledger(publisher, tmp_path):
    publisher.delete(LEDGER)
    publish_by_hand(publisher)
    assert "not published with `avbalance publish`" in refusal(publisher.clone(tmp_path / "late"))


def test_while_snakemake_runs(colleague):
    (colleague.root / ".snakemake/locks").mkdir(parents=True)
    (colleague.root / ".snakemake/locks/0.output.lock").touch()
    assert refusal(colleague).startswith("a snakemake is at work in this folder")


@pytest.mark.parametrize("path", ["../../../outside", "/outside", "a//b", "a/./b", ""])
def test_a_listing_that_leads_out_of_its_folder(tmp_path, path):
    cache = Cache(tmp_path)
    pointer = Pointer("results/demo", "0" * 32 + ".dir", 1, 1)
    place = cache.path(pointer.listing)
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps([{"md5": "1" * 32, "relpath": path}]))
    with pytest.raises(UserError, match="leads elsewhere"):
        cache.listing(pointer)


def test_a_file_where_a_folder_belongs(colleague):
    (colleague.root / "results/demo").write_text("in the way\n")
    with pytest.raises(UserError, match="cannot be written"):
        colleague.fetch()


@pytest.mark.slow
def test_damage_that_was_there_before_is_left_to_repair(colleague):
    colleague.fetch()
    colleague.damage(CARD, keep_times=False)
    said = refusal(colleague)
    assert f"{CARD}; publish your results, or move or delete" in said and "`avbalance repair demo`" in said
    with pytest.raises(UserError, match="content differs"):
        restore(colleague.root, NAME)
    colleague.delete(CARD)
    colleague.fetch()
    assert Path(colleague.root / INDEX).is_file()
