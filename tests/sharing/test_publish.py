"""Publishing, with real git and DVC and a small set; the workflow's own plan comes in the last tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from people_at_work import ARRAY, ARRAY_BYTES, LEDGER, Person, SmallPlan, address
from published_set import FILES, HISTORY, INDEX, MANIFEST, NAME, PREDICTIONS, TABLE, Checkout
from workspace import Workspace

from avbalance.errors import UserError
from avbalance.provenance.dryrun import DryRun, PendingJob
from avbalance.provenance.ledger import ledger_path, read_ledger
from avbalance.provenance.restore import restore
from avbalance.sharing import refusals
from avbalance.sharing.refusals import _paths

SHARED = {path for path in FILES if path != MANIFEST} | {LEDGER}
OTHER = "data/other-clips/manifest.parquet"


def refusal(person: Person) -> str:
    with pytest.raises(UserError) as caught:
        person.publish()
    return str(caught.value)


def remake_table(person: Person, code: str = "v2") -> None:
    """The table's job is done again, an hour later, by other code."""
    Checkout(person.root).job("table", 1_700_003_600.0, code)


# --- What is published ---


def test_the_set_goes_to_the_remote_and_its_pointers_to_git(newcomer, remote, monkeypatch):
    said = newcomer.publish()
    assert newcomer.listed("results/demo") == SHARED
    assert newcomer.listed("data") == {MANIFEST}
    for path in (*FILES, LEDGER):
        assert address(remote, (newcomer.root / path).read_bytes()).is_file(), path
    staged = newcomer.git("diff", "--cached", "--name-only").split()
    assert staged == [".dvc/config", "data.dvc", "results/demo.dvc"]
    assert said.endswith("what is left to you: `git commit -m 'Publish results/demo'` and `git push`.")
    assert newcomer.commands == [
        "snakemake -n",
        "git status --porcelain -z --untracked-files=all",
        "git rev-parse --verify HEAD",
        "dvc remote modify store verify true",
        "dvc add results/demo",
        "dvc add data",
        "dvc push results/demo.dvc data.dvc",
        "dvc data status --granular --json --not-in-remote results/demo data",
        "git add -- results/demo.dvc data.dvc .dvcignore .dvc/config",
        "git diff --cached --quiet -- results/demo.dvc data.dvc .dvcignore .dvc/config",
    ]
    ledger = read_ledger(ledger_path(newcomer.root, NAME))
    assert set(ledger.entries()) == set(FILES)
    assert ledger.header["commit"] == newcomer.git("rev-parse", "HEAD").strip()
    assert ledger.header["config"] == {"name": NAME}
    assert {"created", "versions", "snakemake", "lock_sha256", "closures", "settings"} <= set(ledger.header)
    monkeypatch.setattr("avbalance.provenance.restore.read_ledger", lambda path: pytest.fail("the ledger is read"))
    assert restore(newcomer.root, NAME).kept == len(FILES), "the next look is a short one"


def test_sizes_are_told_before_anything_is_sent(publisher):
    remake_table(publisher)
    said = publisher.publish().splitlines()
    sizes = {path: (publisher.root / path).stat().st_size for path in FILES}
    own = sum(size for path, size in sizes.items() if path != MANIFEST)
    assert f"results/demo: 5 files, {own / 1e3:.1f} kB" in said
    assert f"  new or changed since the last publication: 1 file, {sizes[TABLE] / 1e3:.1f} kB" in said
    arrays = f"  arrays of feature stores: 1 file, {len(ARRAY_BYTES) / 1e3:.1f} kB"
    assert f"{arrays}, left out (include: --features)" in said
    assert f"manifests in data/: 1 file, {sizes[MANIFEST] / 1e3:.1f} kB" in said
    assert said.index("$ dvc add results/demo") > said.index(f"results/demo: 5 files, {own / 1e3:.1f} kB")


