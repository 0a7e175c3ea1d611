"""From VGGSounder's real labels to tables: generated media under real ids of VGG-Sound, a few steps of training."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from avbalance.data.manifest import read_manifest
from avbalance.data.media_write import write_clip
from avbalance.plan.config import load_paper

REPOSITORY = Path(__file__).parents[2]
SLUG = "balanced-audiovisual"
KINDS = {"A": "heard", "V": "seen", "AV": "both"}
OF_A_KIND, CLASSES, TRAINED_ON = 12, 8, 12
MADE = ("audio", "visual", "baseline")

Clips = dict[str, str]  # id -> class


@pytest.fixture
def real() -> Path:
    where = os.environ.get("AVBALANCE_REAL_DATA")
    if not where or not (Path(where) / "vggsound" / "vggsounder.csv").is_file():
        pytest.skip("AVBALANCE_REAL_DATA is not set, or has no vggsound/vggsounder.csv")
    return Path(where) / "vggsound"


def kinds_of(real: Path, clips: Clips) -> dict[str, str]:
    """Clip -> heard, seen or both (of its own class), neither, or nobody."""
    said: dict[str, dict[str, str]] = defaultdict(dict)
    with open(real / "vggsounder.csv", encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle):
            said[row["video_id"]][row["label"]] = KINDS[row["modality"]]
    return {clip: said[clip].get(label, "neither") if clip in said else "nobody" for clip, label in clips.items()}


def chosen(kinds: dict[str, str], clips: Clips) -> tuple[list[str], list[str]]:
    """Clips to test on, as many of each kind, and clips to train on, of the classes that are most often only seen."""
    seen = Counter(clips[clip] for clip, kind in kinds.items() if kind == "seen")
    own = sorted(label for label, _ in sorted(seen.items(), key=lambda item: (-item[1], item[0]))[:CLASSES])
    test = [
        clip
        for wanted in (*KINDS.values(), "neither", "nobody")
        for clip in [clip for clip, kind in kinds.items() if kind == wanted and clips[clip] in own][:OF_A_KIND]
    ]
    rest = [clip for clip in clips if clip not in set(test) and kinds[clip] != "seen"]
    train = [clip for label in own for clip in [each for each in rest if clips[each] == label][:TRAINED_ON]]
    return test, train


def write_media(folder: Path, clips: Clips, kinds: dict[str, str]) -> None:
    """Four seconds each: a tone and a grey level tell the class, but in the modality that people do not perceive."""
    generator = np.random.default_rng(8)
    place = {label: number for number, label in enumerate(sorted(set(clips.values())))}
    folder.mkdir(parents=True)
    time = np.arange(4 * 8000) / 8000
    for clip, label in clips.items():
        sound = 0.1 * generator.normal(size=len(time))
        pictures = generator.integers(0, 256, (8, 32, 32, 3))
        if kinds[clip] != "seen":
            sound += 0.5 * np.sin(2 * np.pi * 300 * (1 + place[label]) * time)
        if kinds[clip] != "heard":
            pictures = pictures // 8 + 25 * place[label]
        write_clip(folder / f"{clip}.mp4", pictures.astype(np.uint8), sound.clip(-1, 1).astype(np.float32), 2, 8000)


def configuration() -> dict[str, Any]:
    """The smoke tier on VGG-Sound, with three runs of one seed."""
    runs = {run: {"skip": run not in MADE} for run in load_paper(REPOSITORY, SLUG)["runs"]}
    datasets = {"kinetics-sounds": None, "vggsound": "vggsound", "balanced": None}
    paper = {"datasets": datasets, "roles": {"vggsound": {"seeds": [0]}}, "runs": runs}
    return {"name": "people", "tier": "smoke", "papers": {SLUG: paper}}


def right_on(run: str, clips: list[str]) -> float:
    """Share of test clips, in percent, that a run names rightly, from its predictions."""
    frame = pd.read_parquet(f"results/people/runs/{SLUG}/vggsound/{run}/seed0/predictions.parquet")
    place = (frame["checkpoint"] == "selected") & (frame["split"] == "test") & (frame["condition"] == "both")
    chosen = frame[place & frame["id"].isin(clips)]
    assert len(chosen) == len(clips)
    return 100 * float(np.mean([np.argmax(row.logits) == row.label for row in chosen.itertuples()]))


@pytest.mark.slow
def test_real_labels_reach_the_tables(real: Path, workplace: Path, snakemake: Any) -> None:
    downloads = workplace / "downloads" / "vggsound"
    with open(real / "vggsound_test_rows.csv", encoding="utf-8", newline="") as handle:
        rows = list(csv.reader(handle))
    clips = {f"{video}_{int(start):06d}": label for video, start, label, _ in rows}
    kinds = kinds_of(real, clips)
    test, train = chosen(kinds, clips)
    assert Counter(kinds[clip] for clip in test) == dict.fromkeys((*KINDS.values(), "neither", "nobody"), OF_A_KIND)
    write_media(downloads / "media", {clip: clips[clip] for clip in (*test, *train)}, kinds)
    (downloads / "vggsounder.csv").symlink_to(real / "vggsounder.csv")
    with open(downloads / "vggsound.csv", "w", encoding="utf-8", newline="") as handle:
        used = set(train)
        for clip, row in zip(clips, rows, strict=True):
            csv.writer(handle).writerow([*row[:3], "train" if clip in used else "test"])
    (workplace / "people.json").write_text(json.dumps(configuration()))
    paper = f"results/people/papers/{SLUG}"
    targets = [f"{paper}/{name}" for name in ("tableS1.csv", "tableS7.csv", "claims.json")]
    done = snakemake("--cores", "1", "--configfile", "people.json", "--", *targets)
    assert done.returncode == 0, done.stderr[-3000:]

    counts = Counter(kind for clip, kind in kinds.items() if clip not in used)
    card = read_manifest("data/vggsound/manifest.parquet").card["modality_labels"]
    assert [card[name] for name in (*KINDS.values(), "neither", "not annotated")] == [
        counts[name] for name in (*KINDS.values(), "neither", "nobody")
    ]
    assert card["not of a test clip"] == sum(kinds[clip] != "nobody" for clip in train)

    subsets = pd.read_parquet(f"results/people/subsets/{SLUG}/vggsound.parquet").set_index(["definition", "id"])
    people, estimate = (subsets.loc[name, "preferred"] for name in ("annotated", "estimated"))
    assert set(people.index) == set(test)
    expected = {"heard": "audio", "seen": "visual", "both": "tie", "neither": "outside", "nobody": "outside"}
    assert people.to_dict() == {clip: expected[kinds[clip]] for clip in test}

    first = pd.read_csv(f"{paper}/tableS1.csv")
    annotated = first[(first["protocol"] == "annotated") & first["ours_mean"].notna()]
    assert set(annotated["subset"]) == {"audio_preferred", "visual_preferred"} and len(annotated) == 2 * len(MADE)
    assert set(annotated["n"]) == {OF_A_KIND} and set(annotated["dataset"]) == {"VGG-Sound"}
    shown = annotated.set_index(["method", "subset"])["ours_mean"].to_dict()
    labels = {run: load_paper(REPOSITORY, SLUG)["runs"][run]["label"] for run in MADE}
    assert shown == pytest.approx(
        {
            (labels[run], subset): right_on(run, [clip for clip in test if kinds[clip] == kind])
            for run in MADE
            for subset, kind in (("audio_preferred", "heard"), ("visual_preferred", "seen"))
        }
    )

    table = pd.read_csv(f"{paper}/tableS7.csv").set_index(["definition", "quantity"])["ours_mean"]["annotated"]
    assert table[["audio", "visual", "tie", "outside"]].tolist() == [OF_A_KIND] * 3 + [2 * OF_A_KIND]
    estimate = estimate[people.index]
    sided = people.isin(["audio", "visual"]) & estimate.isin(["audio", "visual"])
    assert table["visual_agreed"] == ((people == "visual") & (estimate == "visual")).sum()
    assert table["kappa"] == pytest.approx(cohen_kappa_score(people[sided], estimate[sided]))
    claims = json.loads(Path(f"{paper}/claims.json").read_text(encoding="utf-8"))["claims"]
    assert "annotated" in next(claim for claim in claims if claim["id"] == "C3")["results"]
