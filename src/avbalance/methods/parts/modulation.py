"""Dynamic gradient modulation as a part of methods: when it acts, on which parameters, and what it logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from avbalance.analysis.dgm import MEASURES, NOISES, coefficients, imbalance, modulate_groups, scale_update
from avbalance.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from avbalance.methods.base import Step
    from avbalance.models.base import Model

MODALITIES = ("audio", "visual")
APPLIES = ("grad", "update")
COLUMNS = ("omega_va", "mu_a", "mu_v", "share_visual_damped")

OPTIONS: dict[str, tuple[Any, str]] = {
    "dgm": (False, "Fu, Gao and Xu, section III: damp the gradients of the leading modality"),
    "measure": ("fusion", "Fu, Gao and Xu, Eq. 6; or score, or discrepancy alone (their Table V)"),
    "gamma": (0.1, "Fu, Gao and Xu, Table VI: the best of 0.1 to 0.9 on LLP"),
    "noise": (
        "added",
        "decision on Fu, Gao and Xu, Eq. 9: mu g + N(0, sd^2), as in OGM-GE; literal: g + N(0, (mu^2 + 1) sd^2); none",
    ),
    "apply": ("grad", "Fu, Gao and Xu, Eq. 8; update is ours: the optimiser's step is scaled, not the gradient"),
    "start_epoch": (0, "decision, nothing is stated: from the first epoch on; 0-based, included"),
    "end_epoch": (None, "decision, nothing is stated: to the end; 0-based, included"),
}
OFF: dict[str, Any] = {"dgm": True, "gamma": 0.0, "noise": "none"}  # modulates by 1 everywhere


class Modulation:
    """Modulate the gradients of two groups of parameters by the imbalance of a mini-batch.

    Measures and logs in every step; modulates from `start_epoch` to `end_epoch`. With `dgm: false` it does nothing.
    Where `apply` is "update" the gradient keeps its size, gets its noise, and the optimiser's step is scaled instead:
    Adam divides by the running size of the gradient and so nearly cancels a slowly varying coefficient.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Take the options named in OPTIONS out of a method's; raises UserError for a value out of range."""
        self.options = {name: options[name] for name in OPTIONS}
        first, last = self.options["start_epoch"], self.options["end_epoch"]
        self._require("dgm", self.options["dgm"] in (True, False), "true or false")
        self._require("measure", self.options["measure"] in MEASURES, f"one of {', '.join(MEASURES)}")
        self._require("gamma", self.options["gamma"] >= 0, "at least 0")
        self._require("noise", self.options["noise"] in NOISES, f"one of {', '.join(NOISES)}")
        self._require("apply", self.options["apply"] in APPLIES, " or ".join(APPLIES))
        self._require("start_epoch", first >= 0, "at least 0")
        self._require("end_epoch", last is None or last >= first, "null or at least start_epoch")
        if (self.options["noise"], self.options["apply"]) == ("literal", "update"):
            raise UserError(
                "gradient modulation: noise literal scales no gradient, so that apply: update has nothing to move; "
                "use noise added or none."
            )
        self._sums = dict.fromkeys(COLUMNS, 0.0)
        self._steps = 0
        self._kept: list[tuple[Sequence[nn.Parameter], list[Tensor], float]] = []

    def _require(self, option: str, valid: bool, rule: str) -> None:
        if not valid:
            raise UserError(f"gradient modulation: option {option} is {self.options[option]!r}; it must be {rule}.")

    def active(self, epoch: int) -> bool:
        """Whether gradients are modulated in this 0-based epoch."""
        last = self.options["end_epoch"]
        return bool(self.options["dgm"]) and self.options["start_epoch"] <= epoch and (last is None or epoch <= last)

    def gradients(
        self,
        model: Model,
        scores_a: Tensor,
        scores_v: Tensor,
        label: Tensor,
        groups: Mapping[str, Sequence[nn.Parameter]] | None,
        step: Step,
    ) -> None:
        """Measure, and modulate in place; to be called between backward and the optimiser's step.

        scores `(N, C)` in (0, 1), detached here; label `(N, C)`: the clean labels, never refined or smoothed ones.
        groups: modality -> parameters; None takes the model's own groups. Noise is drawn from the step's generator
        alone, audio first. Waits for the device once. Raises UserError when a group has no gradient.
        """
        if not self.options["dgm"]:
            return
        omega = imbalance(scores_a.detach(), scores_v.detach(), label, self.options["measure"])
        active = self.active(step.epoch)
        mu_a, mu_v = coefficients(omega, self.options["gamma"]) if active else (1.0, 1.0)
        if active:
            groups = {name: model.group(name) for name in MODALITIES} if groups is None else groups
            self._modulate(groups, {"audio": mu_a, "visual": mu_v}, step.generator)
        for column, value in zip(COLUMNS, (omega, mu_a, mu_v, float(mu_v < 1)), strict=True):
            self._sums[column] += value
        self._steps += 1

    def _modulate(
        self, groups: Mapping[str, Sequence[nn.Parameter]], mu: Mapping[str, float], generator: torch.Generator
    ) -> None:
        scaled = mu
        if self.options["apply"] == "update":
            scaled = dict.fromkeys(mu, 1.0)
            self._kept = [
                (parameters, [parameter.detach().clone() for parameter in parameters], mu[modality])
                for modality, parameters in groups.items()
                if mu[modality] < 1
            ]
        modulate_groups(groups, scaled, self.options["noise"], generator)

    def after_step(self) -> None:
        """Scale the optimiser's step where `apply` is "update"; to be called after that step."""
        for parameters, before, mu in self._kept:
            scale_update(parameters, before, mu)
        self._kept = []

    def epoch_end(self, log: dict[str, Any]) -> None:
        """Add the means over the epoch's batches to the log: omega, the coefficients applied, the share below 1."""
        if self.options["dgm"] and self._steps:
            log |= {column: total / self._steps for column, total in self._sums.items()}
        self._sums, self._steps = dict.fromkeys(COLUMNS, 0.0), 0

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of the unfinished epoch; noise needs no state, its generator belongs to the step."""
        return {"sums": dict(self._sums), "steps": self._steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the sums of the unfinished epoch."""
        self._sums, self._steps = dict(state["sums"]), state["steps"]