def test_what_is_no_longer_planned_is_named_and_leaves_the_set(publisher, planned, monkeypatch):
    publisher.delete(HISTORY)
    fewer = SmallPlan(files=tuple(path for path in FILES if path != HISTORY))
    monkeypatch.setattr("avbalance.sharing.publish.load_plan_for", lambda *given: fewer)
    assert f"  no longer part of it: {HISTORY}" in publisher.publish().splitlines()
    assert publisher.listed("results/demo") == SHARED - {HISTORY}


def test_publishing_again_changes_nothing(publisher):
    before = publisher.files(), (publisher.root / "results/demo.dvc").read_bytes()
    said = publisher.publish()
    assert (publisher.files(), (publisher.root / "results/demo.dvc").read_bytes()) == before
    assert said.endswith("results/demo is on the remote, and git has nothing new to commit.")


def test_a_dry_run_writes_nothing(newcomer, remote):
    before = newcomer.files()
    said = newcomer.publish(dry=True)
    assert said.endswith("a dry run: nothing was written or sent.")
    assert newcomer.files() == before
    assert newcomer.git("status", "--porcelain") == ""
    assert not list(remote.iterdir())


# --- What is refused ---


def test_all_reasons_are_listed_at_once_each_with_its_remedy(publisher, monkeypatch, remote):
    root = publisher.root
    job = PendingJob("train_x", "", (), (PREDICTIONS,), {})
    monkeypatch.setattr(refusals, "dry_run", lambda *given: DryRun((job, job)))
    (root / "code.py").write_text("x = 1\n")
    (root / "results/demo/old-seed").mkdir()
    (root / "results/demo/old-seed/history.csv").write_text("epoch\n")
    publisher.delete(INDEX)
    publisher.damage(TABLE)
    locks, begun = root / ".snakemake/locks", root / ".snakemake/incomplete"
    locks.mkdir()
    (locks / "0.output.lock").touch()
    (begun / "cmVzdWx0cy9kZW1vL3J1bnMvZ3JlZWR5L3NlZWQwL2hpc3RvcnkuY3N2").touch()  # HISTORY in base64
    remote.rename(remote.with_name("elsewhere"))
    before = publisher.files()
    reasons = refusal(publisher).splitlines()
    assert reasons[0] == "results/demo is not published:"
    expected = [
        ("2 jobs are pending (2 train)", "`avbalance why` says why"),
        ("1 file not committed: code.py", "`git add` and `git commit`"),
        ("a snakemake is at work here", "`snakemake --unlock`"),
        (f"1 file of jobs that did not end: {HISTORY}", "`snakemake` makes it again"),
        ("1 file that no job of this configuration makes: results/demo/old-seed/", "`avbalance clean --stale`"),
        (f"1 file absent, which everyone would miss: {INDEX}", "`avbalance fetch demo`"),
        (f"1 file damaged: {TABLE} (content differs", "`avbalance repair demo`"),
        (f"the folder of the DVC remote store, {remote}, is not there", "`dvc remote modify --local store url PATH`"),
    ]
    assert len(reasons) == 1 + len(expected)
    for line, (what, remedy) in zip(reasons[1:], expected, strict=True):
        assert line.startswith(f"  - {what}") and remedy in line
    assert publisher.files() == before


def test_a_plan_that_cannot_be_made_is_one_of_the_reasons(publisher, monkeypatch):
    def fail(*given: object) -> DryRun:
        raise UserError("preflight: no recordings")

    monkeypatch.setattr(refusals, "dry_run", fail)
    (publisher.root / "code.py").write_text("x = 1\n")
    assert len(refusal(publisher).splitlines()) == 3


def test_without_a_remote_it_is_refused(newcomer):
    newcomer.dvc("remote", "remove", "store")
    newcomer.commit()
    assert refusal(newcomer).splitlines()[1:] == [
        "  - no DVC remote is chosen; name the one to share through: `dvc remote add --default NAME URL`"
        " (docs/how-to/share-artifacts.md)"
    ]


