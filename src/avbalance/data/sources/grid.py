"""GRID: real recordings of spoken sentences, cut to a word or whole, as they are or with planted noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.data.sources import generated
from avbalance.data.sources.common import read_options, required
from avbalance.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from avbalance.data.grid_clips import Cut, GridClip
    from avbalance.data.manifest import Manifest

_LAW = ("discrepancy_beta", "snr_audio_db", "snr_visual_db")
DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(("root", "talkers", "label", "seed", "clips"), required()),
    **dict.fromkeys(_LAW),
    "test_talkers": [],
    "labellings": None,
    "window": "word",
    "seconds": 0.5,
    "region": [0.0, 0.0, 1.0, 1.0],
    "side": 48,
    "fps": 25,
    "rate": 16000,
    "audio_noise": "babble",
    "visual_noise": "blocks",
    "flip": False,
    "workers": 1,
}


def preflight(spec: Mapping[str, Any]) -> str | None:
    """Say that the folder of the corpus is missing; None when it is there. Raises UserError on bad options."""
    return missing_corpus(_options(spec))


def missing_corpus(options: generated.Options) -> str | None:
    """Say that the folder of the corpus is missing, and how to get it; None when it is there."""
    root = Path(options["root"])
    if root.is_dir():
        return None
    return f"{root}: no such folder; type avbalance download grid, or put GRID there (docs/reference/datasets.md)."


def check_region(kind: str, options: generated.Options) -> None:
    """Raise UserError unless the option 'region' is a part of a picture."""
    left, top, right, bottom = options["region"]
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise UserError(f"data set of kind {kind}: option 'region' needs left < right and top < bottom, within 0 to 1.")


def inputs(spec: Mapping[str, Any]) -> list[str]:
    """Files that list the clips: none, the folder is looked through when the data set is built."""
    return []


def build(name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
    """As `generated.build`: clips are cut out of the corpus, degraded by the law of noise, if any, and written.

    The label is the word of the kind `label`; further labellings are by other words of the sentence. The group is the
    talker. Clips without usable recording or timings stay in the manifest with a status and a reason.
    """
    problem = preflight(spec)
    if problem is not None:
        raise UserError(problem)
    return generated.build(_GENERATOR, name, spec, out_dir)


def remake(manifest: Manifest, media: Path, workers: int) -> list[str]:
    """As `generated.remake`."""
    return generated.remake(_GENERATOR, manifest, media, workers)


def _options(spec: Mapping[str, Any]) -> dict[str, Any]:
    options = read_options(spec, DEFAULTS)
    generated.check_pictures("grid", options)
    check_region("grid", options)
    both = sorted(set(options["talkers"]) & set(options["test_talkers"]))
    if both:
        raise UserError(f"data set of kind grid: {both[0]} is in talkers and in test_talkers; leave it out of one.")
    given = [name for name in _LAW if options[name] is not None]
    if given and len(given) < len(_LAW):
        raise UserError(f"data set of kind grid: option {given[0]!r} is given; a law of noise needs {', '.join(_LAW)}.")
    if given:
        generated.check_beta("grid", options, "discrepancy_beta")
        if options["visual_noise"] == "blur" and min(options["snr_visual_db"]) <= 0:
            raise UserError("data set of kind grid: blur needs an 'snr_visual_db' above 0, where nothing is left.")
    return options


def _plan(options: generated.Options) -> list[GridClip]:
    from avbalance.data.grid import read_talkers
    from avbalance.data.grid_clips import plan_clips

    talkers, tested = list(options["talkers"]), list(options["test_talkers"])
    found = read_talkers(options["root"], [*talkers, *tested])
    law = None if options["discrepancy_beta"] is None else generated.joint_law(options)
    parts = [found[name] for name in talkers], [found[name] for name in tested]
    return plan_clips(*parts, options["clips"], options["label"], int(options["seed"]), law)


def _classes(options: generated.Options) -> list[str]:
    from avbalance.data.grid import VOCABULARY

    return list(VOCABULARY[options["label"]])


def _labellings(options: generated.Options) -> dict[str, list[str]]:
    """The further labellings: those that are asked for, else all of whole sentences and none of words."""
    from avbalance.data.grid import KINDS, VOCABULARY

    asked = options["labellings"]
    if asked is None:
        asked = KINDS if options["window"] == "clip" else ()
    return {kind: list(VOCABULARY[kind]) for kind in asked if kind != options["label"]}


def _cut(options: generated.Options) -> Cut:
    from avbalance.data.grid_clips import Cut
    from avbalance.data.recordings import Excerpt

    left, top, right, bottom = options["region"]
    return Cut(
        kind=options["label"] if options["window"] == "word" else None,
        excerpt=Excerpt((left, top, right, bottom), options["side"], options["fps"], options["rate"]),
        **{name: options[name] for name in ("seconds", "audio_noise", "visual_noise")},
    )


def _render(clip: GridClip, options: generated.Options) -> tuple[np.ndarray, np.ndarray]:
    from avbalance.data.grid_clips import make_clip

    return make_clip(clip, _cut(options))


def _columns(clip: GridClip, options: generated.Options) -> dict[str, Any]:
    classes = {"label": (options["label"], _classes(options))}
    classes |= {f"label_{kind}": (kind, words) for kind, words in _labellings(options).items()}
    columns: dict[str, Any] = {name: words[clip.utterance.cls(kind)] for name, (kind, words) in classes.items()}
    if clip.planted is not None:
        columns |= {"planted_audio": clip.planted.audio, "planted_visual": clip.planted.visual}
        columns |= {name: getattr(clip.planted, name) for name in ("snr_audio_db", "snr_visual_db")}
    return {"split": clip.split, "group": clip.utterance.talker, **columns}


def _origin(planned: Sequence[GridClip]) -> list[list[Any]]:
    """What every clip is cut from: its part, the file's size, the times of its words, whose voices are added."""
    sizes = {clip.utterance.path: clip.utterance.path.stat().st_size for clip in planned}
    return [
        [
            clip.id,
            clip.split,
            sizes[clip.utterance.path],
            [[word.start, word.end] for word in clip.utterance.words],
            [each.name for each in (clip.planted.voices if clip.planted else ())],
        ]
        for clip in planned
    ]


def _card(options: generated.Options) -> dict[str, Any]:
    further = _labellings(options)
    return {"labellings": further} if further else {}


_GENERATOR = generated.Generator(
    modules=("grid_clips",),
    options=_options,
    plan=_plan,
    classes=_classes,
    render=_render,
    columns=_columns,
    card=_card,
    origin=_origin,
)
