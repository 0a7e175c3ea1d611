"""Fetching, with real git and DVC: all, parts, on top of own work, and everything that can be wrong.

Long, since whatever a publisher, a remote or a colleague can do wrong ends here.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from small import (
    ARRAY,
    FILES,
    HISTORY,
    LATER,
    LEDGER,
    MANIFEST,
    TABLE,
    Clone,
    address,
    spoil,
)

from flowkeeper import bring
from flowkeeper.checkout import Cache, Pointer
from flowkeeper.errors import UserError
from flowkeeper.ledger import Ledger, read_ledger, write_ledger
from flowkeeper.programs import Finished
from flowkeeper.sets import chosen

GET = "dvc fetch results/flowkeeper-transfer.dvc"
OWN = "results/demo/runs/greedy/seed1/predictions.parquet"


def refusal(clone: Clone, *only: str, name: str | None = None, bulk: bool = False) -> str:
    """Why nothing was fetched: one sentence, and nothing under data/ and results/ has changed."""
    before = clone.files()
    with pytest.raises(UserError) as caught:
        clone.fetch(*only, name=name, bulk=bulk)
    said = str(caught.value)
    assert clone.files() == before
    assert "\n" not in said and "Traceback" not in said
    return said


@pytest.fixture(autouse=True)
def _pretended(nothing_pending: None) -> None:
    """Publishers have nothing to do."""


def next_version(publisher: Clone) -> None:
    """The training and the table are done again by other code, and published."""
    publisher.job("train", LATER, "v2")
    publisher.job("table", LATER + 100, "v2")
    publisher.publish()
    publisher.commit()


def own_file(clone: Clone) -> Path:
    """A file of the colleague's that no published set has."""
    clone.write(OWN, b"mine", LATER)
    return clone.root / OWN


# --- What comes ---


def test_the_whole_set_comes_with_its_records_and_times(publisher: Clone, colleague: Clone) -> None:
    assert colleague.fetch().restored == len(FILES)
    shared = publisher.files()
    del shared[ARRAY]
    assert colleague.files() == shared
    for path in FILES:
        assert colleague.record(path) == publisher.record(path)
        assert colleague.time(path) == pytest.approx(publisher.record(path)["endtime"], abs=1e-3)
    assert colleague.commands == ["dvc fetch results/demo/provenance.jsonl", GET]
    size = sum((publisher.root / path).stat().st_size for path in FILES)
    told = next(line for line in colleague.said if "are asked for" in line)
    assert told.startswith(f"7 of its 7 files are asked for, {size / 1e3:.1f} kB; to download: 6 files, ")
    assert colleague.said.index(told) < colleague.said.index(f"$ {GET}")
    assert colleague.said[-1].startswith("next: `snakemake -n`") and "note:" not in "".join(colleague.said)
    again = colleague.fetch()
    assert (again.restored, again.kept) == (0, len(FILES))
    assert colleague.commands == [], "nothing is left to be asked for"


def test_a_part_comes_with_ledger_and_manifests_and_the_rest_comes_later(colleague: Clone, publisher: Clone) -> None:
    colleague.fetch("tables")
    assert set(colleague.files()) == {TABLE, LEDGER, MANIFEST}
    own = own_file(colleague)
    colleague.fetch("records", "tables")
    assert set(colleague.files()) == {TABLE, LEDGER, MANIFEST, HISTORY, OWN}
    colleague.fetch()
    assert colleague.contents(*FILES) == publisher.contents(*FILES)
    assert own.read_bytes() == b"mine", "unpublished work stays"


def test_another_environment_than_the_publishers_is_told(colleague: Clone) -> None:
    (colleague.root / "requirements.lock").write_text("x==1\n")
    colleague.changes["versions"] = lambda: {"python": "3.12.1", "torch": "2"}
    colleague.fetch()
    assert any(line.startswith("note: made with python 3.11.0 (here 3.12.1); ") for line in colleague.said)


