"""Folders into DVC's cache and onto the remote, and the proof that the remote has every file of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from avbalance.errors import UserError
from avbalance.sharing.objects import Checkout, count, read_pointer, some
from avbalance.sharing.programs import Finished, Say, dvc, dvc_transfer, shown

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
        say(f"{checkout.remote} lost {count(lost)} that it had: {some(lost)}")
        done = _send_alone(checkout, lost, _listed(checkout, folders), say)
        lost = _lost(checkout, folders, say) if done.status == 0 else []
    if done.status != 0 or lost:
        fault = f"it lacks {some(lost)}" if lost else done.fault
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
    found: Iterable[str] = json.loads(done.output).get("not_in_remote", [])
    return [path for path in found if not path.endswith("/")]


def _listed(checkout: Checkout, folders: Sequence[str]) -> dict[str, str]:
    pointers = [read_pointer(checkout.root, folder) for folder in folders]
    return {path: md5 for pointer in pointers for path, md5 in checkout.cache.listing(pointer).items()}


def _send_alone(checkout: Checkout, files: Sequence[str], md5s: Mapping[str, str], say: Say) -> Finished:
    """Send single files, of which DVC believes for their folder's sake that the remote has them."""
    pointer = checkout.root / "results" / "sent-alone.dvc"
    outs = [{"md5": md5s[path], "hash": "md5", "path": f"sent-alone/{path}"} for path in files]
    try:
        pointer.write_text(json.dumps({"outs": outs}), encoding="utf-8")  # JSON is YAML, too
        return dvc_transfer(["push", str(pointer.relative_to(checkout.root))], checkout.root, say)
    finally:
        pointer.unlink(missing_ok=True)
