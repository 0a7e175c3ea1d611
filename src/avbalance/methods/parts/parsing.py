"""What the methods of audio-visual video parsing share: objective, measuring heads, modulation, losses in the log.

B or N videos, T segments, C classes, D features. Sources: HAN (Tian et al. 2020, YapengTian/AVVP-ECCV20), MSDU (Fu, Gao
and Xu, Eq. 11).
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from avbalance.declared import Weight
from avbalance.errors import UserError
from avbalance.methods.base import Given, Method, Training, TrainingStep
from avbalance.methods.parts.modulation import Modulation, ModulationOptions
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput
from avbalance.models.parsing import ParsingOutput

PROBABILITY_FLOOR = 1e-7  # 1 less this is still below 1 in float32, so that both logarithms are finite
VISUAL_SMOOTHING = 0.9
HAN_WEIGHTS = (1.0, 1.0, 1.0)  # audio, visual, video
DEVIATIONS = (
    "Gradients are modulated for encoders and, with MSDU, a modality's own heads; the attention layer and shared heads "
    "have gradients of both modalities, the measuring heads must keep tracking the encoder: they are left alone.",
)
COLUMNS = (
    "loss_audio", "loss_visual", "loss_audio_target", "loss_visual_target", "loss_audio_msdu", "loss_visual_msdu",
)  # fmt: skip


class ParsingOptions(ModulationOptions):
    """Options of all methods with HAN's objective."""

    lambda_ms: Weight = 1.0
    """decision, Fu, Gao and Xu state no loss of the measuring heads: that of the main terms, added with this weight"""


class Pair(NamedTuple):
    """One tensor of audio and one of visual, of the same shape."""

    audio: Tensor
    visual: Tensor


class ParsingTerms(NamedTuple):
    """The unweighted parts of the objective, scalars: BCE of p_a, of p_v and of P."""

    audio: Tensor
    visual: Tensor
    video: Tensor

    def total(self, weights: tuple[float, float, float] = HAN_WEIGHTS) -> Tensor:
        """The weighted sum; weights of audio, visual, video."""
        return weights[0] * self.audio + weights[1] * self.visual + weights[2] * self.video


