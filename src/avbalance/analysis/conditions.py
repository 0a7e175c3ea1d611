"""Withholding a modality at test time: what stands in for it, and where (modality-relevance, sections 3.3 and 4).

The stand-ins of the paper are silence, a black video and Gaussian noise; "mean" and "shuffled" are controls of ours,
since silence and black frames are unlike anything in training. A stand-in enters at the "input", in place of what the
network reads, or at the "fusion", in place of what its sub-network makes of it. The late-fusion model is tested at the
fusion, as the paper says; the distilled student (decision) at the input.

Pure functions on tensors whose first axis is clips. Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from avbalance.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LEVELS = ("input", "fusion")
SILENCES = ("zero_tensor", "zero_waveform")
ZERO_WAVEFORM_DB = -100.0  # every cell of a zero waveform's log-mel, 10 log10(1e-10)


@dataclass(frozen=True)
class Condition:
    """A way to test a model: which modality is withheld, if any, what stands in, and the label of its row."""

    name: str
    label: str
    modality: str | None = None
    stand_in: str = ""


_ALL = (
    Condition("both", "AV Model"),
    Condition("gaussian-audio", "Gaussian Audio", "audio", "gaussian"),
    Condition("gaussian-video", "Gaussian Video", "visual", "gaussian"),
    Condition("silent-audio", "Silent Audio", "audio", "silent"),
    Condition("black-video", "Black Video", "visual", "black"),
    Condition("mean-audio", "Mean Audio", "audio", "mean"),
    Condition("mean-video", "Mean Video", "visual", "mean"),
    Condition("shuffled-audio", "Shuffled Audio", "audio", "shuffled"),
    Condition("shuffled-video", "Shuffled Video", "visual", "shuffled"),
)
CONDITIONS: Mapping[str, Condition] = {condition.name: condition for condition in _ALL}
_PROBES = (  # what else a finished model is asked, see training/probe.py, interplay.py and degraded.py
    Condition("probe-audio", "probe of the audio encoder"),
    Condition("probe-visual", "probe of the visual encoder"),
    Condition("given-audio", "pictures of other clips"),
    Condition("given-visual", "sound of other clips"),
    Condition("additive", "without interaction"),
    Condition("noisy-audio", "noisy sound"),
    Condition("noisy-visual", "noisy pictures"),
    Condition("without-audio", "without sound"),
    Condition("without-visual", "without pictures"),
)
PROBES: Mapping[str, Condition] = {condition.name: condition for condition in _PROBES}
PUBLISHED = tuple(condition.name for condition in _ALL[:5])  # in the order of the rows


@dataclass(frozen=True)
class Variant:
    """A condition at one level and with one kind of silence; `name` is what it was asked for by."""

    name: str
    condition: Condition
    level: str
    silence: str


@dataclass(frozen=True)
class StandIns:
    """The constant stand-ins of one level, each a single clip's tensor.

    silent: audio; black: visual, what the extractor makes of black frames, never zeros; mean: by modality, of training.
    """

    silent: Tensor | None = None
    black: Tensor | None = None
    mean: Mapping[str, Tensor] | None = None

    def of(self, condition: Condition) -> Tensor:
        """Return the clip that stands in under a condition; raises UserError when it was not given."""
        mean = (self.mean or {}).get(str(condition.modality))
        clip = {"silent": self.silent, "black": self.black, "mean": mean}.get(condition.stand_in)
        if clip is None:
            raise UserError(f"condition {condition.name}: no {condition.stand_in} {condition.modality} was given.")
        return clip


def find(name: str) -> Condition:
    """The condition of that name; raises UserError when there is none."""
    if name not in CONDITIONS:
        raise UserError(f"no condition named {name!r}; there are {', '.join(CONDITIONS)}.")
    return CONDITIONS[name]


def variant(name: str, level: str, silence: str) -> Variant:
    """The condition of that name at `level` and with `silence`, unless the name says otherwise after an @.

    "silent-audio@fusion" enters at the fusion whatever `level` is, "silent-audio@input+zero_waveform" fixes both.
    Raises UserError for a name that does not exist, and where nothing is withheld.
    """
    plain, _, further = name.partition("@")
    condition = find(plain)
    for word in further.split("+") if further else ():
        if condition.modality is None or word not in (*LEVELS, *SILENCES):
            known = ", ".join((*LEVELS, *SILENCES))
            raise UserError(f"no condition named {name!r}; after @ stands what a missing modality has of {known}.")
        level, silence = (word, silence) if word in LEVELS else (level, word)
    return Variant(name, condition, level, silence)


def replaced(
    modalities: Mapping[str, Tensor],
    condition: Condition,
    stand_ins: StandIns,
    generator: torch.Generator | None = None,
    exchanged: Tensor | None = None,
) -> dict[str, Tensor]:
    """Tensors `(B, ...)` by modality under a condition, all of one level; what is not withheld is kept as it is.

    generator, for "gaussian": on the CPU, of one condition and run, handed on from batch to batch, so that batch size
    does not matter; decision: its stream depends on seed and condition only. exchanged `(B, ...)`, for "shuffled": the
    same modality of the clips that `shuffled_partners` drew for the whole part. Raises UserError when what the
    condition needs is not there.
    """
    kept = dict(modalities)
    name = condition.modality
    if name is None:
        return kept
    if name not in modalities:
        raise UserError(f"condition {condition.name}: the model has no {name} that could be withheld.")
    withheld = modalities[name]
    if condition.stand_in == "gaussian":
        if generator is None:
            raise UserError(f"condition {condition.name}: noise needs a generator; give one.")
        kept[name] = gaussian(withheld, generator)
        return kept
    if condition.stand_in == "shuffled":
        if exchanged is None:
            raise UserError(f"condition {condition.name}: no other clips' {name} was given.")
        others = exchanged.to(withheld)
    else:
        clip = stand_ins.of(condition).to(withheld)
        others = clip[None].expand(len(withheld), *clip.shape)
    if others.shape != withheld.shape:
        raise UserError(
            f"condition {condition.name}: the stand-in has shape {tuple(others.shape)}, the {name} that it replaces "
            f"{tuple(withheld.shape)}; take both from one feature recipe and one level."
        )
    kept[name] = others
    return kept


def gaussian(like: Tensor, generator: torch.Generator) -> Tensor:
    """Noise N(0, 1) of the shape, type and device of `like (B, ...)`, independent per clip and cell.

    Drawn in float32 on the CPU, clip by clip, so that neither batch size nor device matters.
    """
    import torch

    # One draw per clip: torch fills large tensors in another order than small ones, so that a batch's size would count.
    drawn = [torch.randn(like.shape[1:], generator=generator) for _ in range(len(like))]
    return torch.stack(drawn).to(like) if drawn else torch.empty_like(like)


def shuffled_partners(clips: int, generator: torch.Generator) -> Tensor:
    """For each of N clips another one, `(N,)` int64, by a random cycle through all clips of a part.

    Raises UserError for fewer than 2.
    """
    import torch

    if clips < 2:
        raise UserError(f"{clips} clip cannot be shuffled; test on at least two.")
    order = torch.randperm(clips, generator=generator)
    partners = torch.empty_like(order)
    # A cycle through all clips: no clip is its own partner, and each is used exactly once.
    partners[order] = order.roll(1)
    return partners


def silent_audio(shape: tuple[int, ...], silence: str, mean: float, deviation: float) -> Tensor:
    """One clip of silence at the input level: standardised log-mel of `shape`.

    "zero_tensor": all 0 (the paper), the mean of the training part; "zero_waveform", ours: the log-mel of a zero
    waveform, standardised by the `mean` and `deviation` of the training part.
    """
    import torch

    return torch.full(shape, 0.0 if silence == "zero_tensor" else (ZERO_WAVEFORM_DB - mean) / deviation)


def fusion_stand_ins(
    inputs: StandIns, silence: str, encode: Callable[[str, Tensor], Tensor], mean: Mapping[str, Tensor] | None = None
) -> StandIns:
    """The constant stand-ins of the fusion level, from those of the input level.

    `encode(modality, tensor (1, ...))` is the model's sub-network, whose answers they are, but that silence is all 0
    with "zero_tensor". mean: of the fusion's features, since that of the inputs is not encoded to it.
    """
    import torch

    with torch.no_grad():
        silent = None if inputs.silent is None else encode("audio", inputs.silent[None])[0]
        black = None if inputs.black is None else encode("visual", inputs.black[None])[0]
    if silent is not None and silence == "zero_tensor":
        # The paper's silence is a tensor of zeros at the place where it enters, not what the network makes of zeros.
        silent = torch.zeros_like(silent)
    return StandIns(silent, black, mean)


def mean_clip(batches: Iterable[Tensor]) -> Tensor:
    """Mean over the clips of all batches `(B, ...)` as one clip's float32 tensor, summed in float64.

    Raises UserError without a clip.
    """
    import torch

    total, clips = None, 0
    for batch in batches:
        here = batch.detach().double().sum(0)
        total = here if total is None else total + here
        clips += len(batch)
    if total is None or clips == 0:
        raise UserError("no clip to take the mean of; give the clips of the training part.")
    return (total / clips).to(torch.float32)
