"""States to resume from: bound to their run, ignored when foreign or damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from avbalance.errors import UserError
from avbalance.training import state as state_module
from avbalance.training.state import Checkpoints


def test_a_state_comes_back_to_its_own_run_and_stream_only(tmp_path: Path) -> None:
    own = Checkpoints(tmp_path, "key")
    own.save("main", {"epoch": 3, "weights": {"a": torch.arange(3.0)}, "history": [{"loss": 0.5}]})
    found = own.load("main")
    assert found is not None
    assert (found["epoch"], found["history"]) == (3, [{"loss": 0.5}])
    assert torch.equal(found["weights"]["a"], torch.arange(3.0))
    assert own.load("other") is None
    assert Checkpoints(tmp_path, "another").load("main") is None


def test_a_state_that_was_renamed_is_foreign(tmp_path: Path) -> None:
    first, second = Checkpoints(tmp_path, "first"), Checkpoints(tmp_path, "second")
    first.save("main", {"epoch": 1})
    first.path("main").rename(second.path("main"))
    assert second.load("main") is None
    second.path("main").rename(first.path("else"))
    assert first.load("else") is None


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_a_damaged_state_is_no_state(content: bytes | None, tmp_path: Path) -> None:
    own = Checkpoints(tmp_path, "key")
    own.save("main", {"epoch": 1})
    whole = own.path("main").read_bytes()
    own.path("main").write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert own.load("main") is None


def test_a_state_with_code_in_it_is_not_run(tmp_path: Path) -> None:
    own = Checkpoints(tmp_path, "key")
    torch.save({"key": "key", "stream": "main", "state": {"path": Path("x")}}, own.path("main"))
    assert own.load("main") is None


def test_writes_are_due_after_the_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(state_module.time, "monotonic", lambda: now[0])
    own = Checkpoints(tmp_path, "key", every_s=20.0, _last=100.0)
    assert not own.due()
    now[0] = 120.0
    assert own.due()
    own.save("main", {})
    assert not own.due()
    assert Checkpoints(tmp_path, "key", every_s=0.0, _last=120.0).due()


def test_discard_removes_all_of_one_run(tmp_path: Path) -> None:
    own, other = Checkpoints(tmp_path, "key"), Checkpoints(tmp_path, "other")
    for each in (own, other):
        each.save("main", {})
        each.save("main.clone", {})
    (tmp_path / ".key-main.pt.abc.partial").write_bytes(b"killed while writing")
    own.discard()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other-main.clone.pt", "other-main.pt"]


def test_after_every_save_somebody_may_end_the_training(tmp_path: Path) -> None:
    def stop() -> None:
        raise UserError("enough.")

    own = Checkpoints(tmp_path, "key", after_save=stop)
    with pytest.raises(UserError, match="enough"):
        own.save("main", {"epoch": 4})
    assert Checkpoints(tmp_path, "key").load("main") == {"epoch": 4}
