"""What a training method is: its hooks, its card, the step, and the training loop as methods see it.

Importing this module does not import torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from avbalance.declared import Declared, listed, nearest, read
from avbalance.errors import UserError
from avbalance.own_methods import folders

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from avbalance.models.base import Batch, Model, ModelOutput

Indices = NDArray[np.int64]

Given = Mapping[str, Any] | Declared | None  # options as they are written, or as they were read


@dataclass
class TrainingStep:
    """Where training stands: 0-based `epoch` and `index` of the batch within it, `batches` per epoch.

    `generator`, on the model's device, is fresh for this step and depends on the run's seed, epoch and index only.
    `group`: which of the method's groups of clips the batch is from.
    """

    epoch: int
    index: int
    batches: int
    generator: torch.Generator
    group: str = ""


class NoOptions(Declared):
    """A method without options."""


@dataclass(frozen=True)
class NoOp:
    """Options and model settings with which a method is bit-equal to the run `equals`."""

    options: Mapping[str, Any]
    model: Mapping[str, Any]
    equals: str
    note: str = ""


@dataclass(frozen=True)
class MethodCard:
    """What a reader must know of a method; each field of `options` says where its default comes from.

    `models`, `fusions`: what it can train. `trains`: False for a rule that combines predictions of other runs;
    `predicts`: False for a run made for its artifacts; `fits`: True for a reference fitted in `prepare`; `artifacts`:
    names of the files that it can write, see Method.artifacts.
    """

    name: str
    label: str
    reference: str
    summary: str
    options: type[Declared] = NoOptions
    models: tuple[str, ...] = ("fusion-net",)
    fusions: tuple[str, ...] = ()
    no_op: NoOp | None = None
    deviations: tuple[str, ...] = ()
    trains: bool = True
    predicts: bool = True
    fits: bool = False
    artifacts: tuple[str, ...] = ()


class SeenClips(Protocol):
    """The clips of a data set as a method sees them: ids (N,) and class names; truth per second (N, C, T), if any.

    The truth is there for references alone: a method that is compared must not look at it.
    """

    @property
    def ids(self) -> NDArray[np.str_]: ...
    @property
    def classes(self) -> list[str]: ...
    @property
    def truth(self) -> dict[str, NDArray[np.bool_]]: ...


class SeenBatches(Protocol):
    """Where batches come from, as a method sees it."""

    @property
    def clips(self) -> SeenClips: ...
    @property
    def targets(self) -> Tensor: ...
    def evaluation(self, indices: Indices) -> Iterable[Batch]:
        """Clips in batches, in order and with test-time transforms."""
        ...

    def batch_of(self, indices: Indices, visual_indices: Indices | None = None) -> Batch:
        """Clips as one batch with test-time transforms; with the pictures of other clips, if given."""
        ...


class Losses(Protocol):
    """Mean loss of "logits" and of each modality's scores."""

    @property
    def loss(self) -> dict[str, float]: ...


class Training(Protocol):
    """The training loop as a method sees it."""

    model: Model
    parts: dict[str, Indices]
    seed: int
    needs: dict[str, Any]
    facts: dict[str, Any]

    @property
    def source(self) -> SeenBatches: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def epochs(self) -> int: ...
    def outputs(self, indices: Indices) -> Iterable[tuple[Batch, ModelOutput]]:
        """Batches of clips and the model's outputs, in eval mode and with test-time transforms."""
        ...

    def evaluate(self, split: str) -> Losses:
        """Evaluate on "train", "val", "estimation" or "train-sample" in eval mode, test-time transforms."""
        ...

    def clone(self, method: Method) -> Training:
        """A trainer of a deep copy of the model: fresh optimiser state, current learning rate."""
        ...

    def fit_epochs(self, n: int, first_epoch: int, stream: str, schedule: bool) -> None:
        """Train `n` epochs on the random stream `stream`, with or without learning-rate schedule."""
        ...


class EpochMeans:
    """Means over the batches of an epoch; the sums, float64, stay on the device, so that nothing waits for it."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sums: Tensor | None = None
        self.batches = 0

    def add(self, names: Sequence[str], values: Tensor) -> None:
        """Count a batch's `values (K,)` in, which are detached here."""
        # Sums over thousands of batches: float32 would lose the last digits of the mean.
        here = values.detach().double()
        self.names, self.batches = list(names), self.batches + 1
        self.sums = here if self.sums is None else self.sums.to(here.device) + here

    def close(self) -> dict[str, float]:
        """The means since the last call, by name."""
        means = [] if self.sums is None else (self.sums / self.batches).tolist()
        self.sums, self.batches = None, 0
        return dict(zip(self.names, means, strict=False))  # before the first batch there are none

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


