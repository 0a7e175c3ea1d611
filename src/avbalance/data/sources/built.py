"""A set that is built from a pool of other data sets' clips so that both modalities matter equally in it.

How it is built: avbalance.balancing.build. Planning needs only what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.data.sources.common import read_options, required
from avbalance.errors import UserError

if TYPE_CHECKING:
    from avbalance.data.manifest import Manifest

DEFAULTS: dict[str, Any] = {
    "pool": required(),  # data set whose clips are candidates
    "supplements": [],  # data sets that fill up categories below the target
    "recipes": required(),  # modality -> recipe of the features that scorers and estimators read
    "scorers": None,  # modality -> see balancing/scorers.py; None: clips are not sorted into types
    "categories": None,  # table of categories; None: the scorers' labels are the categories
    "target": 1300,  # clips of a category up to which supplements are added
    "shares": {"train": 0.81, "val": 0.08, "test": 0.11},  # of the published set
    "together": "group",  # column of the pool's manifest whose clips stay in one part: group (videos), or id
    "estimators": required(),  # data, model, protocol, rule, folds
    "recalibration": {},  # see balancing/recalibration.py, Rule
    "seed": 0,
}
TOGETHER = ("group", "id")
ROUNDS = 3  # of recalibration, at the most, unless the option says otherwise
KINETICS = "kinetics-400"  # labels that need no file
_ESTIMATORS = ("data", "model", "protocol", "rule", "folds")


def options_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Checked options over their defaults; raises UserError for unknown and absent ones."""
    options = read_options(spec, DEFAULTS)
    wanted = {"recipes": ("audio", "visual"), "scorers": ("audio", "visual"), "estimators": _ESTIMATORS}
    for name, keys in wanted.items():
        if name == "scorers" and options[name] is None:
            continue
        if not isinstance(options[name], Mapping) or set(options[name]) != set(keys):
            raise UserError(f"data set of kind built: option {name!r} needs {', '.join(keys)}.")
    if options["together"] not in TOGETHER:
        raise UserError(
            f"data set of kind built: option together is {options['together']!r}; it is {' or '.join(TOGETHER)}."
        )
    return options


def datasets(spec: Mapping[str, Any]) -> list[str]:
    """The data sets that have to be there first."""
    options = options_of(spec)
    scorers = [str(each["dataset"]) for each in (options["scorers"] or {}).values() if "dataset" in each]
    return list(dict.fromkeys([options["pool"], *options["supplements"], *scorers]))


def preflight(spec: Mapping[str, Any]) -> str | None:
    """Say that a file of scores or the table of categories is missing; None when all are there."""
    for path in inputs(spec):
        if not Path(path).is_file():
            return f"{path}: no such file; let the network score the clips of the pool, or mend the path."
    return None


def inputs(spec: Mapping[str, Any]) -> list[str]:
    """Files that the set is built from, besides other data sets."""
    options = options_of(spec)
    scorers = (options["scorers"] or {}).values()
    files = [str(each[name]) for each in scorers for name in ("file", "labels") if each.get(name, KINETICS) != KINETICS]
    return [*files, *([str(options["categories"])] if options["categories"] else [])]


def remake(manifest: Manifest, media: Path, workers: int) -> list[str]:
    """Make absent clips of the pool again, where its source can; ids of clips with other bytes are told there."""
    from avbalance.data.build import ensure_media

    for dataset in datasets({"kind": manifest.card["kind"], "options": manifest.card["options"]}):
        if (media / dataset / "manifest.parquet").is_file():
            ensure_media(media / dataset / "manifest.parquet", workers)
    return []
