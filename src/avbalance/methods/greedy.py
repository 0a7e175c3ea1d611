"""Greedy: guided re-balancing by the conditional learning speed (Wu et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import get_total_norm

from avbalance.declared import Declared, Size, Weight
from avbalance.errors import UserError
from avbalance.methods.base import Given, Method, MethodCard, NoOp, TrainingStep
from avbalance.methods.branch_losses import branch_loss
from avbalance.models.base import MODALITIES, Batch, Model, ModelOutput


class GreedyOptions(Declared):
    """Options of greedy."""

    threshold: Weight = 0.01
    """Wu et al. 2022, reference code: |d_speed| above it opens a window"""
    window: Size = 5
    """Wu et al. 2022, reference code: curated steps per window"""
    start_epoch: int = 2
    """Wu et al. 2022, reference code: epochs count from 1, earlier ones are regular"""
    guide: Literal["guided", "random", "none"] = "guided"
    """guided, random (a control of Wu et al. 2022) or none (only logs the speeds)"""
    losses: Literal["branches", "joint"] = "branches"
    """branches (Wu et al. 2022), or joint: one cross-entropy of the prediction logits"""


def relative_gradient(parameters: Sequence[nn.Parameter]) -> float:
    """`mu(theta; t) = ||grad||^2 / ||theta||^2`, sums over all tensors before dividing; a missing gradient counts as 0.

    Wu et al. 2022, definition of the conditional learning speed; reference code.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return 0.0
    # Norms of the whole set come before the division: a mean of every tensor's own ratio would be another measure.
    return (get_total_norm(gradients) / get_total_norm([parameter.detach() for parameter in parameters])).item() ** 2


def learning_speed(bypass: float, main: float) -> float:
    """`s_m = log10(M'_m / M_m)` of the accumulated relative gradients of bypass and main branch; 0 while either is 0.

    The paper writes log; base 10 is the reference code's and matters, because the threshold is absolute.
    """
    return math.log10(bypass / main) if bypass > 0 and main > 0 else 0.0


@dataclass(frozen=True)
class Curation:
    """Whether the next forward is curated, for which modality, and how many curated steps are behind it."""

    active: bool = False
    cared: str = "audio"
    counter: int = 0

    @property
    def modality(self) -> str | None:
        """The modality cared for in the next forward, None when it is regular."""
        return self.cared if self.active else None


def next_curation(curation: Curation, difference: float, epoch: int, options: GreedyOptions) -> Curation:
    """The state for the next forward; `epoch` counts from 1, as `start_epoch` does (Wu et al. 2022, algorithm 1).

    From the start epoch on a regular step with `|d_speed| > threshold` opens a window of exactly `window` curated
    steps, for visual when d_speed < 0, else for audio. At least one regular step lies between two windows.
    """
    if curation.active:
        # While a window lasts, speeds are not looked at: exactly `window` steps follow one trigger.
        counter = curation.counter + 1
        return replace(curation, counter=counter, active=counter < options.window)
    if epoch < options.start_epoch or abs(difference) <= options.threshold:
        return curation
    return Curation(active=True, cared="visual" if difference < 0 else "audio", counter=0)


def random_curation(generator: torch.Generator) -> str | None:
    """Draw regular (None), audio or visual with probability 1/3 each: the random control of the paper."""
    # From the step's generator, not the process's: a resumed run draws the same.
    draw = int(torch.randint(3, (), generator=generator, device=generator.device))
    return (None, *MODALITIES)[draw]


@dataclass
class Speeds:
    """Accumulated relative gradients of bypass and main branch per modality; never reset."""

    bypass: dict[str, float] = field(default_factory=lambda: dict.fromkeys(MODALITIES, 0.0))
    main: dict[str, float] = field(default_factory=lambda: dict.fromkeys(MODALITIES, 0.0))

    def accumulate(self, model: Any) -> None:
        """Add the relative gradients of the current step."""
        for modality in MODALITIES:
            self.bypass[modality] += relative_gradient(model.bypass(modality))
            self.main[modality] += relative_gradient(model.main(modality))

    def of(self, modality: str) -> float:
        """The conditional learning speed s_m."""
        return learning_speed(self.bypass[modality], self.main[modality])

    @property
    def difference(self) -> float:
        """`d_speed = s_audio - s_visual`."""
        return self.of("audio") - self.of("visual")


