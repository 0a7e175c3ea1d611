"""What a task is: labels of a batch, what validation measures, what a finished run predicts."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from avbalance.data import DEFAULT_TASK, SEGMENTS
from avbalance.declared import listed, nearest, read
from avbalance.errors import UserError
from avbalance.methods.base import Indices
from avbalance.models.base import Batch, ModelOutput
from avbalance.training.data import Clips
from avbalance.training.data_settings import DataSettings

if TYPE_CHECKING:
    from avbalance.training.loop import Trainer

Outputs = Iterable[tuple[Batch, ModelOutput]]


@dataclass(frozen=True)
class Evaluation:
    """How a model did on `n` clips.

    loss, accuracy (percent): per head, "logits" and each modality that has scores. metrics: what a run can be selected
    by, in percent. true_class (n,): probability of the label, where a clip has one label.
    """

    loss: dict[str, float]
    n: int
    metrics: dict[str, float]
    accuracy: dict[str, float] = field(default_factory=dict)
    true_class: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))


@dataclass(frozen=True)
class Place:
    """Where predictions belong: the part, the state of the model, and which modality is missing ("both": none)."""

    split: str
    checkpoint: str = "selected"
    condition: str = "both"


class Task:
    """One task under the `data` settings of a run; subclasses say what it measures and predicts.

    parts, checkpoints: of which predictions are kept; "best-test" is added where the test part was watched. A module of
    a task ends with `TASK = <its class>`.
    """

    Settings: ClassVar[type[DataSettings]] = DataSettings
    name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    parts: ClassVar[tuple[str, ...]] = ("val", "test")
    checkpoints: ClassVar[tuple[str, ...]] = ("selected", "last")

    def __init__(self, data: DataSettings) -> None:
        self.data = data

    def check(self, clips: Clips, parts: Mapping[str, Indices]) -> None:
        """Raise UserError unless the clips and their parts have what the task needs."""

    def targets(self, clips: Clips) -> Tensor:
        """Labels of all clips on the CPU, first axis clips: what `Batch.label` is taken from."""
        raise NotImplementedError

    def loss(self, output: ModelOutput, label: Tensor) -> Tensor:
        """Mean loss of the prediction alone over the first clips of `output`, as many as there are labels.

        The same for all methods, whatever further terms one minimises; further clips of `output` are a method's own.
        """
        raise NotImplementedError

    def clip_scores(
        self, clips: Clips, indices: Indices, outputs: Outputs, metric: str
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Share (N,), in percent, that each clip has in a metric, by a model and by an answer that looks at nothing.

        The means over the clips are the metric and what guessing scores, which may be one number for all clips.
        """
        raise NotImplementedError

    def evaluate(self, clips: Clips, indices: Indices, outputs: Outputs) -> Evaluation:
        """Evaluate the outputs of a model on the clips at `indices`, in order."""
        raise NotImplementedError

    def conditions(self, trainer: Trainer, split: str, checkpoint: str) -> Iterable[tuple[str, Outputs]]:
        """Under which conditions a part is predicted, and what the trainer's model then makes of it.

        By default "both": no modality is missing.
        """
        yield "both", trainer.outputs(trainer.parts[split])

    def predictions(self, clips: Clips, indices: Indices, place: Place, outputs: Outputs) -> pa.Table:
        """Rows of predictions.parquet, one per clip at `indices`; equal schemas for all places."""
        raise NotImplementedError


def names() -> list[str]:
    """Names of all tasks on disk, sorted."""
    modules = Path(__file__).parent.glob("[a-z]*.py")
    return sorted(module.stem.replace("_", "-") for module in modules if module.stem != "base")


def task_class(name: str, where: str) -> type[Task]:
    """The class of a task; raises UserError, which begins with `where`, when there is none of that name."""
    known = names()
    if name not in known:
        raise UserError(f"{where}, task: is {name!r}{nearest(str(name), known)}; there are {listed(known)}.")
    return importlib.import_module(f"avbalance.training.tasks.{name.replace('-', '_')}").TASK


def load(data: Mapping[str, Any], where: str = "data") -> Task:
    """The task of the `data` settings; raises UserError, which begins with `where`, for what does not exist."""
    task = task_class(data.get("task", DEFAULT_TASK), where)
    return task(read(task.Settings, data, where))


def every_head(output: ModelOutput) -> dict[str, Tensor]:
    """Logits of the prediction, as "logits", and the scores of each modality that has some."""
    return {"logits": output.logits, **output.scores}


def mean_by_head(sums: Mapping[str, Sequence[float]], labels: int, clips: int) -> Evaluation:
    """Evaluation of `clips` clips from the summed loss and the number of right answers of each head to all labels."""
    accuracy = {head: 100.0 * right / labels for head, (_, right) in sums.items()}
    loss = {head: total / labels for head, (total, _) in sums.items()}
    return Evaluation(loss, clips, {"accuracy": accuracy["logits"]}, accuracy)


def lists(values: NDArray[Any]) -> pa.Array:
    """Rows of a matrix (N, K) as lists."""
    offsets = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel()))


def logit_columns(outputs: Outputs, clips: int) -> dict[str, pa.Array]:
    """Columns logits, logits_audio and logits_visual, a list of float32 per clip; null without such a head."""
    heads: dict[str, list[Tensor]] = {}
    for _, output in outputs:
        for head, logits in every_head(output).items():
            heads.setdefault(head, []).append(logits.float().cpu().flatten(1))
    absent = pa.nulls(clips, pa.list_(pa.float32()))
    columns = {"logits": "logits", "logits_audio": "audio", "logits_visual": "visual"}
    return {name: lists(torch.cat(heads[head]).numpy()) if head in heads else absent for name, head in columns.items()}


def described(columns: dict[str, pa.Array], task: str, clips: Clips, **further: str) -> pa.Table:
    """A table of predictions per second whose metadata say what readers must know."""
    card = {"task": task, "classes": clips.classes, "segments": SEGMENTS, **further}
    return pa.table(columns).replace_schema_metadata({b"avbalance": json.dumps(card).encode()})


def common_columns(clips: Clips, indices: Indices, place: Place) -> dict[str, pa.Array]:
    """The columns that predictions of every task have."""
    n = len(indices)
    return {
        "id": pa.array(clips.ids[indices].tolist(), pa.string()),
        "split": pa.array([place.split] * n, pa.string()),
        "condition": pa.array([place.condition] * n, pa.string()),
        "checkpoint": pa.array([place.checkpoint] * n, pa.string()),
    }
