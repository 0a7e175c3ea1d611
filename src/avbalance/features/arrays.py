"""Arrays of feature stores that are absent, made again as their cards say."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from avbalance.data.manifest import read_manifest
from avbalance.errors import UserError
from avbalance.features.extract import manifest_digest, prepare, stores_locked, unfinished
from avbalance.features.pool import DEFAULT_FUNCTION
from avbalance.features.recipes import chosen_recipes
from avbalance.features.store import ARRAY, CARD, INDEX, array_is_there, vouch
from avbalance.names import rule_name
from flowkeeper.files import canonical_json, read_json, sha256_file

log = logging.getLogger(__name__)

TIMEOUT_S = 60.0  # per clip, as in the features step
_DECISIVE = ["id", "row", "n_frames", "width", "height"]  # columns of the index that training reads


def ensure_arrays(
    manifest_path: str | Path, folders: Mapping[str, str | Path], state_dir: str | Path, workers: int = 1
) -> None:
    """Make features.npy of every store in `folders` (modality -> folder) that has index and card but lacks it.

    Index and card stay as they are. An array that came from elsewhere (no array.json speaks of it) is compared with
    the card's sha256 once. Processes that ask for the same store at the same time wait for the first one. Other
    bytes than the card's, from another build of the codec libraries, are kept with a warning and an array.json that
    says so. Raises UserError when the card's recipe or manifest are not those of now, or other clips can be read.
    """
    stores = {modality: Path(folder) for modality, folder in folders.items()}
    if all(array_is_there(folder) for folder in stores.values()):
        return
    with stores_locked(stores.values(), state_dir):
        lacking = {modality: folder for modality, folder in stores.items() if _lacks_array(folder)}
        if lacking:
            _make_again(Path(manifest_path), lacking, state_dir, workers)


def _lacks_array(folder: Path) -> bool:
    """Whether a described store is without the array of its card."""
    described = (folder / CARD).is_file() and (folder / INDEX).is_file()
    if not described or array_is_there(folder):
        return False
    card, array = read_json(folder / CARD), folder / ARRAY
    if not array.is_file():
        log.info("%s: absent, made again as the card says", array)
        return True
    if array.stat().st_size == card["bytes"] and sha256_file(array) == card["sha256"]:
        vouch(folder, card["sha256"], card["sha256"], card["libraries"], extraction="")
        return False
    log.info("%s: not the array of the card beside it, made again as the card says", array)
    return True


def _make_again(manifest_path: Path, folders: dict[str, Path], state_dir: str | Path, workers: int) -> None:
    cards: dict[str, dict[str, Any]] = {modality: read_json(folder / CARD) for modality, folder in folders.items()}
    recipes = chosen_recipes({modality: card["recipe"]["name"] for modality, card in cards.items()})
    digest = manifest_digest(read_manifest(manifest_path).frame)
    for modality, card in cards.items():
        if canonical_json(recipes[modality].as_dict()) != canonical_json(card["recipe"]):
            where, name = folders[modality] / CARD, card["recipe"]["name"]
            raise UserError(f"{where}: recipe {name} is not what it was; {_afresh(card)}.")
        if card["manifest_digest"] != digest:
            raise UserError(f"{folders[modality]}: made from another {manifest_path} than this one; {_afresh(card)}.")
    request = prepare(manifest_path, recipes, DEFAULT_FUNCTION, workers)
    with unfinished(request, folders, state_dir) as extraction:
        extraction.run(workers, TIMEOUT_S, DEFAULT_FUNCTION)
        sealed = extraction.seal()
        problems = [_difference(folders[name], index, made, cards[name]) for name, (index, made) in sealed.items()]
        if not any(problems):
            for name, (_, made) in sealed.items():
                extraction.writers[name].place_array(folders[name], made, cards[name]["sha256"], request.key)
                _tell(folders[name] / ARRAY, made, cards[name])
    for problem in filter(None, problems):  # after the unfinished stores are gone: media may be mended meanwhile
        raise UserError(problem)


def _difference(folder: Path, index: pd.DataFrame, made: dict[str, Any], card: dict[str, Any]) -> str | None:
    """Why the rows of a store made again are not those of its index; None when they are."""
    published = pd.read_parquet(folder / INDEX)
    if made["shape"] == card["shape"] and index[_DECISIVE].equals(published[_DECISIVE].reset_index(drop=True)):
        return None
    return (
        f"{folder}: {made['shape'][0]} of {len(index)} clips can be read now, {card['shape'][0]} when the store "
        f"was made, or their frames differ; fix the media, or {_afresh(card)}."
    )


def _afresh(card: dict[str, Any]) -> str:
    rule = rule_name("features", card["dataset"])
    return f"type snakemake --forcerun {rule} to have the store and all that follows made afresh"


def _tell(array: Path, made: dict[str, Any], card: dict[str, Any]) -> None:
    if made["sha256"] == card["sha256"]:
        log.info("%s: made again, the same bytes as on the card", array)
        return
    was, now = card.get("libraries", {}), made["libraries"]
    changed = [name for name in sorted({*was, *now}) if was.get(name) != now.get(name)]
    other = [f"{name} {now.get(name)} instead of {was.get(name)}" for name in changed]
    log.warning(
        "%s: made again with other bytes than the published array (%s); runs that are trained from now on rest on "
        "slightly different features than the published ones.",
        array,
        ", ".join(other) or "libraries of the same versions: another build, or other media",
    )