def test_before_the_first_commit_it_is_refused(newcomer):
    shutil.rmtree(newcomer.root / ".git")
    newcomer.git("init", "-q")
    (newcomer.root / ".gitignore").write_text("*\n")
    assert refusal(newcomer).splitlines()[1:] == ["  - there is no commit yet; `git commit` your code"]


@pytest.mark.slow
def test_what_publishing_itself_changes_does_not_stand_in_its_way(newcomer):
    newcomer.publish()  # leaves pointers and .dvc/config uncommitted
    remake_table(newcomer)
    (newcomer.root / "results/demo/.table1.md.abc.partial").touch()  # half written: DVC ignores it
    newcomer.publish(features=True)  # and .dvcignore
    newcomer.publish()


def test_both_names_of_a_renamed_file_are_one_change():
    assert list(_paths("R  new.py\0old.py\0?? data of mine.csv\0 M x\0")) == ["new.py", "data of mine.csv", "x"]


# --- What goes wrong on the way ---


def test_a_push_that_fails_is_finished_by_publishing_again(newcomer, remote, tmp_path):
    shutil.rmtree(remote)
    remote.mkdir()
    (remote / "files").write_text("in the way\n")
    said = refusal(newcomer)
    assert said.startswith(f"the remote store ({remote}) did not get everything: ")
    assert said.endswith("nothing is lost: publish again, it goes on from here.") and "\n" not in said
    (remote / "files").unlink()
    newcomer.publish()
    newcomer.commit()
    colleague = newcomer.clone(tmp_path / "colleague")
    colleague.fetch()
    assert (colleague.root / TABLE).read_bytes() == (newcomer.root / TABLE).read_bytes()


@pytest.mark.parametrize("path", [TABLE, pytest.param(MANIFEST, marks=pytest.mark.slow)])
def test_what_the_remote_lost_is_sent_again(publisher, remote, path):
    """`dvc push` would say that everything is up to date: the listing of the folder is still there."""
    lost = address(remote, (publisher.root / path).read_bytes())
    lost.unlink()
    publisher.dvc("push", "--quiet", "results/demo.dvc", "data.dvc")
    assert not lost.exists()
    assert f"store lost 1 file that it had: {path}" in publisher.publish().splitlines()
    assert lost.read_bytes() == (publisher.root / path).read_bytes()
    assert publisher.git("status", "--porcelain") == ""


def test_dvc_that_cannot_add_is_told_in_one_sentence(newcomer):
    (newcomer.root / ".dvc/cache").write_text("in the way\n")
    said = refusal(newcomer)
    assert said.startswith("`dvc add results/demo` failed: ") and "\n" not in said and "Traceback" not in said


# --- Manifests of other configurations ---


def publish_with_other_manifest(person: Person) -> None:
    (person.root / OTHER).parent.mkdir()
    (person.root / OTHER).write_bytes(b"another configuration's clips")
    (person.root / OTHER).with_name("media").mkdir()
    (person.root / OTHER).with_name("media").joinpath("clip.mp4").write_bytes(b"a clip")
    person.publish()
    person.commit()


def test_manifests_of_other_configurations_stay_published(publisher):
    publish_with_other_manifest(publisher)
    assert publisher.listed("data") == {MANIFEST, OTHER}, "media are left out"
    shutil.rmtree((publisher.root / OTHER).parent)
    said = publisher.publish()
    assert f"1 file of other configurations brought, to stay published: {OTHER}" in said.splitlines()
    assert publisher.listed("data") == {MANIFEST, OTHER}


@pytest.mark.slow
def test_they_come_from_the_remote_where_the_cache_lacks_them(publisher, tmp_path):
    publish_with_other_manifest(publisher)
    colleague = publisher.clone(tmp_path / "colleague")
    colleague.fetch()
    assert not (colleague.root / OTHER).exists()
    colleague.publish()
    assert colleague.listed("data") == {MANIFEST, OTHER}