class Greedy(Method):
    """Watch which branch learns faster from the other; let the neglected one train on its own for a while.

    A curated forward replaces the cared modality's gates by their running mean.

    Equation: `d_speed = s_audio - s_visual`, `s_m = log10(sum_t mu(bypass_m) / sum_t mu(main_m))`, `mu(theta) =
    ||grad||^2 / ||theta||^2`; a window of curated steps opens where `|d_speed| > threshold`.
    """

    card = MethodCard(
        name="greedy",
        label="Greedy",
        reference="Wu et al., ICML 2022, arXiv 2202.05306",
        summary="Guided re-balancing by the difference of the branches' conditional learning speeds.",
        options=GreedyOptions,
        models=("mmtm-net",),
        no_op=NoOp({"threshold": 1e9}, {}, "branch-losses", "no window ever opens"),
        deviations=(
            "Audio and visual branches, MMTM after stages 2 to 4; visual maps are squeezed over frames too.",
            "Running mean gates use a modality's own gates, training forwards only; the reference code feeds "
            "those of the second modality with the first one's and updates them in evaluation as well.",
            "Optimised with the recipe of the other methods, so that the comparison is of methods.",
        ),
    )

    options: GreedyOptions

    def __init__(self, options: Given = None) -> None:
        super().__init__(options)
        self.speeds = Speeds()
        self.curation = Curation()
        self._curated = dict.fromkeys(MODALITIES, 0)

    def batch(self, model: Any, batch: Batch, step: TrainingStep) -> Batch:
        """Tell the model whose gates to replace in this forward; raises UserError without MMTM blocks."""
        if not hasattr(model, "cared"):
            raise UserError("method greedy: the model has no MMTM blocks to curate; use mmtm-net.")
        if self.options.guide == "random":
            # Epochs of the loop count from 0, those of the reference code from 1.
            cared = random_curation(step.generator) if step.epoch + 1 >= self.options.start_epoch else None
            self.curation = Curation(active=cared is not None, cared=cared or "audio")
        model.cared = self.curation.modality
        if model.cared is not None:
            self._curated[model.cared] += 1
        return batch

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The sum of the branches' cross-entropies, or with `losses: joint` that of the prediction."""
        if self.options.losses == "joint":
            return cross_entropy(output.logits, batch.label)
        return branch_loss(output.scores, batch.label)

    def gradients(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> None:
        """Measure the speeds, unless this step was curated, and decide about the next forward."""
        # The gates of a curated step are averages: its gradients say nothing of how fast the branches learn from each
        # other.
        if not self.curation.active:
            self.speeds.accumulate(model)
        if self.options.guide == "guided":
            self.curation = next_curation(self.curation, self.speeds.difference, step.epoch + 1, self.options)

    def epoch_end(self, trainer: Any, epoch: int, log: dict[str, Any]) -> None:
        """Log the conditional learning speeds, their difference and the epoch's curated steps."""
        for modality in MODALITIES:
            log[f"speed_{modality}"] = self.speeds.of(modality)
            log[f"curated_{modality}"] = self._curated[modality]
        log["speed_difference"] = self.speeds.difference
        self._curated = dict.fromkeys(MODALITIES, 0)

    def state_dict(self) -> dict[str, Any]:
        return {
            "speeds": asdict(self.speeds),
            "curation": asdict(self.curation),
            "curated": dict(self._curated),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.speeds, self.curation = Speeds(**state["speeds"]), Curation(**state["curation"])
        self._curated = dict(state["curated"])


METHOD = Greedy
