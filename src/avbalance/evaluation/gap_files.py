"""What trainings leave of the modality gap: mixtures.json, gaps.json and fine_tuning.json beside their predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from avbalance.analysis.gap_mixture import Mixture
from avbalance.errors import UserError
from avbalance.evaluation.paper import RunFile
from flowkeeper.files import read_json

MIXTURES, GAPS, FINE_TUNING = "mixtures.json", "gaps.json", "fine_tuning.json"
_Content = TypeVar("_Content")


@dataclass(frozen=True)
class GapFit:
    """One fit: after `epoch` finished epochs; None and the reason where there is no mixture; BICs where any was fitted.

    gap_mean: of the absolute gap; share: of the training clips with w > 0.5.
    """

    epoch: int
    mixture: Mixture | None
    reason: str
    bic_1: float | None
    bic_2: float | None
    gap_mean: float
    share: float

    @property
    def separation(self) -> float:
        """mu_I - mu_B; 0 without a mixture, when no two components could be told apart."""
        return 0.0 if self.mixture is None else self.mixture.mu_I - self.mixture.mu_B


@dataclass(frozen=True)
class Gaps:
    """Scores of the true class of N training clips after each of `epochs`: audio, visual (E, N); ids, labels (N,)."""

    epochs: tuple[int, ...]
    ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    audio: NDArray[np.float64]
    visual: NDArray[np.float64]

    @property
    def signed(self) -> NDArray[np.float64]:
        """Signed gaps (E, N), positive where audio leads."""
        return self.audio - self.visual


def _read(run: RunFile, name: str, what: str, content: Callable[[Any], _Content]) -> _Content:
    """The content of a file beside a run's predictions; raises UserError when it is absent or malformed."""
    path = run.beside(name)
    try:
        return content(read_json(path))
    except (UserError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not a record of {what} ({error}); delete the run's folder and run it again."
        ) from error


def read_mixtures(run: RunFile) -> tuple[int, list[GapFit]]:
    """Epochs of warm-up and all fits in their order; raises UserError when the file is absent, empty or malformed."""
    warm_up, fits = _read(
        run, MIXTURES, "fits", lambda record: (int(record["warm_up_epochs"]), [_fit(fit) for fit in record["fits"]])
    )
    if not fits:
        raise UserError(f"{run.beside(MIXTURES)}: holds no fit; give the run more epochs than its warm-up has.")
    return warm_up, fits


def _fit(entry: Mapping[str, Any]) -> GapFit:
    """A fit as it stands in a file."""
    mixture = entry["mixture"]
    return GapFit(
        epoch=int(entry["epoch"]),
        mixture=None if mixture is None else Mixture(**mixture),
        reason=str(entry["reason"]),
        bic_1=entry["bic_1"],
        bic_2=entry["bic_2"],
        gap_mean=float(entry["gap_mean"]),
        share=float(entry["share_imbalanced"]),
    )


def read_gaps(run: RunFile) -> Gaps:
    """The scores of a run's training clips; raises UserError when the file is absent, empty or malformed."""
    return _read(run, GAPS, "gaps", _gaps)


def _gaps(record: Mapping[str, Any]) -> Gaps:
    shape = len(record["epochs"]), len(record["ids"])
    labels = np.array(record["labels"], dtype=np.int64)
    if not all(shape) or labels.shape != shape[1:]:
        raise ValueError("it holds no clips")
    scores = {side: np.array(record[side], dtype=np.float64).reshape(shape) for side in ("audio", "visual")}
    return Gaps(tuple(map(int, record["epochs"])), np.array(record["ids"], dtype=str), labels, **scores)


def read_fine_tuning(run: RunFile) -> dict[str, Any]:
    """What a fine-tuning run says of its clips; raises UserError when the file is absent or malformed.

    Keys: subset, kept (clips trained on), samples (all training clips), high_quality, retention (class -> share of its
    clips that is trained on, None without any).
    """
    keys = ("subset", "kept", "samples", "high_quality", "retention")
    return _read(run, FINE_TUNING, "fine-tuning", lambda record: {key: record[key] for key in keys})
