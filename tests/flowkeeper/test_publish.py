"""Publishing, with real git and DVC and a small set."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small import (
    ARRAY,
    ARRAY_BYTES,
    FILES,
    HISTORY,
    INDEX,
    LATER,
    LEDGER,
    MANIFEST,
    NAME,
    PREDICTIONS,
    TABLE,
    Clone,
    SmallPlan,
    address,
)

from flowkeeper import publish_checks
from flowkeeper.dry_run import DryRun, PendingJob
from flowkeeper.errors import UserError
from flowkeeper.ledger import read_ledger, remember_own

SHARED = {path for path in FILES if path != MANIFEST} | {LEDGER}
OTHER = "data/other-clips/manifest.parquet"


@pytest.fixture(autouse=True)
def _pretended(nothing_pending: None) -> None:
    """Nothing is pending."""


def refusal(clone: Clone) -> str:
    with pytest.raises(UserError) as caught:
        clone.publish()
    return str(caught.value)


def reasons(clone: Clone) -> list[str]:
    first, *lines = refusal(clone).splitlines()
    assert first == "results/demo is not published:"
    return lines


# --- What is published ---


def test_the_set_goes_to_the_remote_and_its_pointers_to_git(
    newcomer: Clone, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = newcomer.publish()
    assert newcomer.listed("results/demo") == SHARED
    assert newcomer.listed("data") == {MANIFEST}
    for path in (*FILES, LEDGER):
        assert address(remote, (newcomer.root / path).read_bytes()).is_file(), path
    assert newcomer.git("diff", "--cached", "--name-only").split() == ["data.dvc", "results/demo.dvc"]
    assert said.endswith("what is left to you: `git commit -m 'Publish results/demo'` and `git push`.")
    assert newcomer.commands == [
        "snakemake -n",
        "git status --porcelain -z --no-renames --untracked-files=all -- . ':(exclude,glob).dvcignore'"
        " ':(exclude,glob)data.dvc' ':(exclude,glob)results/*.dvc'",
        "git rev-parse --verify HEAD",
        "git rev-parse HEAD",
        "dvc add results/demo",
        "dvc add data",
        "dvc push results/demo.dvc data.dvc",
        "dvc push results/flowkeeper-transfer.dvc",
        "git add -- results/demo.dvc data.dvc .dvcignore",
        "git diff --cached --quiet -- results/demo.dvc data.dvc .dvcignore",
    ]
    ledger = read_ledger(newcomer.results)
    assert set(ledger.entries) == set(FILES)
    assert ledger.header["commit"] == newcomer.git("rev-parse", "HEAD").strip()
    assert ledger.header["config"] == {"name": NAME}
    assert {"created", "versions", "lock_sha256", "closures", "settings"} <= set(ledger.header)
    monkeypatch.setattr("flowkeeper.restore.read_ledger", lambda results: pytest.fail("the ledger is read"))
    assert newcomer.restore().kept == len(FILES), "the next look is a short one"


def test_sizes_are_told_before_anything_is_sent(publisher: Clone) -> None:
    publisher.job("table", code="v2")
    said = publisher.publish().splitlines()
    sizes = {path: (publisher.root / path).stat().st_size for path in FILES}
    own = f"results/demo: 5 files, {sum(size for path, size in sizes.items() if path != MANIFEST) / 1e3:.1f} kB"
    assert f"  new or changed since the last publication: 1 file, {sizes[TABLE] / 1e3:.1f} kB" in said
    arrays = f"  arrays of feature stores: 1 file, {len(ARRAY_BYTES) / 1e3:.1f} kB"
    assert f"{arrays}, left out (include: --features)" in said
    assert f"manifests in data/: 1 file, {sizes[MANIFEST] / 1e3:.1f} kB" in said
    assert said.index("$ dvc add results/demo") > said.index(own)


def test_what_is_no_longer_planned_is_named_and_leaves_the_set(publisher: Clone) -> None:
    publisher.delete(HISTORY)
    publisher.plan = SmallPlan(files=tuple(path for path in FILES if path != HISTORY))
    assert f"  no longer part of it: {HISTORY}" in publisher.publish().splitlines()
    assert publisher.listed("results/demo") == SHARED - {HISTORY}


def test_publishing_again_changes_nothing(publisher: Clone) -> None:
    before = publisher.files(), (publisher.root / "results/demo.dvc").read_bytes()
    said = publisher.publish()
    assert (publisher.files(), (publisher.root / "results/demo.dvc").read_bytes()) == before
    assert said.endswith("results/demo is on the remote, and git has nothing new to commit.")


def test_a_dry_run_writes_nothing(newcomer: Clone, remote: Path) -> None:
    before = newcomer.files()
    assert newcomer.publish(dry=True).endswith("a dry run: nothing was written or sent.")
    assert newcomer.files() == before
    assert newcomer.git("status", "--porcelain") == ""
    assert not list(remote.iterdir())


# --- What is refused ---


def test_all_reasons_are_listed_at_once_each_with_its_remedy(
    publisher: Clone, monkeypatch: pytest.MonkeyPatch, remote: Path
) -> None:
    root = publisher.root
    job = PendingJob("train_x", "", (), (PREDICTIONS,), {})
    monkeypatch.setattr(publish_checks, "dry_run", lambda *given: DryRun((job, job)))
    (root / "code.py").write_text("x = 1\n")
    publisher.write("results/demo/old-seed/history.csv", b"epoch\n", LATER)
    publisher.delete(INDEX)
    publisher.damage(TABLE)
    publisher.pretend_at_work()
    # HISTORY in base64
    (root / ".snakemake/incomplete/cmVzdWx0cy9kZW1vL3J1bnMvZ3JlZWR5L3NlZWQwL2hpc3RvcnkuY3N2").touch()
    remote.rename(remote.with_name("elsewhere"))
    before = publisher.files()
    expected = [
        ("2 jobs are pending (2 train)", "`keep why` says why"),
        ("1 file not committed: code.py", "`git add` and `git commit`"),
        ("a snakemake is at work here", "`snakemake --unlock`"),
        (f"1 file of jobs that did not end: {HISTORY}", "`snakemake` makes them again"),
        ("1 file that no job of this configuration makes: results/demo/old-seed/", "`keep clean --stale`"),
        (f"1 file absent, which everyone would miss: {INDEX}", "`keep fetch demo`"),
        (f"1 file damaged: {TABLE} (content differs", "`keep repair demo`"),
        (f"the folder of the DVC remote store, {remote}, is not there", "`dvc remote modify --local store url PATH`"),
    ]
    for line, (what, remedy) in zip(reasons(publisher), expected, strict=True):
        assert line.startswith(f"  - {what}") and remedy in line
    assert publisher.files() == before


def test_damage_of_what_was_never_published_is_noticed_too(newcomer: Clone) -> None:
    remember_own(newcomer.results, FILES)
    newcomer.damage(PREDICTIONS)
    (line,) = reasons(newcomer)
    assert line.startswith(f"  - 1 file damaged: {PREDICTIONS} (content differs from its recorded md5")


def test_a_plan_that_cannot_be_made_is_one_of_the_reasons(publisher: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> DryRun:
        raise UserError("preflight: no recordings")

    monkeypatch.setattr(publish_checks, "dry_run", fail)
    (publisher.root / "code.py").write_text("x = 1\n")
    assert len(reasons(publisher)) == 2


def test_without_a_remote_or_a_commit_it_is_refused(newcomer: Clone) -> None:
    newcomer.dvc("remote", "remove", "store")
    shutil.rmtree(newcomer.root / ".git")
    newcomer.git("init", "-q")
    (newcomer.root / ".gitignore").write_text("*\n")
    assert reasons(newcomer) == [
        "  - there is no commit yet; `git commit` your code",
        "  - no DVC remote is chosen; name the one to share through: `dvc remote add --default NAME URL`"
        " (docs/how-to/share-artifacts.md)",
    ]


@pytest.mark.slow
def test_what_publishing_itself_changes_does_not_stand_in_its_way(newcomer: Clone) -> None:
    newcomer.publish()  # leaves pointers uncommitted
    newcomer.job("table", code="v2")
    (newcomer.root / "results/demo/.table1.md.abc.partial").touch()  # half written: DVC ignores it
    newcomer.publish(bulk=True)  # and .dvcignore
    newcomer.publish()


# --- What goes wrong on the way ---


def test_a_push_that_fails_is_finished_by_publishing_again(newcomer: Clone, remote: Path, tmp_path: Path) -> None:
    (remote / "files").write_text("in the way\n")
    said = refusal(newcomer)
    assert said.startswith(f"the remote store ({remote}) did not get everything: ")
    assert said.endswith("nothing is lost: publish again, it goes on from here.") and "\n" not in said
    (remote / "files").unlink()
    newcomer.publish()
    newcomer.commit()
    colleague = newcomer.clone(tmp_path / "colleague")
    colleague.fetch()
    assert colleague.contents(TABLE) == newcomer.contents(TABLE)


# --- Manifests of other configurations ---


def publish_with_other_manifest(clone: Clone) -> None:
    clone.write(OTHER, b"another configuration's clips", LATER)
    clone.write(OTHER.replace("manifest.parquet", "media/clip.mp4"), b"a clip", LATER)
    clone.publish()
    clone.commit()


def test_manifests_of_other_configurations_stay_published(publisher: Clone) -> None:
    publish_with_other_manifest(publisher)
    assert publisher.listed("data") == {MANIFEST, OTHER}, "media are left out"
    shutil.rmtree((publisher.root / OTHER).parent)
    said = publisher.publish()
    assert f"1 file of other configurations brought, to stay published: {OTHER}" in said.splitlines()
    assert publisher.listed("data") == {MANIFEST, OTHER}


@pytest.mark.slow
def test_they_come_from_the_remote_and_are_never_dropped_in_silence(
    publisher: Clone, remote: Path, tmp_path: Path
) -> None:
    publish_with_other_manifest(publisher)
    colleague = publisher.clone(tmp_path / "colleague")
    colleague.fetch()
    assert not (colleague.root / OTHER).exists()
    colleague.publish()
    assert colleague.listed("data") == {MANIFEST, OTHER}
    content = (publisher.root / OTHER).read_bytes()
    for store in (remote, publisher.root / ".dvc/cache"):
        address(store, content).unlink()
    publisher.delete(OTHER)
    pointer = (publisher.root / "data.dvc").read_bytes()
    assert f"cannot give 1 file: {OTHER} (not there)" in refusal(publisher)
    assert (publisher.root / "data.dvc").read_bytes() == pointer


def test_a_manifest_that_changed_is_named(publisher: Clone) -> None:
    publisher.job("dataset", code="v2")
    assert f"note: other content than published before: {MANIFEST};" in publisher.publish()


# --- Bulk files ---


def test_arrays_are_left_out_unless_asked_for(publisher: Clone) -> None:
    assert ARRAY not in publisher.listed("results/demo")
    said = publisher.publish(bulk=True)
    assert ".dvcignore: new line !/results/demo/features/**/features.npy" in said.splitlines()
    assert publisher.listed("results/demo") == SHARED | {ARRAY}
    assert ".dvcignore" in publisher.git("diff", "--cached", "--name-only").split()
    assert "1 file, 10.2 kB, included" in publisher.publish(), "the line stays in force"
    assert publisher.listed("results/demo") == SHARED | {ARRAY}


@pytest.mark.slow
def test_arrays_that_were_shared_are_not_dropped_in_silence(publisher: Clone, tmp_path: Path) -> None:
    publisher.publish(bulk=True)
    publisher.commit()
    colleague = publisher.clone(tmp_path / "colleague")
    colleague.fetch()
    said = refusal(colleague)
    assert ARRAY in said and "`keep fetch demo --features`" in said
    colleague.fetch(bulk=True)
    assert (colleague.root / ARRAY).read_bytes() == ARRAY_BYTES
    colleague.publish()
