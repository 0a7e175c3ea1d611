"""What a training method is: its hooks, its card, the step, and the trainer as methods see it.

Neither this module nor the modules of methods import torch when they are imported: planning reads cards
without it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from avbalance.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from avbalance.models.base import Batch, Model, ModelOutput


@dataclass
class Step:
    """Where training stands: 0-based `epoch` and `index` of the batch within it, `batches` per epoch.

    `generator` is fresh for this step, lives on the model's device and depends on the run's seed, epoch and
    index only.
    """

    epoch: int
    index: int
    batches: int
    generator: torch.Generator


@dataclass(frozen=True)
class NoOp:
    """Options and model settings with which a method is bit-equal to the run `equals`."""

    options: Mapping[str, Any]
    model: Mapping[str, Any]
    equals: str
    note: str = ""


@dataclass(frozen=True)
class MethodCard:
    """What a reader must know of a method; `options` maps a name to (default, source sentence).

    `models` and `fusions` name what the method can train. `trains` is False for a rule that combines the
    predictions of other runs; `predicts` is False for a run made only for its artifacts; `fits` is True for a method
    that fits its model in `prepare`, without epochs: a reference, of which nobody asks whether it converged.
    """

    name: str
    label: str
    reference: str
    summary: str
    options: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    models: tuple[str, ...] = ("fusion-net",)
    fusions: tuple[str, ...] = ()
    no_op: NoOp | None = None
    deviations: tuple[str, ...] = ()
    trains: bool = True
    predicts: bool = True
    fits: bool = False


class Evaluation(Protocol):
    """Mean loss and accuracy (percent) of "logits" and each modality's scores on `n` samples; the task's metrics."""

    @property
    def loss(self) -> dict[str, float]: ...
    @property
    def accuracy(self) -> dict[str, float]: ...
    @property
    def metrics(self) -> dict[str, float]: ...
    @property
    def n(self) -> int: ...


class Clips(Protocol):
    """The clips of a data set as a method sees them: ids (N,) and class names; truth per second (N, C, T), if any.

    The truth is there for references alone: a method that is compared must not look at it.
    """

    @property
    def ids(self) -> NDArray[np.str_]: ...
    @property
    def classes(self) -> list[str]: ...
    @property
    def truth(self) -> dict[str, NDArray[np.bool_]]: ...


class Source(Protocol):
    """Where batches come from, as a method sees it."""

    @property
    def clips(self) -> Clips: ...
    @property
    def targets(self) -> Tensor: ...
    def evaluation(self, indices: NDArray[np.int64]) -> Iterable[Batch]:
        """Yield clips in batches, in order and with test-time transforms."""
        ...

    def batch_of(self, indices: NDArray[np.int64], visual_indices: NDArray[np.int64] | None = None) -> Batch:
        """Return clips as one batch with test-time transforms; with the pictures of other clips, if given."""
        ...


class Trainer(Protocol):
    """The training loop as a method sees it."""

    @property
    def model(self) -> Model: ...
    @property
    def source(self) -> Source: ...
    @property
    def parts(self) -> dict[str, NDArray[np.int64]]: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def seed(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def needs(self) -> dict[str, Any]: ...
    @property
    def facts(self) -> dict[str, Any]: ...
    def outputs(self, indices: NDArray[np.int64]) -> Iterable[tuple[Batch, ModelOutput]]:
        """Yield batches of clips and the model's outputs, in eval mode and with test-time transforms."""
        ...

    def evaluate(self, split: str) -> Evaluation:
        """Evaluate on "train", "val", "estimation" or "train-sample" in eval mode, test-time transforms."""
        ...

    def clone(self, method: Method) -> Trainer:
        """Return a trainer of a deep copy of the model: fresh optimiser state, current learning rate."""
        ...

    def fit_epochs(self, n: int, first_epoch: int, stream: str, schedule: bool) -> None:
        """Train `n` epochs on the random stream `stream`, with or without learning-rate schedule."""
        ...


class Method:
    """Hooks that the training loop calls, all optional. Subclasses set `card` and override what they need."""

    card: ClassVar[MethodCard]
    name: ClassVar[str]
    trains: ClassVar[bool]

    def __init_subclass__(cls) -> None:
        if hasattr(cls, "card"):  # what several methods derive from has none
            cls.name, cls.trains = cls.card.name, cls.card.trains

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        """Complete the options from the card; raises UserError on an unknown one."""
        given = dict(options or {})
        unknown = sorted(set(given) - set(self.card.options))
        if unknown:
            known = ", ".join(self.card.options) or "no options"
            raise UserError(f"method {self.name}: unknown option {', '.join(unknown)}; it takes {known}.")
        self.options: dict[str, Any] = {name: default for name, (default, _) in self.card.options.items()} | given

    def require(self, option: str, valid: bool, rule: str) -> None:
        """Raise UserError naming the option and the rule unless `valid`."""
        if not valid:
            raise UserError(f"method {self.name}: option {option} is {self.options[option]!r}; it must be {rule}.")

    def prepare(self, trainer: Trainer) -> None:
        """Called once before training, and again after a resume."""

    def epoch_start(self, trainer: Trainer, epoch: int) -> None:
        """Called before the batches of a 0-based epoch."""

    def batch(self, model: Model, batch: Batch, step: Step) -> Batch:
        """Return the batch to train on."""
        return batch

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: Step) -> Tensor:
        """Return the scalar loss; by default the mean cross-entropy of the prediction logits."""
        return cross_entropy(output.logits, batch.label)

    def gradients(self, model: Model, output: ModelOutput, batch: Batch, step: Step) -> None:
        """Called after backward and before the optimiser's step; may change gradients in place."""

    def after_step(self, model: Model, step: Step) -> None:
        """Called after the optimiser's step."""

    def epoch_end(self, trainer: Trainer, epoch: int, log: dict[str, Any]) -> None:
        """Called after the batches of an epoch; may add columns to the history's row."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs: tensors, numbers, strings, and lists and dicts of them."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the state that `state_dict` returned."""

    def artifacts(self) -> dict[str, Any]:
        """Return files to be written beside the predictions: name to JSON-able content."""
        return {}


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Mean cross-entropy of `logits (B, C)` with `label (B,)`."""
    from torch.nn.functional import cross_entropy as mean_cross_entropy

    return mean_cross_entropy(logits, label)


def names() -> list[str]:
    """Names of all methods on disk, sorted."""
    modules = Path(__file__).parent.glob("[a-z]*.py")
    return sorted(module.stem.replace("_", "-") for module in modules if module.stem != "base")


def load(name: str) -> type[Method]:
    """Return the METHOD class of the module that method `name` lives in; raises UserError when there is none.

    `ogm-ge` lives in `avbalance.methods.ogm_ge`: adding a file adds a method.
    """
    if name not in names():
        raise UserError(f"no method named {name!r}; there are {', '.join(names())}.")
    method: type[Method] = importlib.import_module(f"avbalance.methods.{name.replace('-', '_')}").METHOD
    return method
