"""Real words on a timeline: mp4 clips of ten seconds, spliced from GRID, that record what is heard and seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.data.sources import generated
from avbalance.data.sources.common import read_options, required
from avbalance.data.sources.grid import check_region, missing_corpus
from avbalance.data.sources.synthetic_timeline import BACKGROUND, check_scheme, timeline_columns
from avbalance.errors import UserError
from avbalance.files import digest_json

if TYPE_CHECKING:
    import numpy as np

    from avbalance.data.grid import Utterance
    from avbalance.data.manifest import Manifest
    from avbalance.data.word_timelines import SplicedClip

KIND = "grid-timeline"
DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(("root", "talkers", "scheme", "seed", "clips"), required()),
    **dict.fromkeys(("discrepancy_beta", "snr_audio_db", "snr_visual_db"), required()),
    "flip": False,
    "region": [0.0, 0.0, 1.0, 1.0],
    "side": 32,
    "fps": 4,
    "rate": 16000,
    "workers": 1,
}


def preflight(spec: Mapping[str, Any]) -> str | None:
    """Say that the folder of the corpus is missing; None when it is there. Raises UserError on bad options."""
    return missing_corpus(_options(spec))


def inputs(spec: Mapping[str, Any]) -> list[str]:
    """Files that list the clips: none, the folder is looked through when the data set is built."""
    return []


def build(name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
    """As `generated.build`; the manifest has the columns labels, events_audio and events_visual, in all splits.

    The events of training clips are there for a strongly supervised reference; weakly supervised training reads labels.
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
    generated.check_clips(KIND, options)
    check_scheme(KIND, options)
    check_region(KIND, options)
    return options


def _parts(options: generated.Options) -> dict[str, list[Utterance]]:
    """Part -> its sentences."""
    from avbalance.data.grid import read_talkers
    from avbalance.data.word_timelines import part_sentences

    talkers = read_talkers(options["root"], options["talkers"])
    return part_sentences([each for talker in talkers.values() for each in talker], int(options["seed"]))


def _plan(options: generated.Options) -> list[SplicedClip]:
    from avbalance.data.scenes import plan_timelines
    from avbalance.data.word_timelines import WORDS, splice

    law = generated.joint_law(options)
    planned = plan_timelines(options["scheme"], int(options["seed"]), options["clips"], len(WORDS), law)
    return splice(planned, _parts(options))


def _classes(options: generated.Options) -> list[str]:
    from avbalance.data.word_timelines import WORDS

    return [*WORDS, *([BACKGROUND] if options["scheme"] == "localisation" else [])]


def _render(clip: SplicedClip, options: generated.Options) -> tuple[np.ndarray, np.ndarray]:
    from avbalance.data.recordings import Excerpt
    from avbalance.data.word_timelines import make_clip

    left, top, right, bottom = options["region"]
    excerpt = Excerpt((left, top, right, bottom), int(options["side"]), int(options["fps"]), int(options["rate"]))
    return make_clip(clip, excerpt)


def _card(options: generated.Options) -> dict[str, Any]:
    """Which sentences each part has, by their names, as a digest: rows name none."""
    parts = _parts(options)
    return {"sentences": digest_json({part: [each.name for each in sentences] for part, sentences in parts.items()})}


def _origin(planned: Sequence[SplicedClip]) -> dict[str, Any]:
    """The sentences of every clip, in their order, and of each the file's size and the times of its words."""
    sentences = {clip.id: [*clip.rests, *(each for takes in clip.takes.values() for each in takes)] for clip in planned}
    used = {each.name: each for chosen in sentences.values() for each in chosen}
    return {
        "clips": {clip: [each.name for each in chosen] for clip, chosen in sentences.items()},
        "sentences": {
            name: [each.path.stat().st_size, [[word.start, word.end] for word in each.words]]
            for name, each in used.items()
        },
    }


_GENERATOR = generated.Generator(
    modules=("word_timelines",),
    options=_options,
    plan=_plan,
    classes=_classes,
    render=_render,
    columns=lambda clip, options: timeline_columns(clip, _classes(options)),
    card=_card,
    origin=_origin,
)