def test_another_lock_file_is_told(publisher: Clone, colleague: Clone) -> None:
    republish(publisher, lock_sha256="0" * 64)
    colleague.git("pull", "-q")
    (colleague.root / "requirements.lock").write_text("x==1\n")
    colleague.fetch()
    assert any(line.startswith("note: made with another requirements.lock; ") for line in colleague.said)


# --- On top of own work ---


def test_own_files_of_the_same_name_are_not_overwritten(colleague: Clone) -> None:
    colleague.job("table", LATER, "mine")
    said = refusal(colleague)
    assert said.startswith(f"1 file here would be overwritten and never was published: {TABLE}; publish")
    colleague.fetch("records")
    assert b"mine" in (colleague.root / TABLE).read_bytes()


def test_own_files_with_the_published_bytes_are_no_hindrance(colleague: Clone) -> None:
    colleague.job("table", LATER, "v1")
    colleague.fetch()
    assert colleague.record(TABLE)["endtime"] > LATER, "made here later: its own record stays"


def test_a_later_version_takes_the_place_of_an_earlier_one_and_that_comes_back_with_its_branch(
    colleague: Clone, publisher: Clone
) -> None:
    old = publisher.contents(*FILES)
    colleague.fetch()
    colleague.git("branch", "earlier")
    next_version(publisher)
    colleague.git("pull", "-q")
    with pytest.raises(UserError, match="earlier version"):
        shutil.copy(publisher.root / LEDGER, colleague.root / LEDGER)
        colleague.restore()
    colleague.fetch("tables")
    assert colleague.contents(*FILES) == publisher.contents(*FILES), "a part is asked for; what is here is renewed"
    colleague.git("checkout", "-q", "earlier")
    colleague.fetch()
    assert colleague.contents(*FILES) == old
    assert "v1" in colleague.record(TABLE)["params"][0]


@pytest.mark.slow
def test_a_manifest_comes_in_the_version_of_the_set(colleague: Clone, publisher: Clone) -> None:
    """data.dvc went on while the set stayed."""
    published = publisher.contents(MANIFEST)
    publisher.write(MANIFEST, b"made anew", 1_800_000_000)
    publisher.dvc("add", "--quiet", "data")
    publisher.dvc("push", "--quiet", "data.dvc")
    publisher.commit()
    colleague.git("pull", "-q")
    colleague.fetch()
    assert colleague.contents(MANIFEST) == published


# --- Which set ---


def test_the_default_configuration_names_the_set(colleague: Clone) -> None:
    for name in ("other", "flowkeeper-transfer"):  # the last one was left by a killed command
        (colleague.root / f"results/{name}.dvc").write_text((colleague.root / "results/demo.dvc").read_text())
    assert refusal(colleague) == "several result sets are published; name one of demo, other."
    colleague.changes["default_name"] = lambda root: "demo"
    assert chosen(colleague.workflow, colleague.root, None).name == "demo"
    assert refusal(colleague, name="paper") == "results/paper.dvc: no such file; published result sets are demo, other."
    colleague.delete("results/demo.dvc", "results/other.dvc")
    assert refusal(colleague).startswith("results: this commit has no published result set")


# --- Places that files must not come to ---


@pytest.mark.parametrize("link", ["results/demo", "data/clips", "results/demo/papers"])
def test_a_link_that_is_committed_leads_nowhere(publisher: Clone, colleague: Clone, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (colleague.root / link).parent.mkdir(parents=True, exist_ok=True)
    (colleague.root / link).symlink_to(outside)
    colleague.git("add", "--force", link)
    assert refusal(colleague).startswith(
        f"{link}: a link that is committed, so that files would be written to {outside}"
    )
    assert list(outside.iterdir()) == []
    colleague.git("rm", "-q", "--cached", link)
    colleague.fetch()
    assert any(outside.iterdir()), "a link of one's own is one's own choice"


@pytest.mark.parametrize("path", ["../../../outside", "/outside", "a//b", "a/./b", ""])
def test_a_listing_that_leads_out_of_its_folder(tmp_path: Path, path: str) -> None:
    cache = Cache(tmp_path)
    pointer = Pointer("results/demo", "0" * 32 + ".dir", 1)
    place = cache.path(pointer.listing)
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps([{"md5": "1" * 32, "relpath": path}]))
    with pytest.raises(UserError, match="leads elsewhere"):
        cache.listing(pointer)


