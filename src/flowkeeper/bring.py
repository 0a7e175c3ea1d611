"""Published files brought from the remote into DVC's cache, and from there into place.

Files are placed from the cache here and never by `dvc checkout` or `dvc pull`: as soon as one file of a folder cannot
be placed, these delete the whole folder, with everything in it that was not published. Here every byte is at hand and
checked before the first file is touched, files appear whole, and what is not to be placed is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from flowkeeper.checkout import Cache, Checkout
from flowkeeper.errors import UserError
from flowkeeper.files import place_copy
from flowkeeper.patches import pointer_to_objects
from flowkeeper.programs import Finished, Say, dvc_transfer, run
from flowkeeper.words import count, listed

_FAILED = re.compile(r"failed to transfer '([0-9a-f]{32}(?:\.dir)?)' - (.*)")
_PLACE = re.compile(r"files/md5/([0-9a-f]{2})/([0-9a-f]{30}(?:\.dir)?)")
_NOT_THERE, _DAMAGED = "not there", "damaged: delete "
_ABSENT = re.compile(r"No such file|Errno 2\]|not found|404|does not exist|NoSuchKey", re.IGNORECASE)


def bring_all(checkout: Checkout, wanted: Mapping[str, str], say: Say, target: str | None = None) -> None:
    """As `bring_into_cache`; raises UserError when one of the objects cannot be had."""
    lacking = bring_into_cache(checkout, wanted, say, target)
    if lacking:
        told = listed([f"{path} ({reason})" for path, reason in lacking.items()])
        ours = all(reason == _NOT_THERE or reason.startswith(_DAMAGED) for reason in lacking.values())
        advice = checkout.publish_again if ours else "fix permissions or disk there, and fetch again"
        raise UserError(f"{checkout.remote_text} cannot give {count(lacking)}: {told}; {advice}.")


def bring_into_cache(
    checkout: Checkout, wanted: Mapping[str, str], say: Say, target: str | None = None
) -> dict[str, str]:
    """Bring the objects of `wanted` (path -> md5) that the cache lacks from the remote; returns path -> why not.

    target: what DVC is asked for in place of these. Bad objects are removed from the cache. Raises UserError when the
    remote cannot be asked.
    """
    lacking = {path: md5 for path, md5 in wanted.items() if not _whole(checkout.cache, md5)}
    if not lacking:
        return {}
    reason = checkout.reach_remote(say)
    if reason:
        raise UserError(f"{reason}.")
    if target is None:
        done = transfer(checkout, "fetch", lacking.values(), say)
    else:
        done = dvc_transfer(["fetch", target], checkout.root, say)
    absent = {path: md5 for path, md5 in lacking.items() if not _whole(checkout.cache, md5)}
    return _reasons(checkout, done, absent)


def _reasons(checkout: Checkout, done: Finished, absent: Mapping[str, str]) -> dict[str, str]:
    """Why DVC did not bring each of the absent objects (path -> md5), by what it said."""
    said = {"".join(place): done.fault for place in _PLACE.findall(done.fault)}  # it gave up at this one
    said |= dict(_FAILED.findall(done.errors))
    refused = {path: said[md5].rstrip(".") for path, md5 in absent.items() if not _ABSENT.search(said.get(md5, "404"))}
    if refused:
        return refused  # of the others nothing is known then
    if absent and done.status != 0 and not any(md5 in done.errors for md5 in absent.values()):
        raise UserError(f"`dvc fetch` from {checkout.remote_text} failed: {done.fault}.")
    return {
        path: _NOT_THERE if md5 in done.errors else f"{_DAMAGED}files/md5/{md5[:2]}/{md5[2:]} there"
        for path, md5 in absent.items()
    }


def transfer(checkout: Checkout, command: str, md5s: Iterable[str], say: Say) -> Finished:
    """Have DVC fetch or push single objects of its cache."""
    with pointer_to_objects(checkout.root / checkout.workflow.results, md5s) as pointer:
        return dvc_transfer([command, str(pointer.relative_to(checkout.root))], checkout.root, say)


def _whole(cache: Cache, md5: str) -> bool:
    """Whether the cache has an object whole; one that is not is removed, so that DVC brings it again."""
    if cache.good(md5):
        return True
    try:
        cache.path(md5).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{cache.path(md5)}: damaged, and cannot be removed ({error.strerror}).") from error
    return False


def place_all(checkout: Checkout, files: Mapping[str, str], say: Say) -> None:
    """Put objects of the cache (path -> md5) into place, in this order, each whole or not at all.

    Raises UserError when the disk refuses, and before the first one when they would come to lie outside.
    """
    _refuse_committed_links(checkout, files, say)
    for path, md5 in files.items():
        place_copy(checkout.cache.path(md5), checkout.root / path)


def _refuse_committed_links(checkout: Checkout, paths: Iterable[str], say: Say) -> None:
    """Raise UserError when a folder of some paths is a link that git carries: it is not the user's own choice."""
    folders = {str(folder) for path in paths for folder in Path(path).parents}
    links = sorted(folder for folder in folders if (checkout.root / folder).is_symlink())
    carried = run(["git", "ls-files", "--stage", "--", *links], checkout.root, say).output if links else ""
    link = next((line.split("\t", 1)[1] for line in carried.splitlines() if line.startswith("120000")), None)
    if link is not None:
        raise UserError(
            f"{link}: a link that is committed, so that files would be written to {(checkout.root / link).resolve()};"
            f" remove it with `git rm {link}`."
        )