class Method:
    """Hooks that the training loop calls, all optional. Subclasses set `card` and override what they need.

    `means` go into the history's row of an epoch. `kept` names the attributes that a resumed run needs: tensors,
    numbers, strings, lists and dicts of them, and what has a state_dict of its own.
    """

    card: ClassVar[MethodCard]
    kept: ClassVar[tuple[str, ...]] = ("means",)
    options: Any

    def __init__(self, options: Given = None) -> None:
        """Take up the options; raises UserError on one that does not exist, and for a wrong value."""
        self.options = read(self.card.options, {} if options is None else options, f"method {self.card.name}")
        self.means = EpochMeans()

    @property
    def name(self) -> str:
        return self.card.name

    def needed(self, trainer: Training, need: str, file: str) -> Any:
        """Content of a file of another run; raises UserError where the run sheet gives none under the name `need`."""
        if need not in trainer.needs:
            raise UserError(
                f"method {self.name} reads {file}; name the run that makes it in the run's needs, as {need}."
            )
        return trainer.needs[need]

    def load_weights(self, model: Model, weights: Any, need: str) -> None:
        """Put the weights of the need into a network; raises UserError when they are another network's."""
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise UserError(
                f"method {self.name}: {need} is another network's; give both runs the same model settings."
            ) from error

    def prepare(self, trainer: Training) -> None:
        """Called once before training, and again after a resume."""

    def epoch_start(self, trainer: Training, epoch: int) -> None:
        """Called before the batches of a 0-based epoch."""

    def clip_groups(self, indices: Indices) -> Mapping[str, Indices]:
        """The training clips of an epoch by name of a group; a batch has clips of one group, and groups take turns.

        Must be the same when an epoch is resumed. By default all clips are one group.
        """
        return {"": indices}

    def turns(self, model: Model, batch: Batch, step: TrainingStep) -> Sequence[Batch]:
        """The batches that are trained on for one batch, each with a loss and an optimiser step of its own, in turn.

        Each has the clips of the batch, in order. By default one turn, with the batch that `batch` returns.
        """
        return (self.batch(model, batch, step),)

    def batch(self, model: Model, batch: Batch, step: TrainingStep) -> Batch:
        """The batch to train on."""
        return batch

    def loss(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> Tensor:
        """The scalar loss; by default the mean cross-entropy of the prediction logits."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(output.logits, batch.label)

    def gradients(self, model: Model, output: ModelOutput, batch: Batch, step: TrainingStep) -> None:
        """Called after backward and before the optimiser's step; may change gradients in place."""

    def after_step(self, model: Model, step: TrainingStep) -> None:
        """Called after the optimiser's step."""

    def epoch_end(self, trainer: Training, epoch: int, log: dict[str, Any]) -> None:
        """Called after the batches of an epoch; may add columns to the history's row."""
        log |= self.means.close()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        known = {name: getattr(self, name) for name in self.kept}
        return {name: each.state_dict() if hasattr(each, "state_dict") else each for name, each in known.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` returned."""
        for name, value in state.items():
            own = getattr(self, name)
            if hasattr(own, "load_state_dict"):
                own.load_state_dict(value)
            else:
                # Tensors come back on the CPU; methods move them where they use them.
                setattr(self, name, value)

    def artifacts(self) -> dict[str, Any]:
        """Files to be written beside the predictions: name to JSON-able content."""
        return {}


def names() -> list[str]:
    """Names of all methods on disk, sorted, those of a user's own among them."""
    # By file names, not by imports: listing methods must not import torch.
    modules = {path.stem for folder in (Path(__file__).parent, *folders()) for path in folder.glob("[a-z]*.py")}
    return sorted(module.replace("_", "-") for module in modules if module != "base")


def load(name: str, where: str = "") -> type[Method]:
    """The METHOD class of the method `name`: `ogm-ge` lives in `avbalance.methods.ogm_ge`, a new file is a new method.

    Raises UserError, which begins with `where`, when there is none.
    """
    known = names()
    if name not in known:
        raise UserError(
            f"{where and f'{where}: '}no method named {name!r}{nearest(str(name), known)}; there are {listed(known)}."
        )
    return importlib.import_module(f"avbalance.methods.{name.replace('-', '_')}").METHOD