@pytest.mark.slow
def test_manifests_that_nobody_has_are_not_dropped_in_silence(publisher, remote):
    publish_with_other_manifest(publisher)
    content = (publisher.root / OTHER).read_bytes()
    for store in (remote, publisher.root / ".dvc/cache"):
        address(store, content).unlink()
    publisher.delete(OTHER)
    pointer = (publisher.root / "data.dvc").read_bytes()
    assert f"lacks 1 file: {OTHER}" in refusal(publisher)
    assert (publisher.root / "data.dvc").read_bytes() == pointer


def test_a_manifest_that_changed_is_named(publisher, planned):
    Checkout(publisher.root).job("dataset", 1_700_003_600.0, "v2")
    assert f"note: other content than published before: {MANIFEST};" in publisher.publish()


# --- Arrays of feature stores ---


def test_arrays_are_left_out_unless_asked_for(publisher):
    assert ARRAY not in publisher.listed("results/demo")
    said = publisher.publish(features=True)
    assert ".dvcignore: new line !/results/demo/features/**/features.npy" in said.splitlines()
    assert publisher.listed("results/demo") == SHARED | {ARRAY}
    assert ".dvcignore" in publisher.git("diff", "--cached", "--name-only").split()
    again = publisher.publish()
    assert "1 file, 10.2 kB, included" in again, "the line stays in force"
    assert publisher.listed("results/demo") == SHARED | {ARRAY}


@pytest.mark.slow
def test_arrays_that_were_shared_are_not_dropped_in_silence(publisher, tmp_path):
    publisher.publish(features=True)
    publisher.commit()
    colleague = publisher.clone(tmp_path / "colleague")
    colleague.fetch()
    said = refusal(colleague)
    assert ARRAY in said and "`avbalance fetch demo --features`" in said
    colleague.fetch(features=True)
    assert (colleague.root / ARRAY).read_bytes() == ARRAY_BYTES
    colleague.publish()


# --- The remote's settings ---


@pytest.mark.slow
def test_a_remote_of_this_machine_alone_is_made_to_check_there(newcomer, remote):
    newcomer.dvc("remote", "remove", "store")
    newcomer.commit()
    newcomer.dvc("remote", "add", "--quiet", "--local", "--default", "mine", str(remote))
    newcomer.publish()
    assert "verify = true" in (newcomer.root / ".dvc/config.local").read_text()
    assert "verify" not in (newcomer.root / ".dvc/config").read_text()
    assert "dvc remote modify" not in newcomer.publish(), "once is enough"


# --- With the workflow's own plan ---


@pytest.fixture
def repository(workspace: Workspace, tmp_path: Path) -> Workspace:
    """The workspace under git and DVC with a remote; its smoke run is not published."""
    (tmp_path / "remote").mkdir()
    (workspace.root / ".gitignore").open("a").write("/processes.jsonl\n/.cache/\n/src/sitecustomize.py\n/.venv\n")
    done = workspace.run(
        "git init -q -b main && git config user.name ada && git config user.email ada@example.org"
        " && .venv/bin/dvc remote add --quiet --default store ../remote && git add -A && git commit -q -m begin"
    )
    assert done.status == 0, done.output
    return workspace


def test_the_smoke_run_is_published_and_pending_jobs_are_named(repository):
    published = repository.run(".venv/bin/avbalance publish")
    assert published.status == 0, published.output
    repository.run("git commit -q -m 'Publish results/smoke'")
    source = repository.root / "src/avbalance/methods/greedy.py"
    source.write_text(source.read_text() + "\n\nADDED = 1\n")
    refused = repository.run(".venv/bin/avbalance publish || true")
    pending = next(line for line in refused.output.splitlines() if "pending" in line)
    assert "1 train" in pending and "1 measure" in pending and "dataset" not in pending
    assert "`avbalance why` says why" in pending
    assert "1 file not committed: src/avbalance/methods/greedy.py" in refused.output
