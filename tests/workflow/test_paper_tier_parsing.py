"""The paper tier of avvp-gradient-modulation: what it plans, what it says while data are missing, how data are read."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from avbalance.data.ave import CLASSES as AVE_CLASSES
from avbalance.data.build import build_dataset
from avbalance.data.manifest import read_manifest
from avbalance.errors import UserError
from avbalance.features.extract import extract
from avbalance.features.store import open_store
from avbalance.methods import base as methods
from avbalance.plan.plan import load_plan
from avbalance.training.data import load_clips

REPOSITORY = Path(__file__).parents[2]
SLUG = "avvp-gradient-modulation"
OLD = "jomold_version/AVVP_eval_audio.csv"
CHOSEN: dict[str, Any] = {"tier": "paper", "papers": {SLUG: {}}}
OWN = {"llp": {"options": {"audio_old": OLD}}}
TIER = ("--config", "tier=paper", f"papers={{{SLUG}: {{}}}}", f"datasets={{llp: {{options: {{audio_old: {OLD}}}}}}}")
DATASETS = ("llp", "cremad", "ave")
# Table I has 15 rows, of which MA's two take three runs each and JoMoLD's two share a noise estimator and its ratios;
# one further DGM row in table IV, two measures, eight strengths, two rows with HAN and one on JoMoLD's schedule, seven
# controls: 42 runs of five seeds, and five candidates of one. CREMA-D three runs, AVE four; three references and one.
TRAINED = {"llp": (15 + 4 + 2 + 1 + 2 + 8 + 3 + 7) * 5 + 5, "cremad": 3 * 5 + 3, "ave": 4 * 5 + 1}
JOBS = {
    "dataset": 3,
    "features": 3,
    "train": sum(TRAINED.values()),
    "measure": 1,
    "table": 11,
    "figure": 2,
    "claims": 1,
    "losses": 1,
    "overview": 1,
    "page": 1,
    "all": 1,
}
RECORDS = 9


def real(folder: str) -> Path:
    where = os.environ.get("AVBALANCE_REAL_DATA")
    if not where or not (Path(where) / folder).is_dir():
        pytest.skip(f"AVBALANCE_REAL_DATA is not set, or has no {folder}/: the published lists are not at hand")
    return Path(where) / folder


def real_lists(downloads: Path, name: str) -> None:
    """Link the published lists to where config/datasets expects them."""
    (downloads / name).mkdir(parents=True)
    (downloads / name / "lists").symlink_to(real(name))


def ave_lists(downloads: Path) -> None:
    """Annotations and orders in the published layout, of nine records."""
    lists = downloads / "ave" / "lists"
    lists.mkdir(parents=True)
    lines = [f"{AVE_CLASSES[number]}&-_{number:09d}&good&{number}&10" for number in range(RECORDS)]
    (lists / "Annotations.txt").write_text("Category&VideoID&Quality&StartTime&EndTime\n" + "\n".join(lines) + "\n")
    for split, order in {"train": range(5), "val": (5, 6), "test": (8, 7)}.items():
        with h5py.File(lists / f"{split}_order.h5", "w") as file:
            file["order"] = np.array(order)


def ave_features(downloads: Path) -> dict[str, Any]:
    """Both files of features in the published layout; returns what they hold."""
    (downloads / "ave" / "feats").mkdir()
    generator = np.random.default_rng(3)
    made = {}
    for name, shape in (("audio", (RECORDS, 10, 128)), ("visual", (RECORDS, 10, 7, 7, 512))):
        made[name] = generator.random(shape, dtype=np.float32)
        with h5py.File(downloads / "ave" / "feats" / f"{name}_feature.h5", "w") as file:
            file["avadataset"] = made[name]
    return made


def llp_features(downloads: Path, video: str) -> dict[str, Any]:
    """One generated array per network, linked under the id of a video; returns what they hold."""
    generator = np.random.default_rng(4)
    made = {}
    for network, shape in (("vggish", (10, 128)), ("res152", (80, 2048)), ("r2plus1d_18", (10, 512))):
        made[network] = generator.normal(size=shape).astype(np.float32)
        (downloads / "llp" / "feats" / network).mkdir(parents=True)
        np.save(downloads / f"{network}.npy", made[network])
        (downloads / "llp" / "feats" / network / f"{video}.npy").symlink_to(downloads / f"{network}.npy")
    return made


def by_kind(printed: str) -> tuple[dict[str, int], dict[str, int]]:
    """Jobs that a dry run lists: per rule, and per first word of the rule's name."""
    counts = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", printed, flags=re.MULTILINE)}
    kinds: Counter[str] = Counter()
    for name, count in counts.items():
        kinds[name.split("_")[0]] += count
    return counts, dict(kinds)


