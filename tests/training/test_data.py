"""Clips joined from a manifest and two stores, and the batches made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_cell import TinyData, make_data

from avbalance.data.manifest import make_manifest, read_manifest, write_manifest
from avbalance.errors import UserError
from avbalance.training import data as data_module
from avbalance.training.data import BatchSource, load_clips
from avbalance.training.data_settings import DataSettings
from avbalance.training.transforms import FrameOptions

FRAMES = FrameOptions(2, 16, (0.5, 1.0), (0.75, 4 / 3), flip=0.5, same_crop=False)


def source(clips: Any, modalities: tuple[str, ...] = ("audio", "visual")) -> BatchSource:
    targets = torch.as_tensor(clips.labels)
    return BatchSource(clips, targets, modalities, FRAMES, torch.device("cpu"), batch_size=16, eval_batch_size=10)


def load(data: TinyData) -> Any:
    return load_clips(data.manifest, data.audio, data.visual)


def test_clips_with_one_modality_are_left_out_counted_and_the_rest_stays_joined(tmp_path: Path) -> None:
    sizes = {"train": 12, "val": 4, "test": 4}
    whole = load(make_data(tmp_path / "whole", sizes))
    cut = load(make_data(tmp_path / "cut", sizes, lost_audio=(0, 5), lost_visual=(2, 5, 19)))
    # rows 0, 2, 5 and 19 are lost; 5 in both modalities counts once, as lost sound
    assert cut.losses == {"audio corrupt": 2, "visual corrupt": 2}
    assert whole.losses == {}
    kept = [number for number in range(20) if number not in (0, 2, 5, 19)]
    assert list(cut.ids) == list(whole.ids[kept])
    assert np.array_equal(cut.labels, whole.labels[kept])
    assert np.array_equal(cut.split, whole.split[kept])
    assert np.array_equal(cut.audio[cut.audio_rows], whole.audio[kept])
    assert np.array_equal(cut.visual[cut.visual_rows], whole.visual[kept])
    assert cut.visual_rows.tolist() == list(range(1, 17))  # 17 pictures, the first without sound
    assert cut.digest != whole.digest


def test_a_store_of_another_manifest_is_refused(tmp_path: Path) -> None:
    small = make_data(tmp_path / "a", {"train": 8, "val": 4, "test": 4})
    large = make_data(tmp_path / "b", {"train": 12, "val": 4, "test": 4})
    with pytest.raises(UserError, match=r"visual: made from another manifest than the one given; delete the folder"):
        load_clips(small.manifest, small.audio, large.visual)
    # the same clips in another order are another manifest, too
    manifest = read_manifest(small.manifest)
    turned = manifest.frame.iloc[::-1].to_dict("records")
    write_manifest(make_manifest(turned, manifest.card, "turned"), tmp_path / "turned.parquet")
    with pytest.raises(UserError, match="audio: made from another manifest"):
        load_clips(tmp_path / "turned.parquet", small.audio, small.visual)


def test_no_usable_clip_is_one_sentence(tmp_path: Path) -> None:
    data = make_data(tmp_path, {"train": 4, "val": 4, "test": 4}, lost_audio=tuple(range(12)))
    with pytest.raises(UserError, match="no clip has all modalities; the losses stand in"):
        load(data)


def test_the_digest_covers_labels_their_order_and_the_original_sizes(tmp_path: Path) -> None:
    data = make_data(tmp_path, {"train": 8, "val": 4, "test": 4})
    before = load(data).digest
    manifest = read_manifest(data.manifest)
    turned = {**manifest.card, "classes": manifest.classes[::-1]}
    write_manifest(make_manifest(manifest.frame.to_dict("records"), turned, "turned"), tmp_path / "turned.parquet")
    assert load_clips(tmp_path / "turned.parquet", data.audio, data.visual).digest != before
    index = pd.read_parquet(data.visual / "index.parquet")
    index.assign(width=index["width"] + 1).to_parquet(data.visual / "index.parquet")
    assert load(data).digest != before


def test_memory_mapped_stores_give_the_same_batches(tiny_data: TinyData, monkeypatch: pytest.MonkeyPatch) -> None:
    resident = load(tiny_data)
    monkeypatch.setattr(data_module, "IN_MEMORY_BYTES", 0)
    mapped = load(tiny_data)
    assert isinstance(mapped.visual, np.memmap) and isinstance(mapped.audio, np.memmap)
    assert not isinstance(resident.visual, np.memmap)
    indices = np.arange(70)
    seeds = [7, 8, 9, 10, 11]
    for first in (0, 3, 5):
        pairs = [list(source(clips).training([indices], 3, seeds, first)) for clips in (resident, mapped)]
        assert len(pairs[0]) == len(pairs[1]) == 5 - first
        for one, other in zip(*pairs, strict=True):
            for name in ("audio", "visual", "label", "index"):
                assert torch.equal(getattr(one, name), getattr(other, name))
    for one, other in zip(*(source(clips).evaluation(indices) for clips in (resident, mapped)), strict=True):
        assert torch.equal(one.visual, other.visual) and torch.equal(one.audio, other.audio)


def test_batches_carry_their_own_clips_in_a_drawn_order_with_the_last_one_kept(tiny_clips: Any) -> None:
    indices = np.arange(10, 60)
    batches = list(source(tiny_clips).training([indices], order_seed=4, batch_seeds=[1, 2, 3, 4], first=0))
    assert [len(batch.label) for batch in batches] == [16, 16, 16, 2]
    order = torch.cat([batch.index for batch in batches])
    assert sorted(order.tolist()) == list(range(10, 60)) and order.tolist() != list(range(10, 60))
    for batch in batches:
        rows = batch.index.numpy()
        assert np.array_equal(batch.label.numpy(), tiny_clips.labels[rows])
        assert np.array_equal(batch.audio[:, 0].numpy(), tiny_clips.audio[rows].astype(np.float32))
        assert batch.audio.dtype == batch.visual.dtype == torch.float32
        assert batch.visual.shape == (len(rows), 3, 2, 16, 16)
    # a batch depends on its own seed only: the augmentation of a resumed epoch is that of the whole one
    late = next(iter(source(tiny_clips).training([indices], order_seed=4, batch_seeds=[0, 0, 3, 0], first=2)))
    assert torch.equal(late.visual, batches[2].visual)
    other = next(iter(source(tiny_clips).training([indices], order_seed=4, batch_seeds=[0, 0, 5, 0], first=2)))
    assert torch.equal(other.index, late.index) and not torch.equal(other.visual, late.visual)


def test_evaluation_batches_are_in_order_and_only_of_the_wanted_modality(tiny_clips: Any) -> None:
    batches = list(source(tiny_clips, ("audio",)).evaluation(np.arange(25)))
    assert [len(batch.label) for batch in batches] == [10, 10, 5]
    assert torch.cat([batch.index for batch in batches]).tolist() == list(range(25))
    assert all(batch.visual is None for batch in batches)


def test_a_further_labelling_changes_labels_and_nothing_else(tmp_path: Path) -> None:
    data = make_data(tmp_path, {"train": 12, "val": 4, "test": 4})
    manifest = read_manifest(data.manifest)
    plain = load(data)
    rows = manifest.frame.assign(label_parity=["odd" if n % 2 else "even" for n in range(20)]).to_dict("records")
    card = {**manifest.card, "labellings": {"parity": ["even", "odd"]}}
    write_manifest(make_manifest(rows, card, "two labellings"), data.manifest)
    clips = load(data)
    assert np.array_equal(clips.labels, plain.labels) and clips.digest != plain.digest
    other = clips.labelled("parity")
    assert other.classes == ["even", "odd"] and other.labels.tolist() == [0, 1] * 10
    assert other.label_matrix.argmax(1).tolist() == [0, 1] * 10 and other.labelling == "parity"
    assert other.audio is clips.audio and other.visual is clips.visual
    assert {part: rows.tolist() for part, rows in other.parts(DataSettings()).items()} == {
        part: rows.tolist() for part, rows in clips.parts(DataSettings()).items()
    }
    assert clips.labelled(None) is clips
    with pytest.raises(UserError, match=r"setting data\.labelling is 'speech'; the data set has parity\."):
        clips.labelled("speech")


def test_sound_is_standardised_by_the_training_part_alone(tmp_path: Path) -> None:
    clips = load(make_data(tmp_path, {"train": 12, "val": 4, "test": 4}))
    train = clips.parts(DataSettings())["train"]
    scale = data_module.audio_scale(clips, train)
    values = clips.audio[clips.audio_rows[train]].astype(np.float64)
    assert scale.mean == pytest.approx(values.mean(), abs=1e-12)
    assert scale.deviation == pytest.approx(values.std(), abs=1e-12)
    bare, scaled = source(clips), replace(source(clips), scale=scale)
    here, there = bare.batch_of(train).audio, scaled.batch_of(train).audio
    assert here is not None and there is not None
    assert torch.equal(there, (here - scale.mean) / scale.deviation)
    assert float(there.mean()) == pytest.approx(0, abs=1e-5) and float(there.std()) == pytest.approx(1, abs=1e-3)
    silent = replace(clips, audio=np.zeros_like(clips.audio))
    with pytest.raises(UserError, match="the sound of all training clips is one constant value"):
        data_module.audio_scale(silent, train)
