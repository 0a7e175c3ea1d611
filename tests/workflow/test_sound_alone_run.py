"""The workflow on clips of sound alone: made-up records, from lists to the table beside the published numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from embedding_files import write_records

from avbalance.data.audioset import NAMES, RURAL, SPEECH, URBAN
from avbalance.data.sources.audioset import FOLDERS
from avbalance.features.store import open_store

CONFIG = Path(__file__).parents[2] / "config" / "user" / "audioset-embeddings.yaml"
TABLE = "results/audioset-embeddings/papers/modality-relevance/tableS5.csv"
CLIPS = 120


def downloads(folder: Path) -> None:
    """Lists and records in the published layout; every other clip is urban, every third one has speech."""
    (folder / "lists").mkdir(parents=True)
    labels = [[URBAN if number % 2 else RURAL, *([SPEECH] if number % 3 == 0 else [])] for number in range(CLIPS)]
    rows = [f'{number:_>11}, 30.000, 40.000, "{",".join(chosen)}"\n' for number, chosen in enumerate(labels)]
    for place, name in enumerate(("balanced_train_segments.csv", "eval_segments.csv")):
        (folder / "lists" / name).write_text("".join(rows[place::2]))
        videos = [(row[:11], 30.0) for row in rows[place::2]]
        write_records(folder / "features" / FOLDERS[name] / "__.tfrecord", *videos)
    names = "".join(f'{place},{label},"{name}"\n' for place, (label, name) in enumerate(NAMES.items()))
    (folder / "lists" / "class_labels_indices.csv").write_text("index,mid,display_name\n" + names)


@pytest.mark.slow
def test_audio_models_are_trained_and_stand_beside_the_published_numbers(workplace: Path, snakemake: Any) -> None:
    downloads(workplace / "downloads" / "audioset")
    done = snakemake("-j1", "--configfile", str(CONFIG), "--", TABLE)
    assert done.returncode == 0, done.stderr[-3000:]
    table = pd.read_csv(workplace / TABLE)
    accuracy = table[table["metric"] == "accuracy"]
    assert accuracy["published"].dropna().tolist() == [61.62, 68.36]
    assert accuracy["ours_mean"].notna().all() and set(accuracy["n"]) == {CLIPS // 10}
    assert accuracy["seeds"].tolist() == [3, 1, 3, 1]
    features = workplace / "results/audioset-embeddings/features/audioset-embeddings"
    assert [path.name for path in features.iterdir()] == ["audio-seconds10-vggish-pca"]
    assert open_store(features / "audio-seconds10-vggish-pca").array.shape == (CLIPS, 10, 128)
