"""Which clips of a folder of your own to leave out, or to collect, so that both modalities matter equally."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from avbalance.analysis.confidence import histogram
from avbalance.balancing.build import STEPS, build_balanced
from avbalance.data.build import build_dataset
from avbalance.data.manifest import read_manifest
from avbalance.errors import UserError
from avbalance.features.recipes import VisualRecipe, get_visual_recipe
from avbalance.table_files import write_csv
from flowkeeper.files import atomic_path, read_json

POOL, SET = "pool", "balanced"
KEEP, LEAVE_OUT, COLLECT, MAPS = "keep.csv", "leave_out.csv", "collect.csv", "maps.png"
_MAP_BINS = 20  # a side: a folder of some hundred clips fills few cells of a finer map


@dataclass(frozen=True)
class BalanceRequest:
    """What is asked for: the features that estimators read, their epochs and folds, how many clips stay at least,
    and how many may be noise (see recalibration.Rule).
    """

    audio_recipe: str
    visual_recipe: str
    epochs: int = 40
    folds: int = 5
    least: int | None = None
    noise_share: float = 0.10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 3:
            raise UserError(f"--epochs is {self.epochs}; give 3 at least.")


def balance_folder(
    folder: Path, out: Path, request: BalanceRequest, device: str = "auto", threads: int = 1
) -> list[str]:
    """Write keep.csv, leave_out.csv, collect.csv and maps.png into `out`; returns sentences for people.

    folder: media with a manifest.csv, as docs/how-to/your-own-data.md describes. Every clip is judged by unimodal
    models trained on other clips; a group of clips (column group) stays together in that. Clips are not sorted into
    types, and the parts of manifest.csv stay as they are. Raises UserError as building a data set does.
    """
    data = out / "data"
    card = {"stands_for": None, "describe": f"the clips in {folder}"}
    listed = {"kind": "folder", **card, "options": {"root": str(folder.absolute())}}
    build_dataset(POOL, listed, data / POOL / "manifest.parquet")
    spec = {"kind": "built", **card, "options": _options(request)}
    build_balanced(SET, spec, data / SET / "manifest.parquet", device, threads)
    steps = data / SET / STEPS
    clips = pd.read_parquet(steps / "clips.parquet")
    own = read_manifest(data / POOL / "manifest.parquet").frame[["id", "label", "split"]]
    clips = own.merge(clips[["id", "step", "u_audio", "u_visual"]], on="id", validate="one_to_one")
    kept = clips[clips["step"] == ""]
    lacking: dict[str, int] = read_json(steps / "summary.json")["collect"]
    collect = dict(sorted(lacking.items(), key=lambda item: -item[1]))
    write_csv(out / KEEP, kept.drop(columns="step"))
    write_csv(out / LEAVE_OUT, clips[clips["step"] != ""].rename(columns={"step": "reason"}))
    write_csv(out / COLLECT, pd.DataFrame(collect.items(), columns=["clips", "more"]))
    _draw(steps, out / MAPS)
    return _sentences(read_json(steps / "summary.json")["rounds"], len(clips), len(kept), collect, out)


def _options(request: BalanceRequest) -> dict[str, Any]:
    recipe = get_visual_recipe(request.visual_recipe)
    if not isinstance(recipe, VisualRecipe):
        raise UserError(
            f"--visual-recipe {request.visual_recipe} keeps no pictures; take fps1-middle-64-4s or still-32."
        )
    return {
        "pool": POOL,
        "recipes": {"audio": request.audio_recipe, "visual": request.visual_recipe},
        "shares": {"train": 0.8, "val": 0.1, "test": 0.1},  # of a manifest that is not used
        "recalibration": {"least": request.least, "category_floor": 10, "noise_share": request.noise_share},
        "seed": request.seed,
        "estimators": {
            "folds": request.folds,
            "data": {
                "frames": 1,
                "crop": recipe.size,
                "crop_scale": [0.5, 1.0],
                "crop_ratio": [0.75, 4 / 3],
                "flip": 0.0,
                "same_crop": False,
            },
            "model": {"encoder": "convolutional", "width": 8, "dimension": 64},
            "protocol": {
                "epochs": request.epochs,
                "batch_size": 64,
                "learning_rate": 0.05,
                "momentum": 0.9,
                "weight_decay": 1e-4,
                "decay_every": max(1, 2 * request.epochs // 3),
                "decay_factor": 0.1,
            },
            "rule": {"min_delta": 0.1, "patience": 10, "floor": 5},
        },
    }


def _draw(steps: Path, path: Path) -> None:
    """Maps of all clips, and of those that are kept, by the confidences that were estimated on each."""
    import matplotlib

    from avbalance.reporting.figure_parts import draw_maps, new_figure
    from avbalance.reporting.figure_style import style

    clips = pd.read_parquet(steps / "clips.parquet").dropna(subset="first_u_audio")
    kept = clips[clips["step"] == ""]
    # Each map by the estimates made on its own set, since a smaller set is learnt less well.
    panels = {"all clips": clips[["first_u_audio", "first_u_visual"]], "clips to keep": kept[["u_audio", "u_visual"]]}
    with matplotlib.rc_context(style()):
        figure, (axes,) = new_figure(3.4, columns=2)
        maps = []
        for title, values in panels.items():
            audio, visual = values.to_numpy(np.float64).T
            counts = histogram(audio, visual, _MAP_BINS)
            maps.append((f"{title}, n = {counts.sum()}", counts if counts.sum() else "no clips"))
        draw_maps(figure, axes.tolist(), maps)
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})


def _sentences(
    rounds: list[Mapping[str, Any]], pool: int, kept: int, collect: Mapping[str, int], out: Path
) -> list[str]:
    first, last = rounds[0]["estimated"], rounds[-1]["estimated"]
    wanted = ", ".join(f"{count} {name}" for name, count in collect.items() if count)
    return [
        f"keep {kept} of {pool} clips: {out / KEEP}; the others, with reasons: {out / LEAVE_OUT}",
        f"prefer sound: {100 * first['audio_share']:.0f} % of all clips, {100 * last['audio_share']:.0f} % of the kept",
        f"distance from a flat map (J2, 0 to 1): {first['j2']:.3f} before, {last['j2']:.3f} after: {out / MAPS}",
        f"missing for a flat map of this size, to be collected: {wanted or 'nothing'}: {out / COLLECT}",
    ]
