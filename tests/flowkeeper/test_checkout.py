"""Checkouts, pointers and listings that are none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from small import Clone, refusal

from flowkeeper.checkout import Cache, Pointer
from flowkeeper.errors import UserError


def test_outside_a_checkout_and_with_settings_that_dvc_cannot_read(colleague: Clone) -> None:
    (colleague.root / ".dvc/config").write_text("[core\n")
    assert refusal(colleague).startswith(".dvc/config: DVC cannot read its settings (")
    shutil.rmtree(colleague.root / ".git")
    assert "not the root of a git checkout" in refusal(colleague)
    colleague.git("init", "-q")
    shutil.rmtree(colleague.root / ".dvc")
    assert "not the root of a DVC checkout" in refusal(colleague)


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


@pytest.mark.parametrize("path", ["../../../outside", "/outside", "a//b", "a/./b", ""])
def test_a_listing_that_leads_out_of_its_folder(tmp_path: Path, path: str) -> None:
    cache = Cache(tmp_path)
    pointer = Pointer("results/demo", "0" * 32 + ".dir", 1)
    place = cache.path(pointer.listing)
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps([{"md5": "1" * 32, "relpath": path}]))
    with pytest.raises(UserError, match="leads elsewhere"):
        cache.listing(pointer)