def sentences(printed: str, kind: str) -> list[str]:
    return [line for line in printed.splitlines() if line.startswith(f"{kind}: ")]


def check_plan(workplace: Path, done: Any) -> list[str]:
    """The dry run planned the whole tier and made nothing; returns what the preflight said."""
    assert done.returncode == 0, done.stderr
    counts, kinds = by_kind(done.stdout)
    assert kinds.pop("total") == sum(JOBS.values())
    assert kinds == JOBS
    for dataset, number in TRAINED.items():
        prefix = f"train_{SLUG}_{dataset}_".replace("-", "_")
        assert sum(count for name, count in counts.items() if name.startswith(prefix)) == number
    assert not (workplace / "data").exists() and not (workplace / "results").exists()
    return sentences(done.stderr, "preflight")


def test_the_whole_tier_is_planned_from_the_lists(workplace: Path, snakemake: Any) -> None:
    for name in ("llp", "cremad"):
        real_lists(workplace / "downloads", name)
    ave_lists(workplace / "downloads")
    llp, cremad, ave = check_plan(workplace, snakemake("-n", *TIER))
    assert llp.startswith("preflight: llp: downloads/llp/feats: no such folder; unpack there the archive of features")
    assert cremad.startswith("preflight: cremad: downloads/cremad/media/AudioWAV: no such folder; take AudioWAV and")
    assert ave.startswith("preflight: ave: downloads/ave/feats: no such folder; get the features that the page of")


def test_with_all_data_at_hand_the_preflight_has_nothing_to_say(workplace: Path, snakemake: Any) -> None:
    for name in ("llp", "cremad"):
        real_lists(workplace / "downloads", name)
    ave_lists(workplace / "downloads")
    ave_features(workplace / "downloads")
    llp_features(workplace / "downloads", "-_aaaaaaaaa")
    (workplace / "downloads" / "cremad" / "media" / "AudioWAV").mkdir(parents=True)
    assert check_plan(workplace, snakemake("-n", *TIER)) == []


def test_without_any_list_the_tier_is_planned_all_the_same_and_says_what_is_missing(
    workplace: Path, snakemake: Any
) -> None:
    said = check_plan(workplace, snakemake("-n", *TIER))
    assert [line.split(": ")[1] for line in said] == list(DATASETS)
    assert [line.split(": ")[2] for line in said] == [
        "downloads/llp/lists/AVVP_train.csv",
        "downloads/cremad/lists/train.csv",
        "downloads/ave/lists/Annotations.txt",
    ]
    assert all("no such file; take" in line and " from the repository " in line for line in said)


def test_a_real_run_ends_with_the_same_sentences_before_the_first_job(workplace: Path, snakemake: Any) -> None:
    ave_lists(workplace / "downloads")
    ave_features(workplace / "downloads")
    (workplace / "downloads" / "ave" / "feats" / "visual_feature.h5").unlink()  # a whole modality is absent
    done = snakemake(*TIER)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    said = sentences(done.stderr, "error")
    assert [line.split(": ")[1] for line in said] == list(DATASETS)
    assert said[2].startswith("error: ave: downloads/ave/feats/visual_feature.h5: no such file; get the features")
    assert not any((workplace / name).exists() for name in ("data", "results", "logs"))