def test_a_file_where_a_folder_belongs(colleague: Clone) -> None:
    (colleague.root / "results/demo").write_text("in the way\n")
    with pytest.raises(UserError, match="cannot be written"):
        colleague.fetch()


# --- Bad input ---


def test_outside_a_checkout_and_with_settings_that_dvc_cannot_read(colleague: Clone) -> None:
    (colleague.root / ".dvc/config").write_text("[core\n")
    assert refusal(colleague).startswith(".dvc/config: DVC cannot read its settings (")
    shutil.rmtree(colleague.root / ".git")
    assert "not the root of a git checkout" in refusal(colleague)
    colleague.git("init", "-q")
    shutil.rmtree(colleague.root / ".dvc")
    assert "not the root of a DVC checkout" in refusal(colleague)


def test_arrays_that_were_not_published_cannot_be_had(colleague: Clone) -> None:
    assert "published without features.npy; the next training that needs it" in refusal(colleague, bulk=True)


def test_while_snakemake_runs(colleague: Clone) -> None:
    colleague.pretend_at_work()
    assert refusal(colleague).startswith("a snakemake is at work in this folder")


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
def test_a_pointer_that_is_none(colleague: Clone, old: str, new: str, what: str) -> None:
    pointer = colleague.root / "results/demo.dvc"
    pointer.write_text(pointer.read_text().replace(old, new))
    said = refusal(colleague)
    assert said.startswith("results/demo.dvc: not a DVC pointer") and what in said


# --- What is wrong with the remote ---


def test_no_remote_or_one_that_is_gone_or_cannot_be_reached(colleague: Clone, remote: Path) -> None:
    remote.rename(remote.with_name("elsewhere"))
    assert refusal(colleague).startswith(f"the folder of the DVC remote store, {remote}, is not there; mount it")
    colleague.dvc("remote", "modify", "store", "url", "http://127.0.0.1:9/nothing")
    assert "the remote store (http://127.0.0.1:9/nothing)" in refusal(colleague)
    colleague.dvc("remote", "remove", "store")
    assert "no DVC remote is chosen" in refusal(colleague)


def test_a_remote_to_which_nothing_was_sent(colleague: Clone, remote: Path) -> None:
    shutil.rmtree(remote)
    remote.mkdir()
    assert refusal(colleague) == (
        f"the remote store ({remote}) cannot give 1 file: results/demo (not there); ask the publisher to run"
        " `keep publish` again."
    )


@pytest.mark.parametrize("path", [TABLE, pytest.param(MANIFEST, marks=pytest.mark.slow)])
def test_files_that_the_remote_lacks_are_named(colleague: Clone, publisher: Clone, remote: Path, path: str) -> None:
    own = own_file(colleague)  # `dvc pull` would delete it now, with all of results/demo
    address(remote, (publisher.root / path).read_bytes()).unlink()
    assert f"cannot give 1 file: {path} (not there); ask the publisher to run `keep publish` again" in refusal(
        colleague
    )
    assert own.read_bytes() == b"mine"


