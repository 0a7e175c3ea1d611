"""Published files brought from the remote into DVC's cache, and from there into place.

Files are placed from the cache here and never by `dvc checkout` or `dvc pull`: as soon as one file of a folder cannot
be placed, these delete the whole folder, with everything in it that was not published. Here every byte is at hand and
checked before the first file is touched, files appear whole, and what is not to be placed is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flowkeeper.checkout import Cache, Checkout
from flowkeeper.errors import UserError
from flowkeeper.files import place_copy
from flowkeeper.patches import pointer_to_objects
from flowkeeper.programs import Finished, Say, dvc_transfer, run
from flowkeeper.words import count, listed

_FAILED = re.compile(r"failed to transfer '([0-9a-f]{32}(?:\.dir)?)' - (.*)")
_PLACE = re.compile(r"files/md5/([0-9a-f]{2})/([0-9a-f]{30}(?:\.dir)?)")
_ABSENT = re.compile(r"No such file|Errno 2\]|not found|404|does not exist|NoSuchKey", re.IGNORECASE)


@dataclass(frozen=True)
class Shortage:
    """Files that the remote could not give: it lacks them, has them damaged, or refuses them (path -> reason)."""

    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.missing or self.damaged or self.refused)


def bring_all(checkout: Checkout, wanted: Mapping[str, str], say: Say) -> None:
    """Have the objects of `wanted` (path -> md5) in the cache and whole; raises UserError when one cannot be had."""
    shortage = bring_into_cache(checkout, wanted, say)
    if shortage:
        raise shortage_error(checkout, shortage, wanted)


def bring_into_cache(checkout: Checkout, wanted: Mapping[str, str], say: Say, target: str | None = None) -> Shortage:
    """Bring the objects of `wanted` (path -> md5) that the cache lacks from the remote; returns what cannot be had.

    target: what DVC is asked for in place of these. Bad objects are removed from the cache. Raises UserError when the
    remote cannot be asked.
    """
    lacking = {path: md5 for path, md5 in wanted.items() if not _whole(checkout.cache, md5)}
    if not lacking:
        return Shortage()
    reason = checkout.reach_remote(say)
    if reason:
        raise UserError(f"{reason}.")
    if target is None:
        done = transfer(checkout, "fetch", lacking.values(), say)
    else:
        done = dvc_transfer(["fetch", target], checkout.root, say)
    absent = {path: md5 for path, md5 in lacking.items() if not _whole(checkout.cache, md5)}
    failed = {"".join(place): done.fault for place in _PLACE.findall(done.fault)}  # DVC gave up at this one
    failed |= dict(_FAILED.findall(done.errors))
    refused = {path: failed[md5] for path, md5 in absent.items() if md5 in failed and not _ABSENT.search(failed[md5])}
    missing = [path for path, md5 in absent.items() if md5 in done.errors and path not in refused]
    if absent and not missing and not refused and done.status != 0:
        raise UserError(f"`dvc fetch` from {checkout.remote_text} failed: {done.fault}.")
    return Shortage(missing, [path for path in absent if path not in missing and path not in refused], refused)


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


def shortage_error(checkout: Checkout, shortage: Shortage, md5s: Mapping[str, str]) -> UserError:
    """What to tell of files that the remote could not give."""
    if shortage.refused:
        path, reason = next(iter(shortage.refused.items()))
        return UserError(
            f"{checkout.remote_text} has {count(shortage.refused)} that cannot be read:"
            f" {listed(list(shortage.refused))} ({path}: {reason.rstrip('.')}); mend rights or disk there, and fetch"
            " again."
        )
    if shortage.missing:
        lost = f"{count(shortage.missing)}: {listed(shortage.missing)}"
        return UserError(f"{checkout.remote_text} lacks {lost}; {checkout.publish_again}.")
    places = [f"{path} (files/md5/{md5s[path][:2]}/{md5s[path][2:]})" for path in shortage.damaged]
    return UserError(
        f"{checkout.remote_text} has {count(places)} damaged: {listed(places)}; delete there what stands in brackets,"
        f" and {checkout.publish_again}."
    )


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