def test_a_run_on_one_modality_alone_ends_before_any_training(workplace: Path, snakemake: Any) -> None:
    """All folders are there, so that the preflight is content; of all videos the sound is, and no picture."""
    downloads = workplace / "downloads"
    lists = downloads / "llp" / "lists"
    (lists / OLD).parent.mkdir(parents=True)
    for name in ("AVVP_eval_audio.csv", "AVVP_eval_visual.csv", OLD):
        shutil.copyfile(real("llp") / name, lists / name)
    for name in ("AVVP_train.csv", "AVVP_val_pd.csv", "AVVP_test_pd.csv"):
        (lists / name).write_text("".join((real("llp") / name).read_text().splitlines(keepends=True)[:4]))
    llp_features(downloads, "-_aaaaaaaaa")
    for line in (lists / "AVVP_train.csv").read_text().splitlines()[1:]:
        (downloads / "llp" / "feats" / "vggish" / f"{line[:11]}.npy").symlink_to(downloads / "vggish.npy")
    own = {"papers": {SLUG: {"datasets": {"cremad": None, "ave": None}}}, "datasets": OWN}
    (workplace / "own.yaml").write_text(json.dumps(own))
    done = snakemake("--configfile", "own.yaml", "--config", "tier=paper")
    assert done.returncode != 0 and "Traceback" not in done.stderr
    logs = "".join(path.read_text() for path in workplace.rglob("*.log") if path.is_file())
    assert "downloads/llp/feats: holds none of the 9 clips (no feature file res152/" in done.stderr + done.stdout + logs
    assert not list((workplace / "results").rglob("record.json"))
    assert not (workplace / "data" / "llp" / "manifest.parquet").exists()


def test_one_real_video_with_features_is_read_and_all_others_are_missing(workplace: Path, tmp_path: Path) -> None:
    real_lists(workplace / "downloads", "llp")
    name = (real("llp") / "AVVP_train.csv").read_text().splitlines()[1].split("\t")[0]
    made = llp_features(workplace / "downloads", name[:11])
    plan = load_plan(REPOSITORY, {**CHOSEN, "datasets": OWN})
    path = tmp_path / plan.manifest("llp")
    build_dataset("llp", plan.datasets["llp"], path)
    manifest = read_manifest(path)
    frame = manifest.frame.set_index("id")
    assert frame["split"].value_counts().to_dict() == {"train": 10_000, "test": 1_200, "val": 649}
    assert (frame["status"] == "ok").sum() == 1 and frame.loc[name, "status"] == "ok"
    lost = frame[frame["status"] == "missing"]
    assert len(lost) == 11_848 and lost["reason"].str.startswith("no feature file vggish/").all()
    stores = extract(path, {key: value[0] for key, value in plan.recipes["llp"].items()}, tmp_path / "features")
    frames, moves = made["res152"].reshape(10, 8, 2048).mean(1), made["r2plus1d_18"]
    expected = {"audio": made["vggish"], "visual": np.concatenate([frames, moves], axis=1)}
    for modality, folder in stores.items():
        store = open_store(folder)
        assert store.array.shape == (1, *expected[modality].shape)
        np.testing.assert_allclose(store.array[0], expected[modality], rtol=2e-3, atol=1e-3)
    clips = load_clips(path, stores["audio"], stores["visual"])
    assert clips.ids.tolist() == [name] and sum(clips.losses.values()) == 11_848
    assert len(clips.classes) == 25 and set(clips.truth) == {"events_audio", "events_visual", "events_audio_repaired"}