def test_a_file_that_the_remote_cannot_read_is_not_taken_for_absent(
    colleague: Clone, publisher: Clone, remote: Path
) -> None:
    stored = address(remote, (publisher.root / TABLE).read_bytes())
    stored.unlink()
    stored.mkdir()  # the same to DVC as an object without rights, which root could read
    said = refusal(colleague)
    assert f"cannot give 1 file: {TABLE} ([Errno 21] Is a directory" in said and "fix permissions or disk there" in said
    assert "publish" not in said


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("[Errno 13] Permission denied: 'x'", "([Errno 13] Permission denied: 'x'); fix permissions or disk there"),
        ("[Errno 5] Input/output error", "([Errno 5] Input/output error); fix permissions or disk there"),
        ("[Errno 2] No such file or directory: 'x'", "(not there); ask the publisher"),
        ("404 Not Found", "(not there); ask the publisher"),
    ],
)
def test_what_dvc_says_of_an_object(colleague: Clone, monkeypatch: pytest.MonkeyPatch, reason: str, told: str) -> None:
    listing = re.search(r"md5: (\S+)", (colleague.root / "results/demo.dvc").read_text())
    assert listing is not None
    errors = f"ERROR: failed to transfer '{listing[1]}' - {reason}\nERROR: failed to fetch data from the cloud\n"
    monkeypatch.setattr(bring, "dvc_transfer", lambda *given: Finished(1, "", errors))
    assert told in refusal(colleague)


def test_a_damaged_file_on_the_remote_is_named_and_put_right_by_publishing_again(
    colleague: Clone, publisher: Clone, remote: Path
) -> None:
    spoil(remote, (publisher.root / TABLE).read_bytes())
    assert f"1 file: {TABLE} (not there); ask the publisher" in refusal(colleague), "DVC takes damaged files away"
    publisher.publish()
    colleague.fetch()
    assert colleague.contents(TABLE) == publisher.contents(TABLE)


def test_files_that_arrive_damaged_are_named(colleague: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a server, where DVC looks at them on arrival."""
    monkeypatch.setattr(bring, "transfer", lambda *given: Finished(0, "", ""))
    assert re.search(r"6 files: \S+ \(damaged: delete files/md5/\w\w/\w{30} there\), .*; ask the", refusal(colleague))


def test_a_damaged_copy_in_the_cache_is_got_again(colleague: Clone, publisher: Clone) -> None:
    colleague.fetch()
    spoil(colleague.root / ".dvc/cache", (publisher.root / TABLE).read_bytes())
    colleague.delete(TABLE)
    colleague.fetch()
    assert colleague.contents(TABLE) == publisher.contents(TABLE)
    assert colleague.commands == [GET]


# --- Sets that were not published as they should ---


def republish(publisher: Clone, **header: object) -> None:
    """Publish another ledger, by hand."""
    ledger = read_ledger(publisher.results)
    write_ledger(publisher.root / LEDGER, Ledger({**ledger.header, **header}, ledger.entries))
    publish_by_hand(publisher)


def publish_by_hand(publisher: Clone) -> None:
    publisher.dvc("add", "--quiet", "results/demo")
    publisher.dvc("push", "--quiet", "results/demo.dvc")
    publisher.commit()


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"format": 1}, "a ledger of format 1, this keep reads format 2; check out the commit that published it"),
        pytest.param({"record_format_version": 5}, "Snakemake's record format 5, here it is 6", marks=pytest.mark.slow),
        pytest.param({"name": "elsewhere"}, "the ledger of another result set, elsewhere", marks=pytest.mark.slow),
    ],
)
def test_a_ledger_of_another_version_or_set(
    publisher: Clone, tmp_path: Path, header: dict[str, object], said: str
) -> None:
    republish(publisher, **header)
    assert said in refusal(publisher.clone(tmp_path / "late"))


def test_files_that_were_added_by_hand_after_the_ledger_or_without_one(publisher: Clone, tmp_path: Path) -> None:
    publisher.damage(TABLE, keep_times=False)
    publish_by_hand(publisher)
    late = publisher.clone(tmp_path / "late")
    assert f"its ledger is that of another publication ({TABLE})" in refusal(late)
    publisher.delete(LEDGER)
    publish_by_hand(publisher)
    late.git("pull", "-q")
    assert "not published with `keep publish`" in refusal(late)
