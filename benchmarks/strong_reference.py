"""How well a strongly supervised model tells each second of the data sets on a timeline.

Call it as `python benchmarks/strong_reference.py [data set ...]`.
The SNR ranges of config/datasets/synthetic-llp.yaml, synthetic-ave.yaml, grid-parsing.yaml and grid-localisation.yaml
and the constants of the small encoders were set by the numbers printed here, before any method was compared. For each
data set the clips are generated and encoded in a temporary folder; then, per modality, a linear model and one with a
hidden layer of 256 units are trained on single seconds of the training part with their truth, and asked about the
seconds of the test part. For parsing the numbers are segment F1, micro (over all cells), macro (mean over classes) and
as the task has it (mean over clips), the latter beside that of no event at all; for localisation, accuracy with the
background as a class, beside that of background alone. Training with the truth of seconds is what weakly supervised
methods must do without: the numbers are a yardstick. Nothing here is a test.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avbalance.analysis.parsing_scores import score_segments
from avbalance.data.build import build_dataset
from avbalance.data.manifest import Manifest, read_manifest
from avbalance.features.extract import extract
from avbalance.features.store import open_store
from avbalance.models.strong_reference import fit_seconds
from avbalance.plan.config import load_dataset

REPOSITORY = Path(__file__).resolve().parents[1]
RECIPES = {
    "synthetic-llp": {"audio": "seconds10-mel128", "visual": "seconds10-conv2560"},
    "synthetic-ave": {"audio": "seconds10-mel128", "visual": "seconds10-grid64"},
    "grid-parsing": {"audio": "seconds10-mel128", "visual": "seconds10-grey2560"},
    "grid-localisation": {"audio": "seconds10-mel128", "visual": "seconds10-greygrid64"},
}
SEEDS = (0, 1, 2)


def cpu_seconds() -> float:
    """CPU time of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def made(name: str, folder: Path) -> tuple[Manifest, dict[str, NDArray[np.float32]]]:
    """The manifest of a data set and its features, modality -> (N, 10, width); prints what both cost."""
    spec = load_dataset(REPOSITORY, {}, name)
    path = folder / "manifest.parquet"
    start = cpu_seconds()
    build_dataset(name, spec, path)
    generated = cpu_seconds()
    stores = extract(path, RECIPES[name], folder / "features")
    print(f"{name}: generated in {generated - start:.0f} CPU-seconds, encoded in {cpu_seconds() - generated:.0f}")
    manifest = read_manifest(path)
    features = {}
    for modality, where in stores.items():
        store = open_store(where)
        rows = store.index.set_index("id").loc[manifest.frame["id"], "row"].to_numpy()
        features[modality] = np.asarray(store.array[rows], dtype=np.float32).reshape(len(rows), 10, -1)
    return manifest, features


def targets(manifest: Manifest, modality: str) -> NDArray[Any]:
    """Truth of every second (N, 10, C): floats; for localisation one-hot whole numbers, the background last."""
    truth: NDArray[Any] = manifest.timeline(f"events_{modality}").transpose(0, 2, 1)
    if manifest.card["options"]["scheme"] != "localisation":
        return truth.astype(np.float32)
    truth[..., -1] = ~truth.any(axis=-1)
    return truth.astype(np.int64)


def outputs(train: Tensor, labels: Tensor, test: Tensor, hidden: int, seed: int) -> Tensor:
    """Logits (n, C) for `test` of a model trained on `train` and its labels."""
    model = fit_seconds(train, labels, hidden, seed)
    with torch.no_grad():
        logits: Tensor = model(test)
    return logits


def scores(logits: Tensor, truth: Tensor, exclusive: bool) -> tuple[float, ...]:
    """Accuracy, overall and of seconds with an event, or F1, micro, macro and mean over clips; all in percent."""
    if exclusive:
        right, event = logits.argmax(1) == truth.argmax(1), truth[:, -1] == 0
        return 100 * float(right.double().mean()), 100 * float(right[event].double().mean())
    said, true = logits > 0, truth > 0
    hits, wrong = (said & true).sum(0).double(), (said ^ true).sum(0).double()
    per_class = 2 * hits / (2 * hits + wrong).clamp(min=1)
    micro = 2 * hits.sum() / (2 * hits.sum() + wrong.sum()).clamp(min=1)
    cells = [each.unflatten(0, (-1, 10)).transpose(1, 2).numpy() for each in (said, true)]
    clips = score_segments(cells[0], cells[0], cells[1], cells[1]).of("segment_A")
    return 100 * float(micro), 100 * float(per_class.mean()), 100 * float(clips.mean())


def reference(manifest: Manifest, modality: str, features: NDArray[np.float32]) -> None:
    """Train and score one modality; prints mean and range over the seeds."""
    exclusive = manifest.card["options"]["scheme"] == "localisation"
    truth = targets(manifest, modality)
    part: Any = manifest.frame["split"].to_numpy()
    given = {
        split: (
            torch.from_numpy(features[part == split].reshape(-1, features.shape[-1])),
            torch.from_numpy(truth[part == split].reshape(-1, truth.shape[-1])),
        )
        for split in ("train", "test")
    }
    names = ("accuracy", "of event seconds") if exclusive else ("micro F1", "macro F1", "F1 of clips")
    nothing = torch.full(given["test"][1].shape, -1.0)
    nothing[:, -1] += float(exclusive)  # the background
    values = zip(names, scores(nothing, given["test"][1], exclusive), strict=True)
    said = ", ".join(f"{name} {value:.1f}" for name, value in values)
    print(f"  {modality}, no event: {said}")
    for hidden, model in ((0, "linear"), (256, "hidden layer")):
        found = np.array(
            [
                scores(outputs(*given["train"], given["test"][0], hidden, seed), given["test"][1], exclusive)
                for seed in SEEDS
            ]
        )
        said = ", ".join(
            f"{name} {column.mean():.1f} ({column.min():.1f} to {column.max():.1f})"
            for name, column in zip(names, found.T, strict=True)
        )
        print(f"  {modality}, {model}: {said}")


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    for name in names or list(RECIPES):
        with tempfile.TemporaryDirectory() as folder:
            manifest, features = made(name, Path(folder))
        for modality, values in features.items():
            reference(manifest, modality, values)


if __name__ == "__main__":
    main(sys.argv[1:])