def test_records_of_ave_are_rows_of_its_two_files(workplace: Path, tmp_path: Path) -> None:
    ave_lists(workplace / "downloads")
    made = ave_features(workplace / "downloads")
    plan = load_plan(REPOSITORY, CHOSEN)
    path = tmp_path / plan.manifest("ave")
    build_dataset("ave", plan.datasets["ave"], path)
    stores = extract(path, {key: value[0] for key, value in plan.recipes["ave"].items()}, tmp_path / "features")
    clips = load_clips(path, stores["audio"], stores["visual"])
    assert clips.classes == [*AVE_CLASSES[:-1], "Background"] and len(clips.ids) == RECORDS
    for position, name in enumerate(clips.ids):
        record = int(name[:4])
        for modality in ("audio", "visual"):
            stored = open_store(stores[modality]).array[getattr(clips, f"{modality}_rows")[position]]
            np.testing.assert_allclose(stored, made[modality][record], rtol=1e-3, atol=1e-4)
        assert clips.truth["events_visual"][position].sum(1).nonzero()[0].tolist() == [record]


def test_the_lists_of_crema_d_become_a_manifest_even_without_clips(workplace: Path, tmp_path: Path) -> None:
    real_lists(workplace / "downloads", "cremad")
    own = {"cremad": {"options": {"allow_missing": True}}}
    plan = load_plan(REPOSITORY, {**CHOSEN, "datasets": own})
    assert "cremad" not in [sentence.split(": ")[0] for sentence in plan.preflight()]
    build_dataset("cremad", plan.datasets["cremad"], tmp_path / plan.manifest("cremad"))
    frame = read_manifest(tmp_path / plan.manifest("cremad")).frame
    assert frame["split"].value_counts().to_dict() == {"train": 6_698, "test": 744}
    assert set(frame["status"]) == {"missing"}


def test_without_pictures_there_is_no_crema_d(workplace: Path, tmp_path: Path) -> None:
    real_lists(workplace / "downloads", "cremad")
    clip = (real("cremad") / "train.csv").read_text().split(",")[0]
    sound = workplace / "downloads" / "cremad" / "media" / "AudioWAV"
    sound.mkdir(parents=True)
    (sound / f"{clip}.wav").write_bytes(b"x")
    plan = load_plan(REPOSITORY, CHOSEN)
    with pytest.raises(UserError, match=r"holds none of the 7442 clips \(no file Image-01-FPS/"):
        build_dataset("cremad", plan.datasets["cremad"], tmp_path / plan.manifest("cremad"))


def test_the_tier_overrides_nothing_but_seeds_and_leaves_out_what_the_data_lack() -> None:
    plan = load_plan(REPOSITORY, CHOSEN)
    (chosen,) = plan.config["papers"].values()
    assert set(chosen) == {"datasets", "roles", "runs"}
    left_out = chosen["runs"].pop("strong-reference")
    assert left_out == {"only": ["ave"]}  # training on LLP has no truth per second
    assert [cut["papers"] for cut in plan.config["cuts"]] == [[SLUG]]
    assert all(set(own) == {"seeds"} for part in ("roles", "runs") for own in chosen[part].values())
    assert tuple(plan.datasets) == DATASETS
    assert all(spec["stands_for"] is None for spec in plan.datasets.values())
    assert not any(plan.config["datasets"].values())


def test_every_declared_option_exists_and_every_run_has_one_data_set() -> None:
    rows = load_plan(REPOSITORY, CHOSEN).rows[SLUG]
    assert len({row.run for row in rows}) == len(rows) == 54 + 4  # and references
    for row in rows:
        assert set(row.settings.get("method", {})) <= set(methods.load(row.method).card.options.model_fields), row.run
        assert row.settings["model"]["name"] in methods.load(row.method).card.models, row.run
    searched = [row for row in rows if row.choose]
    assert [row.run for row in searched] == ["han-jocor"]
    assert searched[0].choose is not None
    assert list(searched[0].choose["candidates"].values()) == [0.1, 0.3, 0.5, 0.7, 0.9]
