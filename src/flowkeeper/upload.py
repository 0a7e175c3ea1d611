"""Folders into DVC's cache and onto the remote, and the proof that the remote has every file of them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from flowkeeper.checkout import Checkout
from flowkeeper.errors import UserError
from flowkeeper.patches import pointer_to_files
from flowkeeper.programs import Say, dvc, dvc_transfer, shown
from flowkeeper.words import count, listed

_AGAIN = "nothing is lost: publish again, it goes on from here"


def upload(checkout: Checkout, folders: Sequence[str], say: Say) -> None:
    """Add folders to DVC and send them; raises UserError with the step that failed."""
    for folder in folders:
        done = dvc(["add", folder], checkout.root, say)
        if done.status != 0:
            raise UserError(f"`dvc add {folder}` failed: {done.fault}; mend that; {_AGAIN}.")
    done = dvc_transfer(["push", *(f"{folder}.dvc" for folder in folders)], checkout.root, say)
    lost = _lost(checkout, folders, say) if done.status == 0 else []
    if lost:
        say(f"{checkout.remote} lost {count(lost)} that it had: {listed(lost)}")
        md5s = {path: md5 for folder in folders for path, md5 in checkout.listing(folder).items() if path in lost}
        with pointer_to_files(checkout.root / checkout.workflow.results, md5s) as pointer:
            done = dvc_transfer(["push", str(pointer.relative_to(checkout.root))], checkout.root, say)
        lost = _lost(checkout, folders, say) if done.status == 0 else []
    if done.status != 0 or lost:
        fault = f"it lacks {listed(lost)}" if lost else done.fault
        raise UserError(f"the remote {checkout.remote} ({checkout.url}) did not get everything: {fault}; {_AGAIN}.")


def check_arrivals(checkout: Checkout, say: Say) -> None:
    """Have DVC check what the default remote gives, for everyone: else it takes a damaged file without a word."""
    if checkout.checks_arrivals or checkout.remote is None:
        return
    say(f"DVC does not check what comes from the remote {checkout.remote}; from now on it does:")
    words = ["remote", "modify", *checkout.remote_level, checkout.remote, "verify", "true"]
    done = dvc(words, checkout.root, say)
    if done.status != 0:
        raise UserError(f"`dvc {shown(words)}` failed: {done.fault}; mend that; {_AGAIN}.")


def _lost(checkout: Checkout, folders: Sequence[str], say: Say) -> list[str]:
    """Files that the remote lacks. `dvc push` cannot tell: where a folder's listing is, it believes all files are."""
    words = ["data", "status", "--granular", "--json", "--not-in-remote", *folders]
    done = dvc_transfer(words, checkout.root, say)
    if done.status != 0:
        raise UserError(f"the remote {checkout.remote} cannot be asked what it has: {done.fault}; {_AGAIN}.")
    paths: list[str] = json.loads(done.output).get("not_in_remote", [])
    return [path for path in paths if not path.endswith("/")]
