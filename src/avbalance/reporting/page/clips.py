"""Single clips of a user's own folder to see and hear on the page: a small picture and some seconds of sound of each.

They are part of the page itself (data URIs), few and small, and are made from the user's files when the page is made;
where these are gone, the page has their names alone.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from avbalance.data.manifest import read_manifest
from avbalance.errors import LostClip
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.rows import ESTIMATED
from avbalance.features.clip import ClipJob, extract_clip
from avbalance.features.decode import decode_file
from avbalance.features.image_files import holds_pictures
from avbalance.features.recipes import USABLE, get_audio_recipe, get_visual_recipe
from flowkeeper.files import read_json

EACH = 6  # clips shown of each list
SECONDS, SIDE = 6, 96  # of a clip that are heard; pixels of its picture's longer side
MOST_CHARACTERS = 950_000  # of all pictures and sounds of a page
# Enough to recognise what is heard, at about 18 kB for six seconds.
_RATE, _BITS = 16_000, 24_000  # samples and bits a second of mono MP3
_SOUND, _STILL = get_audio_recipe(f"logmel64x64-{SECONDS}s"), get_visual_recipe(f"still-{SIDE}")
_MOVING = get_visual_recipe(f"fps2-middle-{SIDE}-{SECONDS}s")
LISTS = {
    "disagree": ("Clips on which sound and pictures disagree most", "Do both show what the label says?"),
    "mislabelled": (
        "Clips that look mislabelled",
        "Both modalities, each by itself, name one class that is not the label.",
    ),
}


def verdict_view(path: str, paper: Paper) -> dict[str, Any]:
    """What the page says of a verdict: verdict.json without its findings, and the clips that are worth a look."""
    verdict = read_json(path)
    manifest = next((info.manifest for info in paper.all_datasets() if info.data == verdict["data"]), None)
    findings, media = verdict.pop("findings"), _Media(manifest)
    relied_on, lists = ESTIMATED not in verdict["withheld"], []
    for name, (title, note) in LISTS.items():
        clips = [{**clip, **media.of(clip["id"])} for clip in findings[name][:EACH] if relied_on]
        if clips:
            lists.append({"title": title, "note": note, "clips": clips})
    return {**verdict, "lists": lists}


class _Media:
    """The media files of a user's own folder, by clip; of other kinds of data sets nothing is shown."""

    def __init__(self, manifest: str | None) -> None:
        self.files: dict[str, tuple[Path, Path]] = {}
        self.left = MOST_CHARACTERS
        known = read_manifest(Path(manifest)) if manifest else None
        if known and manifest and known.card["kind"] == "folder":
            root = known.media_root(manifest)
            usable = known.frame.loc[known.frame["status"] == "ok", ["id", "audio", "visual"]].astype(str)
            self.files = {name: (root / audio, root / visual) for name, audio, visual in usable.to_numpy().tolist()}

    def of(self, clip: str) -> Mapping[str, str]:
        """Data URIs `picture` and `sound` of a clip, "" for what cannot be had."""
        audio, visual = self.files.get(clip, (None, None))
        made = {"picture": picture(visual) if visual else "", "sound": sound(audio) if audio else ""}
        for name, uri in made.items():
            made[name] = uri if len(uri) <= self.left else ""
            self.left -= len(made[name])
        return made


def picture(path: Path) -> str:
    """A small JPEG of the middle of what a clip shows, in its own aspect; "" where nothing can be seen."""
    from PIL import Image

    recipe = _STILL if path.is_file() and holds_pictures(path) else _MOVING
    try:
        seen = extract_clip(ClipJob(None, path), None, recipe)[1]
    except (LostClip, OSError):
        return ""
    if seen is None or seen.array is None:
        return ""
    scale = SIDE / max(seen.width, seen.height, 1)
    size = (max(1, round(seen.width * scale)), max(1, round(seen.height * scale)))
    out = io.BytesIO()
    Image.fromarray(seen.array[max(seen.n_frames - 1, 0) // 2]).resize(size).save(out, "JPEG", quality=80)
    return _uri("image/jpeg", out)


def sound(path: Path) -> str:
    """The first seconds of what a clip sounds like, as mono MP3; "" where nothing can be heard."""
    try:
        heard = decode_file(path, _SOUND, None)[0]
    except OSError:
        return ""
    if heard is None or heard.status not in USABLE or not len(heard.waveform):
        return ""
    return _uri("audio/mpeg", _mp3(heard.waveform[: SECONDS * heard.rate], heard.rate))


def _mp3(waveform: NDArray[np.float32], rate: int) -> io.BytesIO:
    samples = np.rint(np.clip(waveform, -1, 1) * 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate = rate
    out = io.BytesIO()
    # FFmpeg would write its own version into the file, and the page would differ between machines.
    with av.open(out, "w", format="mp3", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libmp3lame", rate=_RATE, bit_rate=_BITS, options={"threads": "1"})
        stream.layout, stream.format = "mono", "s16p"
        resampler = av.AudioResampler("s16p", "mono", _RATE)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return out


def _uri(kind: str, content: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(content.getvalue()).decode()}"
