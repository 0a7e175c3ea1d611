"""Generated stand-in data: mp4 clips whose informativeness per modality is planted and recorded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.data.sources import generated
from avbalance.data.sources.common import read_options
from avbalance.errors import UserError

if TYPE_CHECKING:
    from avbalance.data.manifest import Manifest
    from avbalance.data.scenes import PlannedClip

SLOW = ("none", "audio", "visual")  # the modality, if any, that is told by what takes long to learn
DEFAULTS: dict[str, Any] = {
    **generated.REQUIRED,
    "flip": False,
    "slow": "none",
    "duration": 4.0,
    "side": 64,
    "fps": 4,
    "rate": 16000,
    "workers": 1,
}


def preflight(spec: Mapping[str, Any]) -> str | None:
    """None: generated data need nothing. Raises UserError on unknown or absent options."""
    _options(spec)
    return None


def inputs(spec: Mapping[str, Any]) -> list[str]:
    """Files that the data set is made from: none."""
    return []


def build(name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
    """As `generated.build`."""
    return generated.build(_GENERATOR, name, spec, out_dir)


def remake(manifest: Manifest, media: Path, workers: int) -> list[str]:
    """As `generated.remake`."""
    return generated.remake(_GENERATOR, manifest, media, workers)


def _plan(options: generated.Options) -> list[PlannedClip]:
    from avbalance.data.scenes import plan_dataset

    law, duration = generated.joint_law(options), float(options["duration"])
    return plan_dataset(int(options["seed"]), options["clips"], options["classes"], duration, law)


def _options(spec: Mapping[str, Any]) -> dict[str, Any]:
    options = read_options(spec, DEFAULTS)
    generated.check_options("synthetic", options)
    if options["slow"] not in SLOW:
        raise UserError(f"data set of kind synthetic: option 'slow' must be one of {', '.join(SLOW)}.")
    if options["slow"] == "visual":
        from avbalance.data.render import SLOW_LOOKS

        if options["classes"] > SLOW_LOOKS:
            raise UserError(
                f"data set of kind synthetic: slow pictures tell at most {SLOW_LOOKS} classes apart, "
                f"and option 'classes' is {options['classes']}; lower it, or set 'slow' to none or audio."
            )
    return options


_GENERATOR = generated.Generator(
    modules=("scenes", "render"),
    options=_options,
    plan=_plan,
    classes=generated.class_names,
    render=generated.render_scene,
    columns=lambda clip, options: generated.scene_columns(clip, generated.class_names(options)),
)