def elementwise_cross_entropy(probability: Tensor, target: Tensor) -> Tensor:
    """`-[y ln p + (1 - y) ln(1 - p)]` for p and y of the same shape, p clamped to [1e-7, 1 - 1e-7].

    The clamp is needed: a pooled P may exceed 1. No gradient flows where it acts.
    """
    # P sums over time and modality with weights that need not add up to 1, hence may exceed 1.
    known = probability.clamp(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return -(target * known.log() + (1 - target) * (1 - known).log())


def binary_cross_entropy(probability: Tensor, target: Tensor) -> Tensor:
    """Mean over all entries of the clamped cross-entropy; two tensors of one shape to a scalar."""
    return elementwise_cross_entropy(probability, target).mean()


def smoothed(label: Tensor, smoothing: float) -> Tensor:
    """`s y + (1 - s) / 2`, same shape: 0.9 turns 1 into 0.95 and 0 into 0.05, 1 changes nothing."""
    return smoothing * label + (1 - smoothing) / 2


def targets(label: Tensor) -> Pair:
    """HAN's targets of both modalities for video labels `(B, C)`: audio as it is, visual smoothed by 0.9."""
    return Pair(label, smoothed(label, VISUAL_SMOOTHING))


def removed(target: Pair, gone: Pair) -> Pair:
    """The targets `(B, C)` with the entries `gone` (boolean) set to 0 exactly, smoothing notwithstanding."""
    # After smoothing, not before: a label that is taken away is 0 in the reference code, not 0.05.
    return Pair(target.audio.masked_fill(gone.audio, 0), target.visual.masked_fill(gone.visual, 0))


def parsing_terms(P: Tensor, p_a: Tensor, p_v: Tensor, label: Tensor, target: Pair) -> ParsingTerms:
    """Cross-entropies of p_a and p_v with their targets and of P with the label, never refined; all `(B, C)`."""
    return ParsingTerms(
        binary_cross_entropy(p_a, target.audio),
        binary_cross_entropy(p_v, target.visual),
        binary_cross_entropy(P, label),
    )


def measuring_loss(s_a: Tensor, s_v: Tensor, target: Pair, weights: tuple[float, float, float]) -> Tensor:
    """Objective of the measuring heads, scores `(B, C)`: as the main terms of audio and visual, with their weights.

    Decision: Fu, Gao and Xu state none; with Eq. 1 alone these heads would stay as they were initialised.
    """
    audio, visual = binary_cross_entropy(s_a, target.audio), binary_cross_entropy(s_v, target.visual)
    return weights[0] * audio + weights[1] * visual


def segment_similarity(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Cosine of every two segments of one video over a temperature: features `(B, T, D)` to `(B, T, T)`."""
    return normalize(first, dim=-1) @ normalize(second, dim=-1).transpose(1, 2) / temperature


def segment_targets(similarity: Tensor, smoothing: float) -> Tensor:
    """`(T, T)`: `1 - smoothing` on the diagonal, the rest shared by the others of a row; similarity `(B, T, T)`."""
    segments = similarity.shape[-1]
    # 0.1 is spread over the nine other seconds: a target of 0.9 and nine of 0.1 / 9 sum to 1.
    rest = smoothing / (segments - 1)
    here = torch.eye(segments, dtype=similarity.dtype, device=similarity.device)
    return rest + (1 - smoothing - rest) * here


class WatchedMethod(Method):
    """Base of all methods of parsing: logs the modalities' mean losses of an epoch; `loss` calls `watch`."""

    def watch(self, output: ParsingOutput, label: Tensor, target: Pair) -> None:
        """Log the batch's losses: of p_a, p_v and MSDU's scores against the labels, of p_a, p_v against the targets."""
        known, wanted = [output.p_a, output.p_v] * 2, [label, label, *target]
        if output.s_a is not None and output.s_v is not None:
            known, wanted = [*known, output.s_a, output.s_v], [*wanted, label, label]
        with torch.no_grad():
            losses = elementwise_cross_entropy(torch.stack(known), torch.stack(wanted)).double().mean((1, 2))
        self.means.add(COLUMNS[: len(losses)], losses)


class ParsingMethod(WatchedMethod):
    """Base of methods that train a parsing network with HAN's objective, whose gradients can be modulated.

    Subclasses override `weights`, `targets` and `objective`.
    """

    kept: ClassVar[tuple[str, ...]] = ("means", "modulation")
    options: ParsingOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.modulation = Modulation(self.options)

    @property
    def weights(self) -> tuple[float, float, float]:
        """Weights of the terms of audio, visual and video; by default HAN's."""
        return HAN_WEIGHTS

    def targets(self, model: Model, output: ParsingOutput, batch: Batch, step: TrainingStep) -> Pair:
        """The targets `(B, C)` of both modalities; by default HAN's. That of the video is always the label."""
        return targets(batch.label)

    def objective(self, output: ParsingOutput, batch: Batch, target: Pair) -> Tensor:
        """The main objective: the weighted terms, and the model's own regulariser if it has one."""
        terms = parsing_terms(output.P, output.p_a, output.p_v, batch.label, target)
        total = terms.total(self.weights)
        return total if output.auxiliary is None else total + output.auxiliary

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The objective plus, with MSDU, `lambda_ms` times the loss of the measuring heads."""
        parsed, weight = parsing_output(self, output), self.options.lambda_ms
        target = self.targets(model, parsed, batch, step)
        total = self.objective(parsed, batch, target)
        # Without MSDU there are no measuring heads; with it they need a loss of their own, or would never learn.
        if parsed.s_a is not None and parsed.s_v is not None and weight > 0:
            total = total + weight * measuring_loss(parsed.s_a, parsed.s_v, target, self.weights)
        self.watch(parsed, batch.label, target)
        return total

    def gradients(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> None:
        """Modulate by the imbalance of the scores, MSDU's or else p_a and p_v, under the clean labels."""
        # The clean label of the video, not the denoised or smoothed target: Eq. 6 writes Y_n.
        self.modulation.gradients(model, parsing_output(self, output).measured, batch.label, None, step)

    def after_step(self, model: Model, step: TrainingStep) -> None:
        self.modulation.after_step()

    def epoch_end(self, trainer: Training, epoch: int, log: dict[str, Any]) -> None:
        super().epoch_end(trainer, epoch, log)
        log |= self.modulation.means.close()


def parsing_output(method: Method, output: ModelOutput) -> ParsingOutput:
    """The output of a parsing network; raises UserError when it is that of another network."""
    if not isinstance(output, ParsingOutput):
        raise UserError(f"method {method.name}: the model parses no videos; use {' or '.join(method.card.models)}.")
    return output


def removed_labels(method: Method, trainer: Training) -> Pair:
    """Boolean `(N, C)`: labels that clip n does not keep in audio and in visual, by the needed file labels.

    Its content: `{"removed": {clip id: {"audio": [class indices], "visual": [...]}}}`. Raises UserError without it, and
    when it speaks of clips or classes that the data set has not.
    """
    record = method.needed(trainer, "labels", "labels.json (none with labels: plain)")
    rows = {str(name): row for row, name in enumerate(trainer.source.clips.ids)}
    classes = len(trainer.source.clips.classes)
    gone = {modality: torch.zeros(len(rows), classes, dtype=torch.bool) for modality in MODALITIES}
    for name, lost in record["removed"].items():
        for modality in MODALITIES:
            indices = lost.get(modality, [])
            if name not in rows or not all(0 <= index < classes for index in indices):
                raise UserError(
                    f"the needed file labels speaks of clip {name} and classes {indices}, which this data set does not "
                    "have; let the run sheet take it from a run on the same data set."
                )
            gone[modality][rows[name], indices] = True
    return Pair(*(gone[modality].to(trainer.device) for modality in MODALITIES))


def refined(label: Tensor, gone: Pair, index: Tensor) -> Pair:
    """Both modalities' labels of a batch: label `(B, C)` less what `gone (N, C)` says of the clips `index`."""
    audio, visual = (label * ~lost[index] for lost in gone)
    return Pair(audio, visual)
