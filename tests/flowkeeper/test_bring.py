"""What a remote cannot give, and places that files must not come to, with real git and DVC."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from small import LATER, MANIFEST, TABLE, Clone, address, refusal, spoil

from flowkeeper import bring
from flowkeeper.errors import UserError
from flowkeeper.programs import Finished

GET = "dvc fetch results/flowkeeper-transfer.dvc"
OWN = "results/demo/runs/greedy/seed1/predictions.parquet"


def own_file(clone: Clone) -> Path:
    """A file of the colleague's that no published set has."""
    clone.write(OWN, b"mine", LATER)
    return clone.root / OWN


@pytest.fixture(autouse=True)
def _pretended(nothing_pending: None) -> None:
    """Publishers have nothing to do."""


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


def test_a_file_where_a_folder_belongs(colleague: Clone) -> None:
    (colleague.root / "results/demo").write_text("in the way\n")
    with pytest.raises(UserError, match="cannot be written"):
        colleague.fetch()
