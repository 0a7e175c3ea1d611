"""Gradient-Blending: losses weighted by generalisation over squared overfitting (Wang et al. 2020)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import update_bn

from avbalance.declared import Declared, Size, Weight, refusal
from avbalance.errors import UserError
from avbalance.methods.base import Given, Method, MethodCard, NoOp, Training, TrainingStep
from avbalance.models.base import Batch, Model, ModelOutput

HEADS = ("audio", "visual", "joint")

BatchNorm = Literal["as trained", "re-estimated"]


def _shares(weights: list[float]) -> list[float]:
    if abs(sum(weights) - 1) >= 1e-6:
        raise refusal(f"is {weights}; the three must sum to 1")
    return weights


class SingleHeadOptions(Declared):
    """Options of the copies of Gradient-Blending."""

    head: Literal["audio", "visual", "joint"] = "joint"
    """the head whose loss is minimised"""


class GradientBlendingOptions(Declared):
    """Options of gradient-blending."""

    weights: (
        Literal["online", "offline"]
        | Annotated[list[Weight], Field(min_length=3, max_length=3), AfterValidator(_shares)]
    ) = "online"
    """ours (Xia et al. 2023 do not say); or offline, or numbers for audio, visual and joint head"""
    super_epoch: Size = 10
    """Wang et al. 2020 vary it; 10 gives ten estimates in 100 epochs"""
    batch_norm: BatchNorm = "as trained"
    """Wang et al. 2020 take the model as it is; ours, re-estimated: batch-norm statistics of the training part first"""


def overfitting_and_generalisation(train: tuple[float, float], held_out: tuple[float, float]) -> tuple[float, float]:
    """(Added overfitting dO, added generalisation dG) from mean losses at checkpoints N and N + n.

    `O = L_V - L_T`; `dO = O(N + n) - O(N)`; `dG = L_V(N) - L_V(N + n)`; T train, V held out (Wang et al. 2020, 3.1).
    """
    overfitting = (held_out[1] - train[1]) - (held_out[0] - train[0])
    return overfitting, held_out[0] - held_out[1]


def blending_weights(overfitting: Sequence[float], generalisation: Sequence[float]) -> list[float]:
    """Weights proportional to `dG / dO^2` that sum to 1 (Wang et al. 2020, proposition 1).

    Guards of this repository: a negative dG counts as 0, dO^2 is at least 1e-6; equal weights if no dG is positive.
    """
    # A head that has got worse on held-out clips gets no weight; without a floor a head that does not overfit gets all.
    gains = [max(gain, 0.0) / max(excess**2, 1e-6) for excess, gain in zip(overfitting, generalisation, strict=True)]
    total = sum(gains)
    return [gain / total for gain in gains] if total > 0 else [1 / len(gains)] * len(gains)


def blended_loss(output: ModelOutput, label: Tensor, weights: Sequence[float]) -> Tensor:
    """Weighted sum of the mean cross-entropies of the audio, visual and joint head: a scalar.

    Terms of weight 0 are left out, so that their heads receive no gradient at all, not even a zero one.
    """
    logits = (output.scores.get("audio"), output.scores.get("visual"), output.logits)
    terms = [
        weight * cross_entropy(score, label)
        for weight, score in zip(weights, logits, strict=True)
        # Left out, not multiplied by 0: a zero gradient would still let weight decay and momentum move the head.
        if weight != 0 and score is not None
    ]
    return terms[0] + sum(terms[1:])


class SingleHead(Method):
    """Train with the loss of one head only; for a unimodal head the other modality is not even encoded."""

    card = MethodCard(
        name="single-head",
        label="Single head",
        reference="Wang et al., CVPR 2020, arXiv 1905.12681",
        summary="The copies from which Gradient-Blending estimates its weights.",
        options=SingleHeadOptions,
    )
    options: SingleHeadOptions

    def batch(self, model: Model, batch: Batch, step: TrainingStep) -> Batch:
        """Drop the modality that the head does not use."""
        used = self.options.head
        return replace(
            batch,
            audio=None if used == "visual" else batch.audio,
            visual=None if used == "audio" else batch.visual,
        )

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        return blended_loss(output, batch.label, [float(head == self.options.head) for head in HEADS])


def estimate(
    trainer: Training, epochs: int, first_epoch: int, schedule: bool, batch_norm: BatchNorm = "as trained"
) -> dict[str, Any]:
    """Weights and raw values from one copy of the model per head, trained for `epochs` and discarded.

    Losses are means in eval mode, before and after, on "train-sample" (L_T) and "estimation" (L_V), two fixed sets of
    equal size. batch_norm: see GradientBlendingOptions. Raises UserError without unimodal heads.
    """
    if getattr(trainer.model, "unimodal_heads", None) is None:
        raise UserError("Gradient-Blending needs separate unimodal heads; set the model's unimodal_heads to true.")
    before = _losses(trainer, batch_norm)
    record: dict[str, Any] = {"epoch": first_epoch, "epochs": epochs, "heads": {}}
    for head in HEADS:
        copy = trainer.clone(SingleHead({"head": head}))
        # A stream of each copy's own: the training that follows draws what it would have drawn without the estimate.
        copy.fit_epochs(epochs, first_epoch=first_epoch, stream=f"gradient-blending-{head}", schedule=schedule)
        after = _losses(copy, batch_norm)
        train, held_out = ((before[split][head], after[split][head]) for split in ("train-sample", "estimation"))
        overfitting, generalisation = overfitting_and_generalisation(train, held_out)
        record["heads"][head] = {
            "train_loss": list(train),
            "held_out_loss": list(held_out),
            "added_overfitting": overfitting,
            "added_generalisation": generalisation,
        }
    raw = ([head[f"added_{name}"] for head in record["heads"].values()] for name in ("overfitting", "generalisation"))
    record["weights"] = dict(zip(HEADS, blending_weights(*raw), strict=True))
    return record


@contextmanager
def re_estimated(trainer: Training) -> Iterator[None]:
    """Meanwhile, batch-norm layers have the statistics of the training part under the present weights.

    Those that training leaves lag behind: of a network that has hardly been trained they are its initialisation's.
    """
    model = trainer.model
    # The weights are as they were, but so must the running statistics be: the estimate leaves no trace in the training.
    before = copy.deepcopy(model.state_dict())
    update_bn(trainer.source.evaluation(trainer.parts["train"]), model)
    try:
        yield
    finally:
        model.load_state_dict(before)


def _losses(trainer: Training, batch_norm: BatchNorm) -> dict[str, dict[str, float]]:
    with re_estimated(trainer) if batch_norm == "re-estimated" else nullcontext():
        losses = {split: trainer.evaluate(split).loss for split in ("train-sample", "estimation")}
    return {
        split: {"audio": loss["audio"], "visual": loss["visual"], "joint": loss["logits"]}
        for split, loss in losses.items()
    }


class GradientBlending(Method):
    """Train three heads with blended losses; prediction is the joint head's.

    Online, weights are estimated anew at the start of every super-epoch, at the current learning rate, which the copies
    keep. Offline, they come from a run of gradient-blending-weights.

    Equation: `sum_k w_k CE_k` over the heads k, `w_k` proportional to `dG_k / dO_k^2`; `dG = L_V(N) - L_V(N + n)`, `dO
    = O(N + n) - O(N)`, `O = L_V - L_T` of held-out and training losses (proposition 1).
    """

    card = MethodCard(
        name="gradient-blending",
        label="Grad-Blending",
        reference="Wang et al., CVPR 2020, arXiv 1905.12681",
        summary="Losses of three heads, weighted by generalisation gain over squared overfitting.",
        artifacts=("blending.json",),
        options=GradientBlendingOptions,
        fusions=("concat",),
        no_op=NoOp(
            {"weights": [0, 0, 1]},
            {"unimodal_heads": True},
            "baseline",
            "same predictions and the same encoders and fusion head; the unimodal heads stay as initialised",
        ),
        deviations=(
            "The held-out set is a stratified tenth of the training set, never the test set.",
            "With `batch_norm: as trained` losses of a hardly trained network may lie far above guessing, since "
            "running statistics lag behind the weights.",
            "Negative gains count as 0, squared overfitting is at least 1e-6; equal weights if none gains.",
        ),
    )

    kept = ("weights", "trajectory")
    options: GradientBlendingOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.trajectory: list[dict[str, Any]] = []
        given = self.options.weights
        self.weights: list[float] | None = None if isinstance(given, str) else given

    def prepare(self, trainer: Training) -> None:
        """Read the offline weights; raises UserError when they are not among the needs."""
        if self.options.weights == "offline":
            shares = self.needed(trainer, "weights", "weights.json of gradient-blending-weights")["weights"]
            self.weights = [float(shares[head]) for head in HEADS]

    def epoch_start(self, trainer: Training, epoch: int) -> None:
        """Estimate the weights at the start of a super-epoch, unless a resumed run has them already."""
        length = self.options.super_epoch
        # A run that was killed inside this epoch begins it anew: the copies, three times an epoch's cost, are not made
        # again.
        estimated = bool(self.trajectory) and self.trajectory[-1]["epoch"] == epoch
        if self.options.weights != "online" or epoch % length != 0 or estimated:
            return
        # The last super-epoch may be shorter; its copies are then trained as long as the model itself will be.
        epochs, batch_norm = min(length, trainer.epochs - epoch), self.options.batch_norm
        record = estimate(trainer, epochs, first_epoch=epoch, schedule=False, batch_norm=batch_norm)
        self.trajectory.append(record)
        self.weights = [record["weights"][head] for head in HEADS]

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The blended loss; raises UserError when the model lacks unimodal heads."""
        if getattr(model, "unimodal_heads", None) is None:
            raise UserError("method gradient-blending: set the model's unimodal_heads to true.")
        assert self.weights is not None
        return blended_loss(output, batch.label, self.weights)

    def epoch_end(self, trainer: Training, epoch: int, log: dict[str, Any]) -> None:
        assert self.weights is not None
        log.update({f"weight_{head}": weight for head, weight in zip(HEADS, self.weights, strict=True)})

    def artifacts(self) -> dict[str, Any]:
        return {"blending.json": {"trajectory": self.trajectory}} if self.trajectory else {}


METHOD = GradientBlending
