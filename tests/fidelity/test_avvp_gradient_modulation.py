"""Fidelity to "Multimodal Imbalance-Aware Gradient Modulation for Weakly-supervised Audio-Visual Video Parsing".

The item numbers are those of the paper's checklist. Settings are always those of the paper's own tier, as its run sheet
resolves them; where a network or a training is needed that is too large for a test, its width alone is made smaller.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from real_data import real
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss, normalize

from avbalance.analysis.parsing_scores import METRICS, active_segments, evaluate
from avbalance.data.sources import llp
from avbalance.features.recipes import get_audio_recipe
from avbalance.methods import base as methods
from avbalance.methods.base import TrainingStep
from avbalance.methods.jomold import denoised
from avbalance.methods.parts import modulation
from avbalance.methods.parts.parsing import (
    Pair,
    binary_cross_entropy,
    elementwise_cross_entropy,
    removed,
    targets,
)
from avbalance.models.base import Batch, build
from avbalance.models.dropout import Dropout
from avbalance.plan.cells import SeededRun
from avbalance.plan.plan import Plan, load_plan
from avbalance.plan.sheet import Row
from avbalance.training.cell import make_trainer
from avbalance.training.data import Clips, load_clips
from avbalance.training.loop import Trainer, parameter_count
from avbalance.training.protocol import Protocol
from avbalance.training.state import Checkpoints
from avbalance.training.tasks import base as tasks
from avbalance.training.tasks.base import Evaluation

REPOSITORY = Path(__file__).parents[2]
SLUG = "avvp-gradient-modulation"
sys.path[:0] = [str(REPOSITORY / "tests"), str(REPOSITORY / "tests" / "training")]
CLASSES, SEGMENTS, VIDEOS = 25, 10, 6
TINY_CLASSES = 4
SMALL = {"width": 16}
RATIOS = {"audio": [0.4] * TINY_CLASSES, "visual": [0.5] * TINY_CLASSES}
GLOBAL = {"han", "han-ours", "han-dgm", "han-ours-jomold-schedule", "mm-pyramid", "cvcms"}
APPROXIMATE = {"talnet", "stpn", "cmcs", "ave-net", "avsdn", "han-co-teaching", "han-jocor"}
GAMMAS = {f"ours-gamma-0.{tenth}": tenth / 10 for tenth in range(2, 10)}
ON_JOMOLD = {
    "jomold", "jomold-no-cl", "jomold-dgm", "ours", "ours-score", "ours-discrepancy", *GAMMAS, "jomold-msdu",
    "ours-detach", "ours-noise-none", "ours-update", "jomold-dgm-noise-none", "jomold-heads", "jomold-msdu-shared",
}  # fmt: skip


@cache
def sheet() -> Plan:
    return load_plan(REPOSITORY, {"tier": "paper", "papers": {SLUG: {}}})


def rows() -> dict[str, Row]:
    """Run -> its row; every run of this paper is on one data set."""
    return {row.run: row for row in sheet().rows[SLUG]}


def network(run: str, classes: int = CLASSES, **changes: Any) -> Any:
    """The network of a run as it is initialised."""
    settings = {**rows()[run].settings["model"], **changes}
    return build(settings, classes, torch.Generator().manual_seed(0))


def method_of(run: str, **changes: Any) -> Any:
    """The method of a run with its options."""
    row = rows()[run]
    return methods.load(row.method)({**row.settings.get("method", {}), **changes})


def protocol_of(run: str) -> Protocol:
    return Protocol(**rows()[run].settings["protocol"])


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make_batch(classes: int = CLASSES, audio: int = 1, visual: int = 2) -> Batch:
    """Noise drawn with the given seeds; video n has the labels n and n + 2."""
    label = (
        torch.eye(classes)[torch.arange(VIDEOS) % classes] + torch.eye(classes)[(torch.arange(VIDEOS) + 2) % classes]
    )
    sound, sight = random(VIDEOS, SEGMENTS, 128, seed=audio), random(VIDEOS, SEGMENTS, 2560, seed=visual)
    return Batch(sound, sight, label, torch.arange(VIDEOS))


def make_step(epoch: int = 0, index: int = 0, seed: int = 5) -> TrainingStep:
    return TrainingStep(epoch, index, 10, torch.Generator().manual_seed(seed))


def prepared(method: Any, model: Any, ratio: float = 0.5, classes: int = CLASSES) -> Any:
    """The method with noise ratios as it is at the start of a run."""
    needs = {"ratios": {"audio": [ratio] * classes, "visual": [ratio] * classes}}
    source = SimpleNamespace(clips=SimpleNamespace(classes=[str(number) for number in range(classes)]))
    method.prepare(SimpleNamespace(model=model, source=source, device=torch.device("cpu"), needs=needs))
    return method


def gradients_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def after_backward(run: str, **options: Any) -> tuple[Any, Any, Any, Batch, dict[str, Tensor]]:
    """Method, model and output of one training batch of a small network, and the gradients before any modulation."""
    torch.manual_seed(3)
    model, method, batch = network(run, **SMALL).train(), method_of(run, **options), make_batch()
    if rows()[run].method == "jomold":
        prepared(method, model)
    output = model(batch)
    method.loss(model, output, batch, make_step()).backward()
    return method, model, output, batch, gradients_of(model)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """A few videos of four classes with the widths of the real features."""
    from tiny_segments import make_segment_data

    data = make_segment_data(tmp_path_factory.mktemp("videos"))
    return load_clips(data.manifest, data.audio, data.visual)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny_trainer(run: str, clips: Clips, state: Path | None = None, **changes: dict[str, Any]) -> Trainer:
    """A short training of a run with a narrow network; `changes` are laid over its method and protocol."""
    settings = copy.deepcopy(rows()[run].settings)
    settings["model"] |= SMALL
    settings["protocol"] |= {"epochs": 2, "batch_size": 16, **changes.get("protocol", {})}
    settings["method"] = {**settings.get("method", {}), **changes.get("method", {})}
    checkpoints = None if state is None else Checkpoints(state, "key", every_s=0.0)
    method = rows()[run].method
    return make_trainer(method, settings, 6, clips, torch.device("cpu"), {"ratios": RATIOS}, checkpoints)


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


# Data and metrics


ORDER = """Speech Car Cheering Dog Cat Frying_(food) Basketball_bounce Fire_alarm Chainsaw Cello Banjo Singing
Chicken_rooster Violin_fiddle Vacuum_cleaner Baby_laughter Accordion Lawn_mower Motorcycle Helicopter Acoustic_guitar
Telephone_bell_ringing Baby_cry_infant_cry Blender Clapping"""


def test_item_01_classes_ids_and_labels_of_a_list(tmp_path: Path) -> None:
    assert list(llp.CLASSES) == ORDER.split() and len(llp.CLASSES) == CLASSES
    path = tmp_path / "AVVP_test_pd.csv"
    path.write_text("filename\tevent_labels\n-_ab_cd-_12_20_30\tDog,Speech,Dog\n_bcdefghij-_0_10\tClapping\n")
    split = llp.read_split(path)
    assert split.ids == ("-_ab_cd-_12", "_bcdefghij-")
    active = [np.flatnonzero(row).tolist() for row in split.labels]
    assert active == [[0, 3], [24]] and split.labels.astype(int).max() == 1  # a label that is repeated counts once
    (tmp_path / "eval.csv").write_text("filename\tonset\toffset\tevent_labels\n-_ab_cd-_12_20_30\t2\t4\tDog\n")
    truth = llp.read_segments(tmp_path / "eval.csv", split.names).truth
    assert np.argwhere(truth).tolist() == [[0, 3, 2], [0, 3, 3]]  # half open
    assert rows()["ours"].settings["data"]["task"] == "parsing" and rows()["ours"].dataset == "llp"


# Truth and frame predictions of three videos, audio then visual; classes that a video-level probability lets through.
TRUTH: tuple[Any, ...] = (
    ({0: "1110000000", 3: "0000011111"}, {3: "0000111111"}),
    ({11: "1111111111"}, {}),
    ({}, {6: "0011100000"}),
)
FRAMES: tuple[Any, ...] = (
    ({0: "1100000000", 3: "0000011110", 1: "1000000000"}, {3: "0000001111", 0: "1111000000"}),
    ({11: "1101111011"}, {11: "1111100000"}),
    ({}, {6: "0111110000"}),
)
OPEN = {"P": ((0, 3), (11,), (6,)), "p_a": ((0, 3), (11,), ()), "p_v": ((3,), (), (6,))}
TEN = {
    "global": (91.1111, 38.3333, 45.8333, 58.4259, 69.6309, 66.6667, 50.0, 50.0, 55.5556, 61.1111),
    "modality": (91.1111, 85.0, 91.6667, 89.2593, 81.9981, 66.6667, 100.0, 100.0, 88.8889, 66.6667),
}


def cells(events: dict[int, str]) -> Any:
    """Strings of segments by class as (25, 10) bool."""
    mask = np.zeros((CLASSES, SEGMENTS), dtype=bool)
    for index, text in events.items():
        mask[index] = [cell == "1" for cell in text]
    return mask


def score(frames: Any, truth: Any, gate: str = "global", opened: dict[str, Any] | None = None) -> dict[str, float]:
    """The ten numbers of videos given as pairs of `cells`; without `opened` every class is let through."""
    active = np.array([[cells(audio), cells(visual)] for audio, visual in frames])
    shape = (len(active), CLASSES)
    video = {name: np.full(shape, 0.5) for name in OPEN}  # exactly one half is enough
    for name, videos in (opened or {}).items():
        video[name] = np.array([[0.9 if index in each else 0.1 for index in range(CLASSES)] for each in videos])
    true = np.array([[cells(audio), cells(visual)] for audio, visual in truth])
    probability = np.where(active, 0.5, 0.49).transpose(0, 3, 1, 2)
    return evaluate(probability, **video, gt_a=true[:, 0], gt_v=true[:, 1], gate=gate).dataset()


@pytest.mark.parametrize("gate", ["global", "modality"])
def test_item_02_the_worked_videos_under_both_gates(gate: str) -> None:
    assert list(score(FRAMES, TRUTH, gate, OPEN).values()) == pytest.approx(TEN[gate], abs=1e-4)


OLD, REPAIRED = "jomold_version/AVVP_eval_audio.csv", "AVVP_eval_audio.csv"
# Ten numbers that the public evaluation gives to predictors without a model.
WITHOUT_MODEL = {
    ("val", OLD, "weak"): "77.0748 58.6541 52.0727 62.6005 71.5336 63.8487 53.4754 44.1491 53.8244 61.1207",
    ("val", REPAIRED, "weak"): "77.0748 58.6541 52.0727 62.6005 71.5336 63.8487 53.4754 44.1491 53.8244 61.1207",
    ("test", OLD, "weak"): "76.0802 60.3480 52.6072 63.0118 71.7029 63.0272 55.7527 44.6921 54.4907 61.6039",
    ("test", REPAIRED, "weak"): "76.1176 60.3480 52.6103 63.0253 71.7258 63.0272 55.7527 44.6921 54.4907 61.6011",
    ("test", OLD, "none"): "0.5 10.0833 14.5 8.3611 0.0 0.5 10.0833 14.5 8.3611 0.0",
    ("test", OLD, "aud"): "100.0 57.4223 63.9152 73.7792 81.3639 100.0 52.8914 62.6612 71.8508 79.8854",
    ("test", REPAIRED, "aud"): "100.0 57.3976 63.8874 73.7617 81.3578 100.0 52.8497 62.6195 71.8231 79.8727",
}


@pytest.mark.parametrize(("split", "audio", "predictor"), WITHOUT_MODEL)
@pytest.mark.parametrize("gate", ["global", "modality"])
def test_item_02_predictors_without_a_model_on_the_real_annotations(
    split: str, audio: str, predictor: str, gate: str
) -> None:
    videos = llp.read_split(real("llp", f"AVVP_{split}_pd.csv"))
    gt_a, gt_v = (llp.read_segments(real("llp", name), videos.names).truth for name in (audio, "AVVP_eval_visual.csv"))
    weak = np.repeat(videos.labels[:, :, None], SEGMENTS, axis=2)
    active = {"weak": weak, "none": np.zeros_like(weak), "aud": gt_a}[predictor]
    video = np.where(active.any(2), 0.9, 0.1)
    frames = np.where(active, 0.8, 0.2).transpose(0, 2, 1)[:, :, None].repeat(2, axis=2)
    found = evaluate(frames, video, video, video, gt_a, gt_v, gate).dataset()
    expected = [float(number) for number in WITHOUT_MODEL[split, audio, predictor].split()]
    assert [found[name] for name in METRICS] == pytest.approx(expected, abs=1e-3)


def test_item_03_a_mean_over_videos_one_for_nothing_and_thresholds_that_are_reached() -> None:
    full, single = {0: "1" * 10}, {0: "1000000000"}
    found = score([(full, {}), ({1: "1000000000"}, {}), ({}, {})], [(full, {}), (single, {}), ({}, {})])
    assert found["segment_A"] == pytest.approx(200 / 3)  # 1, 0 and 1 for the video without truth and prediction
    assert found["segment_V"] == found["event_V"] == 100.0
    assert active_segments(np.full((1, SEGMENTS, 2, 3), 0.5), np.ones((1, 2, 3), dtype=bool)).all()
    # half of the union is a match, less is none
    assert score([({0: "1100000000"}, {})], [({0: "1111000000"}, {})])["event_A"] == 100.0
    assert score([({0: "1100000000"}, {})], [({0: "1111100000"}, {})])["event_A"] == 0.0


def test_item_04_type_is_a_mean_of_three_and_event_sums_audio_and_visual() -> None:
    # class 0: audio 2 hits and 1 miss, visual 4 false: F = 4 / (4 + 1 + 4); class 3: 8 hits, 3 misses, F = 16 / 19
    found = score(FRAMES[:1], TRUTH[:1], "global", {name: videos[:1] for name, videos in OPEN.items()})
    assert found["segment_Event"] == pytest.approx(100 * (4 / 9 + 16 / 19) / 2)
    for level in ("segment", "event"):
        three = [found[f"{level}_{quantity}"] for quantity in ("A", "V", "AV")]
        assert len(set(three)) > 1 and found[f"{level}_Type"] == pytest.approx(sum(three) / 3)


def test_item_05_jomold_opens_by_the_modality_and_han_by_the_video() -> None:
    gates = {run: row.settings["data"]["gate"] for run, row in rows().items() if row.role == "llp"}
    assert {run for run, gate in gates.items() if gate == "global"} == GLOBAL
    assert {gate for run, gate in gates.items() if run not in GLOBAL} == {"modality"}
    assert {"ma", "ma-no-cl", "talnet", "stpn"} | ON_JOMOLD <= set(gates) - GLOBAL
    opened = {"P": [(0,)], "p_a": [()], "p_v": [()]}  # only both together say that class 0 is there
    for run, expected in (("ours", 0.0), ("han-ours", 100.0)):
        gate = tasks.load(rows()[run].settings["data"], run).data.gate
        assert score([({0: "1" * 10}, {})], [({0: "1" * 10}, {})], gate, opened)["segment_A"] == expected


# Networks


def test_item_06_affine_encoders_and_one_post_norm_layer_for_both_modalities() -> None:
    model = network("jomold").double().eval()
    layer, batch = model.attention, make_batch()
    assert [each.shape for each in (layer.expand.weight, layer.contract.weight)] == [(512, 512)] * 2
    for attention in (layer.self_attention, layer.cross_attention):
        assert (attention.embed_dim, attention.num_heads, attention.dropout) == (512, 1, 0.1)
    assert {module.share for module in layer.modules() if isinstance(module, Dropout)} == {0.1}
    assert sum(isinstance(module, nn.MultiheadAttention) for module in model.modules()) == 2
    for modality in ("audio", "visual"):
        encode, values = model.encoders[modality], batch.modality(modality).double()
        torch.testing.assert_close(encode(3 * values), 3 * encode(values) - 2 * encode(0 * values))
    output = model(Batch(batch.modality("audio").double(), batch.modality("visual").double(), batch.label, batch.index))
    for query, other, found in ((output.e_a, output.e_v, output.f_a), (output.e_v, output.e_a, output.f_v)):
        inner = query + layer.cross_attention(query, other, other)[0] + layer.self_attention(query, query, query)[0]
        hidden = layer.norm_attended(inner)
        torch.testing.assert_close(found, layer.norm_out(hidden + layer.contract(layer.expand(hidden).relu())))


def test_item_06_layers_drop_a_tenth_in_training_and_nothing_in_evaluation() -> None:
    model, batch = network("han", **SMALL).train(), make_batch()
    torch.manual_seed(1)
    first, second = model(batch), model(batch)
    assert torch.equal(first.e_a, second.e_a) and torch.equal(first.e_v, second.e_v)  # nothing ahead of the attention
    assert not torch.equal(first.f_a, second.f_a) and not torch.equal(first.f_v, second.f_v)
    model.eval()
    assert torch.equal(model(batch).f_a, model(batch).f_a)


def test_item_07_pooling_over_time_and_modalities_and_the_clamp() -> None:
    model = network("ours", **SMALL).eval()
    output = model(make_batch())
    pairs = ((model.audio_heads, output.f_a), (model.visual_heads, output.f_v))
    prob, time, which = (
        torch.stack([getattr(heads, name)(feature) for heads, feature in pairs], 2)
        for name in ("prob", "frame_att", "av_att")
    )
    weighted = time.exp() / time.exp().sum(1, keepdim=True) * prob.sigmoid()
    over = which.exp() / which.exp().sum(2, keepdim=True)
    torch.testing.assert_close(output.p_a, weighted[:, :, 0].sum(1))
    torch.testing.assert_close(output.p_v, weighted[:, :, 1].sum(1))
    torch.testing.assert_close(output.P, (weighted * over).sum((1, 2)))
    beyond = torch.tensor([[1.5, -0.1, 0.5]], requires_grad=True)  # P may exceed one
    loss = binary_cross_entropy(beyond, torch.tensor([[0.0, 1.0, 1.0]]))
    loss.backward()
    assert loss.item() == pytest.approx((-2 * math.log(1e-7) + math.log(2)) / 3, rel=1e-2)
    assert beyond.grad is not None and beyond.grad[0].tolist() == pytest.approx([0.0, 0.0, -2 / 3])


# HAN: two LayerNorms that are never applied; MM-Pyramid: 14 of them and two template layers of attention (4 maps),
# feed-forward (2 maps) and LayerNorm; CVCMS: a segment head, joint tokens, 9 maps of tokens, 2 token heads, 4 pairs of
# LayerNorms, 2 token layers; PSP: a map of attended features, 3 classifiers and a head of two outputs.
UNUSED = {
    "han": 2_048,
    "mm-pyramid": 2 * (4 * 512 * 513 + 1_024 + 2 * 512 * 513) + 14 * 1_024,
    "cvcms": 25 * 513 + 3_200 * 1_025 + 9 * 128 * 129 + 2 * 129 + 4 * 2_048 + 2 * (8 * 128 * 129 + 2 * 128 * 129 + 512),
    "psp": 118_594,
}


@pytest.mark.parametrize(
    ("run", "classes", "published"),
    [
        ("jomold", 25, 4_571_723),
        ("jomold-noise", 25, 4_571_723),
        ("han", 25, 4_571_723),
        ("ours", 25, 4_661_498),
        ("han-ours", 25, 4_661_498),
        ("mm-pyramid", 25, 43_995_725),
        ("cvcms", 25, 11_787_087),
        ("ogm-dgm", 6, 22_352_902),
        ("psp-dgm", 29, 1_667_251),
    ],
)
def test_item_08_parameters_are_the_published_ones_less_those_that_nothing_uses(
    run: str, classes: int, published: int
) -> None:
    model = network(run, classes)
    unused = UNUSED.get(rows()[run].settings["model"]["name"], 0)
    assert parameter_count(model) == published - unused
    if unused:  # stated where the network is
        assert f"{published - unused:,}" in (type(model).__doc__ or "") and f"{published:,}" in (
            type(model).__doc__ or ""
        )


# The objective and its labels


def log_of_the_mixed_probability(f_a: Tensor, f_v: Tensor) -> Tensor:
    """JoMoLD's contrastive loss, segment by segment."""
    terms = []
    for audio, visual in zip(normalize(f_a, dim=-1), normalize(f_v, dim=-1), strict=True):
        for second, sound in enumerate(audio):
            chosen = ((visual @ sound) / 0.2).exp() / ((visual @ sound) / 0.2).exp().sum()
            wanted = torch.full((SEGMENTS,), 0.1 / 9)
            wanted[second] = 0.9
            terms.append(-(wanted * chosen).sum().log())
    return torch.stack(terms).mean()


def test_item_09_the_objective_of_jomold_term_by_term() -> None:
    model, batch = network("jomold", **SMALL).eval(), make_batch()
    method, output = prepared(method_of("jomold"), model), model(batch)
    assert list(method.options.weights) == [2.0, 1.0, 1.0] and method.options.nce_weight == 1.0
    smooth = torch.where(batch.label > 0, 0.95, 0.05)
    expected = 2 * binary_cross_entropy(output.p_a, batch.label) + binary_cross_entropy(output.p_v, smooth)
    expected = expected + binary_cross_entropy(output.P, batch.label)
    whole = expected + log_of_the_mixed_probability(output.f_a, output.f_v)
    torch.testing.assert_close(method.loss(model, output, batch, make_step()), whole)
    without = prepared(method_of("jomold-no-cl"), model)
    torch.testing.assert_close(without.loss(model, output, batch, make_step()), expected)


@pytest.mark.parametrize("run", ["jomold", "ours", "jomold-noise"])
def test_item_10_half_of_the_visual_features_are_dropped_after_the_contrastive_ones_are_taken(run: str) -> None:
    # without the layer's own dropout: what differs in training is what is dropped ahead of the heads
    model, batch = network(run, **SMALL, dropout=0.0), make_batch()
    still, moving = model.eval()(batch), model.train()(batch)
    assert torch.equal(still.f_a, moving.f_a) and torch.equal(still.f_v, moving.f_v)
    torch.testing.assert_close(still.p_a, moving.p_a)
    assert (still.p_v - moving.p_v).abs().max() > 1e-3
    assert {module.share for module in model.modules() if isinstance(module, Dropout)} == {0.0, 0.5}
    plain = network("han", **SMALL, dropout=0.0).train()
    torch.testing.assert_close(plain(batch).p_v, plain(batch).p_v)
    assert rows()["han-ours"].settings["model"].get("visual_dropout", 0.0) == 0.0


def test_item_11_the_noise_estimator_looks_at_each_modality_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    estimator = method_of("jomold-noise")
    assert list(estimator.options.weights) == [1.0, 1.0, 1.0] and estimator.options.nce_weight == 1.0
    assert estimator.options.denoise is False
    for run in ("jomold-noise", "jomold-ratios"):
        model = network(run, **SMALL).eval()
        torch.testing.assert_close(model(make_batch()).p_a, model(make_batch(visual=9)).p_a)
    ratios = method_of("jomold-ratios")
    assert (ratios.options.threshold_audio, ratios.options.threshold_visual) == (0.6, 1.8)
    # 128 videos and 72: the mean confidence is that of the two batches' means, 0.4 and 0.6, whatever their sizes
    probability = torch.cat([torch.full((128, 1), 0.4), torch.full((72, 1), 0.6)])
    probability[:4, 0] = torch.tensor([0.28, 0.31, 0.92, 1.0])
    mean = (probability[:128].mean() + probability[128:].mean()) / 2
    label = torch.zeros(200, 1)
    label[:4] = 1
    module = sys.modules[type(ratios).__module__]
    monkeypatch.setattr(module.METHOD, "load", lambda *_: None)
    monkeypatch.setattr(module, "video_probabilities", lambda *_, **__: (Pair(probability, probability), label))
    trainer: Any = SimpleNamespace(
        model=network("jomold-ratios", **SMALL), parts={"train": np.arange(200)},
        source=SimpleNamespace(clips=SimpleNamespace(classes=["one"])),
    )  # fmt: skip
    ratios.prepare(trainer)
    record = ratios.artifacts()["noise_ratios.json"]
    quotients = [(value / mean).item() for value in probability[:4, 0]]
    assert record["audio"] == [sum(each < 0.6 for each in quotients) / 4]
    assert record["visual"] == [sum(0.95 * each < 1.8 for each in quotients) / 4]
    assert 0.95 * quotients[2] < 1.8 < quotients[2]  # the factor decides about the third


def test_item_12_the_first_epoch_trusts_all_labels_and_the_second_none_beyond_its_ratio() -> None:
    # ratios of one: every positive is noisy in both modalities, once there is any denoising
    model, batch = network("jomold", **SMALL).train(), make_batch()
    method = prepared(method_of("jomold"), model, ratio=1.0)
    assert method.options.warmup == "step"
    asked: list[tuple[bool, bool, bool]] = []

    def remember(module: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        with_ca = named.get("with_ca", arguments[2] if len(arguments) > 2 else True)
        asked.append((bool(with_ca), module.training, torch.is_grad_enabled()))

    model.attention.register_forward_pre_hook(remember, with_kwargs=True)
    logs: list[dict[str, Any]] = []
    for epoch, index in ((0, 0), (0, 9), (1, 0), (7, 3)):
        asked.clear()
        output = model(batch)
        method.loss(model, output, batch, make_step(epoch, index))
        own = [each for each in asked if each != (True, True, True)]
        assert set(own) == ({(False, True, False)} if epoch else set()), (epoch, index)
        logs.append({"clean": binary_cross_entropy(output.p_a, batch.label).item()})
        method.epoch_end(SimpleNamespace(), epoch, logs[-1])
    assert all(
        (log["loss_audio_target"] == pytest.approx(log["clean"])) == (epoch < 2) for epoch, log in enumerate(logs)
    )


def column(*values: float) -> Tensor:
    return torch.tensor(values)[:, None]


def test_item_13_the_worked_case_of_denoising() -> None:
    label = column(1, 1, 1, 1, 0, 1)
    whole = targets(label)
    probability = Pair(column(0.9, 0.8, 0.2, 0.7, 0.1, 0.6), column(0.1, 0.7, 0.9, 0.2, 0.3, 0.8))
    loss = Pair(*map(elementwise_cross_entropy, probability, whole))
    clean = removed(whole, denoised(label, loss, Pair(torch.tensor([0.4]), torch.tensor([0.6]))))
    assert clean.audio[:, 0].tolist() == [1, 1, 0, 1, 0, 0]
    assert clean.visual[:, 0].tolist() == pytest.approx([0, 0, 0.95, 0, 0.05, 0.95])
    assert (clean.visual[[0, 1, 3]] == 0).all()  # exactly: not the 0.05 of a negative


def test_item_13_the_shares_of_noise_are_those_of_128_videos_in_batches_of_any_size() -> None:
    model = network("jomold", **SMALL, dropout=0.0, visual_dropout=0.0).double().train()
    label = (random(256, CLASSES) > 0.8).double()
    sound, sight = random(256, SEGMENTS, 128, seed=1).double(), random(256, SEGMENTS, 2560, seed=2).double()
    found = {}
    for size in (128, 32, 16):
        method, kept = prepared(method_of("jomold"), model), []
        for start in range(0, 256, size):
            here = slice(start, start + size)
            batch = Batch(sound[here], sight[here], label[here], torch.arange(256)[here])
            kept.append(method.targets(model, model(batch), batch, make_step(epoch=1)))
        found[size] = Pair(*(torch.cat(column) for column in zip(*kept, strict=True)))
        shares = [((target == 0) & (label > 0)).sum() / label.sum() for target in found[size]]
        assert all(0.1 < share < 0.5 for share in shares), size
    whole, alone = found[128], attended_alone(model, sound, sight)
    for start in (0, 128):  # at the published size the batch is ranked by itself, as in the public code
        here = slice(start, start + 128)
        wanted = targets(label[here])
        loss = Pair(*(elementwise_cross_entropy(each[here], goal) for each, goal in zip(alone, wanted, strict=True)))
        clean = removed(wanted, denoised(label[here], loss, Pair(*[torch.full((CLASSES,), 0.5)] * 2)))
        assert torch.equal(whole.audio[here], clean.audio) and torch.equal(whole.visual[here], clean.visual)
    for size in (32, 16):  # the last batch of the first 128 is ranked among the same videos
        last = slice(128 - size, 128)
        assert torch.equal(found[size].audio[last], whole.audio[last])
        assert torch.equal(found[size].visual[last], whole.visual[last])


def attended_alone(model: Any, sound: Tensor, sight: Tensor) -> Pair:
    """p_a and p_v `(N, C)` without cross attention, in two batches."""
    pairs = []
    with torch.no_grad():
        for here in (slice(0, 128), slice(128, 256)):
            output = model(Batch(sound[here], sight[here], sound[here, 0], torch.arange(128)))
            alone = model.attend(output.e_a, output.e_v, with_ca=False)
            pairs.append((alone.p_a, alone.p_v))
    return Pair(*(torch.cat(column) for column in zip(*pairs, strict=True)))


def test_item_13_the_label_of_the_video_is_never_denoised() -> None:
    model, batch = network("jomold-no-cl", **SMALL, dropout=0.0).train(), make_batch()
    method, output = prepared(method_of("jomold-no-cl"), model, ratio=1.0), model(batch)
    loss = method.loss(model, output, batch, make_step(epoch=1))
    nothing = torch.where(batch.label > 0, 0.0, 0.05)
    expected = 2 * binary_cross_entropy(output.p_a, 0 * batch.label) + binary_cross_entropy(output.p_v, nothing)
    torch.testing.assert_close(loss, expected + binary_cross_entropy(output.P, batch.label))


# How it is trained and selected


def test_item_14_one_schedule_for_everything_on_jomold() -> None:
    found = {run for run, row in rows().items() if row.method == "jomold"}
    assert found == ON_JOMOLD | {"jomold-noise"}
    for run in found:
        protocol = protocol_of(run)
        assert (protocol.batch_size, protocol.epochs, protocol.optimiser) == (128, 25, "adam"), run
        assert (protocol.learning_rate, protocol.decay_factor, protocol.decay_every) == (5e-4, 0.25, 6), run
        assert (protocol.metric, protocol.ties, protocol.select) == ("event_A", "later", "validation"), run
        assert (protocol.weight_decay, protocol.patience, protocol.watch_test) == (0.0, None, False), run
        assert 6 in rows()[run].seeds and len(rows()[run].seeds) == 5, run
    rates = [protocol_of("ours").rate(epoch) for epoch in range(25)]
    assert rates == pytest.approx([5e-4] * 6 + [1.25e-4] * 6 + [3.125e-5] * 6 + [7.8125e-6] * 6 + [1.953125e-6])
    for run in ("han", "han-ours", "han-dgm"):
        protocol = protocol_of(run)
        assert (protocol.batch_size, protocol.epochs, protocol.learning_rate) == (16, 40, 3e-4), run
        assert (protocol.decay_every, protocol.decay_factor, protocol.metric) == (10, 0.1, "segment_Type"), run
        assert 1 in rows()[run].seeds, run


def test_item_14_the_later_of_equal_epochs_by_audio_events_and_the_test_part_once(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = tiny_trainer("ours", clips, protocol={"epochs": 4})
    assert type(trainer.optimiser) is torch.optim.Adam
    assert trainer.optimiser.param_groups[0]["betas"] == (0.9, 0.999)
    event_a, asked = iter([10.0, 30.0, 30.0, 20.0]), []

    def scripted(clips: Clips, indices: Any, outputs: Any) -> Evaluation:
        asked.append(set(indices.tolist()))
        value = next(event_a)
        other = {name: 100 - value for name in METRICS}
        return Evaluation(loss={"logits": 1.0}, n=len(indices), metrics={**other, "event_A": value})

    monkeypatch.setattr(trainer.task, "evaluate", scripted)
    trainer.train()
    assert trainer.course.selected_epoch == 2  # of epochs 1 and 2, counted from 0, the later
    assert asked == [set(trainer.parts["val"].tolist())] * 4
    assert (trainer.task.parts, trainer.task.checkpoints) == (("test",), ("selected",))
    assert set(trainer.states) == {"last", "selected"}


# Dynamic gradient modulation


@pytest.mark.parametrize("run", ["jomold-dgm", "ours", "han-dgm", "han-ours"])
def test_item_15_scores_are_detached_and_labels_clean(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, model, output, batch, _ = after_backward(run)
    seen: list[tuple[Tensor, Tensor, Tensor, str]] = []
    monkeypatch.setattr(modulation, "imbalance", lambda *given: seen.append(given) or 1.0)
    method.gradients(model, output, batch, make_step(epoch=3))
    ((audio, visual, label, measure),) = seen
    assert not audio.requires_grad and not visual.requires_grad and measure == "fusion"
    assert {*label.flatten().tolist()} == {0.0, 1.0} and torch.equal(label, batch.label)
    separate = run in ("ours", "han-ours")
    assert (output.s_a is not None) == separate
    assert torch.equal(audio, output.s_a if separate else output.p_a)
    assert torch.equal(visual, output.s_v if separate else output.p_v)


LABEL = torch.tensor([[1.0, 0, 1, 0], [0, 1, 0, 0]])
AUDIO = torch.tensor([[0.8, 0.2, 0.6, 0.1], [0.3, 0.5, 0.2, 0.4]])
VISUAL = torch.tensor([[0.5, 0.1, 0.3, 0.2], [0.2, 0.8, 0.1, 0.3]])


def test_item_16_a_sum_a_difference_of_means_and_one_division_per_batch() -> None:
    found = [value.item() for value in modulation.score_and_discrepancy(AUDIO, LABEL)]
    assert found == pytest.approx([0.8 + 0.6 + 0.5, (0.7 - 0.15) + (0.5 - 0.3)])
    found = [value.item() for value in modulation.score_and_discrepancy(VISUAL, LABEL)]
    assert found == pytest.approx([1.6, 0.85])
    for measure, omega in (("score", 1.6 / 1.9), ("discrepancy", 0.85 / 0.75), ("fusion", 2.45 / 2.65)):
        assert modulation.imbalance(AUDIO, VISUAL, LABEL, measure) == pytest.approx(omega)
    # the discrepancy of early training may be negative: one millionth stands for it, on both sides
    wrong = torch.tensor([[0.1, 0.9, 0.1, 0.9], [0.9, 0.1, 0.9, 0.9]])
    assert modulation.imbalance(wrong, wrong, LABEL, "discrepancy") == 1.0
    assert modulation.imbalance(wrong, VISUAL, LABEL, "discrepancy") == pytest.approx(0.85e6)


def test_item_17_worked_coefficients() -> None:
    gamma = method_of("ours").options.gamma
    expected = {"score": (0.881805, 1), "discrepancy": (1, 0.887149), "fusion": (0.892257, 1)}
    for run, measure in (("ours-score", "score"), ("ours-discrepancy", "discrepancy"), ("ours", "fusion")):
        assert method_of(run).options.measure == measure
        omega = modulation.imbalance(AUDIO, VISUAL, LABEL, method_of(run).options.measure)
        assert modulation.coefficients(omega, gamma) == pytest.approx(expected[measure], abs=1e-6)


def test_item_17_one_label_makes_the_fusion_a_sharpened_score() -> None:
    def spread(values: list[float]) -> Tensor:
        """Six classes, the first of which is true."""
        return torch.tensor([[value, *[(1 - value) / 5] * 5] for value in values], dtype=torch.float64)

    label = torch.eye(6)[[0, 0]]
    visual, audio = spread([0.7, 0.2]), spread([0.4, 0.6])
    omega = modulation.imbalance(audio, visual, label, "fusion")
    assert omega == pytest.approx((11 * 0.9 - 2) / (11 * 1.0 - 2), abs=1e-12)  # ((2C-1) S_v - N) / ((2C-1) S_a - N)
    assert modulation.coefficients(omega, 0.1)[0] == pytest.approx(0.886566, abs=1e-6)
    gamma = method_of("ogm").options.gamma
    assert modulation.coefficients(omega, gamma)[0] == pytest.approx(0.278200, abs=1e-6)
    score_alone = modulation.imbalance(audio, visual, label, method_of("ogm").options.measure)
    assert modulation.coefficients(score_alone, gamma)[0] == pytest.approx(0.289156, abs=1e-6)


def test_item_18_gamma_and_one_side_at_a_time() -> None:
    damping = {run: method_of(run).options for run, row in rows().items() if row.settings.get("method", {}).get("dgm")}
    wanted = {run: 0.1 for run in damping if rows()[run].role != "cremad"} | GAMMAS
    wanted |= {"ogm": 0.8, "ogm-dgm": 0.8, "ogm-dgm-gamma-0.1": 0.1}
    assert {run: options.gamma for run, options in damping.items()} == wanted and len(wanted) > 20
    for run, options in damping.items():
        start, end = (0, 50) if rows()[run].role == "cremad" else (0, None)
        assert (options.start_epoch, options.end_epoch) == (start, end), run
    for omega in (0.2, 0.999, 1.0, 1.001, 5.0):
        mu_a, mu_v = modulation.coefficients(omega, 0.1)
        assert (mu_a < 1, mu_v < 1) == (omega < 1, omega > 1)
    assert modulation.coefficients(1 + 1e-9, 0.1)[1] == pytest.approx(1 - math.tanh(0.1))  # the jump stays


@pytest.mark.parametrize("omega", [3.0, 1 / 3])
@pytest.mark.parametrize("run", ["jomold-dgm", "ours", "han-dgm", "han-ours"])
def test_item_19_exactly_the_encoders_and_own_heads_of_the_leader_are_damped(
    run: str, omega: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, model, output, batch, before = after_backward(run, noise="none")
    monkeypatch.setattr(modulation, "imbalance", lambda *_: omega)
    method.gradients(model, output, batch, make_step())
    after, leader = gradients_of(model), "visual" if omega > 1 else "audio"
    expected = {name for name in before if name.startswith(f"encoders.{leader}.")}
    if "ours" in run:
        expected |= {name for name in before if name.startswith(f"{leader}_heads.")}
    assert len(expected) == {"audio": 2, "visual": 6}[leader] + (6 if "ours" in run else 0)
    assert {name for name in before if not torch.equal(before[name], after[name])} == expected
    for name in expected:
        torch.testing.assert_close(after[name], (1 - math.tanh(0.3)) * before[name])
    assert {"attention", *(["measuring"] if "ours" in run else ["audio_heads"])} <= {
        name.split(".")[0] for name in set(before) - expected
    }


def test_item_19_with_noise_the_shared_layers_and_measuring_heads_keep_every_bit() -> None:
    method, model, output, batch, before = after_backward("ours")
    method.gradients(model, output, batch, make_step())
    changed = {name for name, value in gradients_of(model).items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in changed} == {"encoders", "audio_heads", "visual_heads"}
    assert {name.split(".")[0] for name in set(before) - changed} == {"attention", "measuring"}


def test_item_19_modulation_stands_between_backward_and_the_optimiser(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = tiny_trainer("ours", clips, protocol={"epochs": 1, "max_steps": 1})
    order: list[str] = []
    modulate, step = trainer.method.gradients, trainer.optimiser.step

    def watched(model: Any, *given: Any) -> None:
        assert all(parameter.grad is not None for parameter in model.parameters())  # after backward
        order.append("modulate")
        modulate(model, *given)

    monkeypatch.setattr(trainer.method, "gradients", watched)
    monkeypatch.setattr(trainer.optimiser, "step", lambda: order.append("step") or step())
    trainer.train()
    assert order == ["modulate", "step"]


def test_item_20_noise_has_the_spread_of_the_unmodulated_gradient_and_also_where_nothing_is_damped() -> None:
    assert {method_of(run).options.noise for run in ("ours", "jomold-dgm", "han-ours", "ogm", "psp-dgm")} == {"added"}
    gradient = 0.3 * random(400, 400) + 0.1
    for mu in (1.0, 0.1):
        changed, state = gradient.clone(), torch.get_rng_state()
        modulation.modulate(changed, mu, "added", torch.Generator().manual_seed(1))
        noise = changed - mu * gradient
        assert noise.std().item() == pytest.approx(gradient.std().item(), rel=0.02)
        assert noise.mean().item() == pytest.approx(0, abs=0.005)
        assert torch.equal(torch.get_rng_state(), state)  # dropout and order of clips stay comparable


def test_item_20_every_step_draws_anew(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[list[int]] = [[], []]
    for seeds in found:
        trainer = tiny_trainer("ours", clips)
        step = trainer.method.after_step
        monkeypatch.setattr(
            trainer.method,
            "after_step",
            lambda model, at, seeds=seeds, step=step: seeds.append(at.generator.initial_seed()) or step(model, at),
        )
        trainer.train()
    assert found[0] == found[1] and len(set(found[0])) == len(found[0]) > 4


def test_item_20_a_resumed_run_draws_the_noise_of_one_that_was_never_stopped(
    clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tiny_trainer("ours", clips)
    whole.train()
    stopped = tiny_trainer("ours", clips, state=tmp_path)
    step = stopped.optimiser.step
    taken: list[Any] = []

    def fail_later() -> None:
        if len(taken) == 4:  # in the second epoch
            raise KeyboardInterrupt
        taken.append(step())

    monkeypatch.setattr(stopped.optimiser, "step", fail_later)
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    resumed = tiny_trainer("ours", clips, state=tmp_path)
    resumed.train()
    assert equal(resumed.states["last"], whole.states["last"])


def test_item_21_without_noise_and_damping_every_bit_is_that_of_the_plain_run(clips: Clips) -> None:
    found = {}
    variants: dict[str, dict[str, Any]] = {
        "plain": {"dgm": False},
        "by one": {"gamma": 0.0, "noise": "none"},
        "ours": {},
    }
    for name, options in variants.items():
        trainer = tiny_trainer("ours", clips, method=options)
        trainer.train()
        found[name] = trainer.states["last"]
    assert equal(found["plain"], found["by one"]) and not equal(found["plain"], found["ours"])


# Modality-separated decision units

AUXILIARY = ("jomold-msdu-shared", "jomold-heads")  # with its loss, and without


@pytest.mark.parametrize("run", ["ours", "han-ours"])
def test_item_22_a_measuring_head_sees_its_own_modality_only(run: str) -> None:
    model = network(run, **SMALL).eval()
    output, seen, heard = model(make_batch()), model(make_batch(visual=9)), model(make_batch(audio=9))
    assert torch.equal(output.s_a, seen.s_a) and not torch.equal(output.s_v, seen.s_v)
    assert torch.equal(output.s_v, heard.s_v) and not torch.equal(output.s_a, heard.s_a)
    assert not torch.equal(output.p_a, seen.p_a)  # the main path attends to both
    for modality, encoded, scores in (("audio", output.e_a, output.s_a), ("visual", output.e_v, output.s_v)):
        heads = model.measuring[modality]
        over = heads.frame_att(encoded).softmax(1)
        torch.testing.assert_close(scores, (over * heads.prob(encoded).sigmoid()).sum(1))


@pytest.mark.parametrize(("run", "weights"), [("ours", (2, 1)), ("jomold-msdu", (2, 1)), ("han-ours", (1, 1))])
def test_item_23_the_measuring_heads_have_a_loss_of_weight_one(run: str, weights: tuple[int, int]) -> None:
    model, batch = network(run, **SMALL).eval(), make_batch()
    output = model(batch)
    whole, without = (method_of(run, lambda_ms=weight) for weight in (method_of(run).options.lambda_ms, 0.0))
    for method in (whole, without):
        if rows()[run].method == "jomold":
            prepared(method, model)
    found = whole.loss(model, output, batch, make_step()) - without.loss(model, output, batch, make_step())
    smooth = torch.where(batch.label > 0, 0.95, 0.05)
    expected = weights[0] * binary_cross_entropy(output.s_a, batch.label)
    torch.testing.assert_close(found, expected + weights[1] * binary_cross_entropy(output.s_v, smooth))


def test_item_23_its_gradient_reaches_the_encoders_but_in_the_detached_control() -> None:
    for run, reached in (("ours", True), ("jomold-msdu", True), ("ours-detach", False)):
        model = network(run, **SMALL).train()
        output = model(make_batch())
        (output.s_a.sum() + output.s_v.sum()).backward()
        assert any(name.startswith("encoders.") for name in gradients_of(model)) == reached, run
    full, control, detached = (rows()[run].settings for run in ("ours", "jomold-msdu", "ours-detach"))
    assert control["method"]["dgm"] is False and control["model"] == full["model"]
    assert detached["method"] == full["method"]
    assert detached["model"] == {**full["model"], "msdu_detach": True}


def test_item_23_heads_and_auxiliary_loss_apart() -> None:
    full, heads, shared = (rows()[run].settings for run in ("jomold-msdu", "jomold-heads", "jomold-msdu-shared"))
    assert heads == {**full, "method": {**full["method"], "lambda_ms": 0.0}}
    assert shared == {**full, "model": {**full["model"], "msdu_heads": "shared"}}
    batch, plain = make_batch(), network("jomold", **SMALL).eval()
    model = network("jomold-msdu-shared", **SMALL).eval()
    assert equal(model.state_dict(), plain.state_dict())  # not one weight more than JoMoLD
    output, without = model(batch), plain(batch)
    for name in ("frame_prob", "P", "p_a", "p_v"):
        assert torch.equal(getattr(output, name), getattr(without, name)), name
    for encoded, scores in ((output.e_a, output.s_a), (output.e_v, output.s_v)):
        over = model.audio_heads.frame_att(encoded).softmax(1)
        torch.testing.assert_close(scores, (over * model.audio_heads.prob(encoded).sigmoid()).sum(1))
    losses = [prepared(method_of(run), model).loss(model, model(batch), batch, make_step()) for run in AUXILIARY]
    smooth = torch.where(batch.label > 0, 0.95, 0.05)
    added = 2 * binary_cross_entropy(output.s_a, batch.label) + binary_cross_entropy(output.s_v, smooth)
    torch.testing.assert_close(losses[0] - losses[1], added)
    (output.s_a.sum() + output.s_v.sum()).backward()
    assert {name.split(".")[0] for name in gradients_of(model)} == {"encoders", "audio_heads"}


def test_item_24_one_file_of_noise_ratios_per_seed_made_without_modulation() -> None:
    for seed in (6, 0, 1, 2, 3):
        files = {SeededRun(rows()[run], seed).inputs()["ratios"] for run in ON_JOMOLD}
        assert files == {f"{SLUG}/llp/jomold-ratios/seed{seed}/noise_ratios.json"}
        assert all(seed in rows()[run].seeds for run in (*ON_JOMOLD, "jomold-ratios", "jomold-noise"))
    assert rows()["jomold-ratios"].needs == {"model": {"run": "jomold-noise", "file": "model.safetensors"}}
    assert rows()["jomold-noise"].needs == {} and method_of("jomold-noise").options.dgm is False
    assert all(method_of(run).options.denoise is True for run in ON_JOMOLD)


# CREMA-D and AVE


def test_item_25_crema_d_differs_from_ogm_in_the_measure_alone() -> None:
    ogm, ours = (rows()[run].settings for run in ("ogm", "ogm-dgm"))
    assert {**ours, "method": {**ours["method"], "measure": "score"}} == ogm
    assert ogm["method"]["measure"] == "score" and ours["method"]["measure"] == "fusion"
    options = method_of("ogm-dgm").options
    assert (options.gamma, options.start_epoch, options.end_epoch) == (0.8, 0, 50)
    protocol = protocol_of("ogm-dgm")
    assert (protocol.optimiser, protocol.learning_rate, protocol.momentum) == ("sgd", 1e-3, 0.9)
    assert (protocol.weight_decay, protocol.batch_size, protocol.epochs) == (1e-4, 64, 100)
    assert (protocol.decay_every, protocol.decay_factor, protocol.watch_test) == (70, 0.1, True)
    assert len(rows()["ogm"].seeds) == len(rows()["ogm-dgm"].seeds) == 5
    assert get_audio_recipe(ours["data"]["audio_recipe"]).shape == (257, 188)
    assert (ours["data"]["frames"], ours["data"]["crop"], ours["model"]["fusion"]) == (1, 224, "concat")


@pytest.mark.parametrize(("epoch", "modulated"), [(0, True), (50, True), (51, False)])
def test_item_25_only_convolution_kernels_and_only_up_to_epoch_fifty(epoch: int, modulated: bool) -> None:
    model = network("ogm-dgm", 6, width=2, stem="small")
    batch = Batch(random(4, 1, 16, 24), random(4, 3, 1, 16, 16, seed=1), torch.arange(4), torch.arange(4))
    method, output = method_of("ogm-dgm"), model(batch)
    method.loss(model, output, batch, make_step()).backward()
    before = gradients_of(model)
    method.gradients(model, output, batch, make_step(epoch))
    changed = {name for name, value in gradients_of(model).items() if not torch.equal(value, before[name])}
    kernels = {name for name, value in before.items() if name.startswith("encoders.") and value.ndim == 4}
    assert changed == (kernels if modulated else set())
    assert {side: sum(f".{side}." in name for name in kernels) for side in ("audio", "visual")} == {
        "audio": 20,
        "visual": 20,
    }


def test_item_25_the_lists_are_those_of_ogm() -> None:
    from avbalance.data.sources.cremad import CLASSES as EMOTIONS
    from avbalance.data.sources.cremad import read_split

    parts = {name: read_split(real("cremad", f"{name}.csv")) for name in ("train", "test")}
    assert {name: len(part.ids) for name, part in parts.items()} == {"train": 6_698, "test": 744}
    assert list(EMOTIONS) == ["NEU", "HAP", "SAD", "FEA", "DIS", "ANG"]


def test_item_26_psp_with_labels_of_seconds_and_its_published_settings(tmp_path: Path) -> None:
    from tiny_segments import make_segment_data

    base, ours = (rows()[run].settings for run in ("psp", "psp-dgm"))
    assert {**ours, "method": base.get("method", {})} == {"method": {}, **base}
    for run, unit in (("psp-position", base), ("psp-position-dgm", ours)):  # as in the public code
        assert rows()[run].settings == {**unit, "model": {**unit["model"], "guide": "position"}}
    assert base["data"]["task"] == "localisation" and network("psp", 29).propagation.threshold == 0.099
    options = method_of("psp-dgm").options
    assert (options.measure, options.gamma, options.similarity_weight) == ("fusion", 0.1, 100.0)
    protocol = protocol_of("psp-dgm")
    assert (protocol.optimiser, protocol.batch_size, protocol.epochs) == ("adam", 128, 300)
    rates = [protocol.rate(epoch) for epoch in (0, 59, 60, 119, 120, 299)]
    assert rates == pytest.approx([1e-3, 1e-3, 8e-4, 8e-4, 6.4e-4, 6.4e-4])
    data = make_segment_data(tmp_path, grid=True)
    settings = copy.deepcopy(ours)
    settings["model"] |= {"visual_width": 4}
    clips = load_clips(data.manifest, data.audio, data.visual)
    trainer = make_trainer("psp", settings, 0, clips, torch.device("cpu"))
    assert trainer.source.batches(np.arange(3_339)) == 26  # whole batches only
    seconds = trainer.evaluate("test").metrics["accuracy"] / 100 * SEGMENTS * len(trainer.parts["test"])
    assert seconds == pytest.approx(round(seconds), abs=1e-6)  # 4,020 seconds of 402 test videos: steps of 1 / 4,020
    labels = trainer.source.targets
    assert labels.shape == (len(clips.ids), SEGMENTS) and int(labels.max()) == len(clips.classes) - 1


def test_item_26_the_loss_counts_every_second_and_the_similarity_a_hundred_times() -> None:
    from avbalance.models.base import ModelOutput

    label = torch.full((2, SEGMENTS), 28)
    label[0, 2:6], label[1, :] = 3, 7
    features = {"audio": random(2, SEGMENTS, 8, seed=1), "visual": random(2, SEGMENTS, 8, seed=2)}
    output = ModelOutput(random(2, SEGMENTS, 29), {}, features)
    cosine = torch.nn.functional.cosine_similarity(features["audio"], features["visual"], dim=-1).relu()
    wanted = torch.tensor([[0.25 * (2 <= second < 6) for second in range(SEGMENTS)], [0.1] * SEGMENTS])
    expected = cross_entropy(output.logits.reshape(-1, 29), label.reshape(-1))
    expected = expected + 100 * mse_loss(cosine / (cosine.sum(1, keepdim=True) + 1e-8), wanted)
    batch = Batch(random(2, SEGMENTS, 128), None, label, torch.arange(2))
    torch.testing.assert_close(method_of("psp").loss(None, output, batch, make_step()), expected)


# What is reported


def test_item_27_tables_name_split_gate_version_and_selection_and_files_hold_every_seed(tmp_path: Path) -> None:
    from parsing_files import declarations, made_up_paper

    from avbalance.evaluation.measure import measure, read_measurements
    from avbalance.evaluation.parsing_predictions import read_parsing
    from avbalance.reporting.tables import render_tables

    paper = made_up_paper(tmp_path / "runs", {"jomold": (6, 0), "ours": (6, 0)})
    measure(paper, {}, tmp_path / "measurements.parquet")
    frame = read_measurements(tmp_path / "measurements.parquet")
    assert {"dataset", "run", "seed", "split", "protocol", "checkpoint", "metric", "n"} <= set(frame.columns)
    parsing = frame[frame["run"].isin(["jomold", "ours"])]
    assert set(parsing["seed"]) == {6, 0} and set(parsing["split"]) == {"test"}
    assert {"none", "repaired", "events"} >= set(parsing["protocol"]) >= {"none", "events"}
    assert set(parsing["checkpoint"]) == {"selected"}
    render_tables(paper, declarations(), tmp_path / "measurements.parquet", tmp_path / "out")
    for name in ("table1", "table4", "table5", "table6", "table7"):
        text = (tmp_path / "out" / f"{name}.md").read_text(encoding="utf-8")
        for said in ("Test part", "selected on validation", "each modality's own", "two versions", "over seeds"):
            assert said in text, (name, said)
        long = pd.read_csv(tmp_path / "out" / f"{name}.csv")
        assert set(long.loc[long["ours_mean"].notna(), "seeds"]) == {2}
    for name in ("table2", "table3"):
        text = (tmp_path / "out" / f"{name}.md").read_text(encoding="utf-8")
        assert all(said in text for said in ("Selected on validation", "Last epoch", "Best epoch on test")), name
    (some,) = (run.predictions for run in paper.runs if (run.run, run.seed) == ("ours", 6))
    assert read_parsing(some).gate == "modality"


def test_item_27_only_the_refinement_by_exchanged_tracks_takes_the_last_epoch() -> None:
    last = {run for run, row in rows().items() if row.settings["protocol"].get("select") == "last"}
    assert last == {f"ma{stage}{variant}" for stage in ("", "-base", "-labels") for variant in ("", "-no-cl")}


def test_item_27_the_version_of_the_truth_is_known_by_its_bytes() -> None:
    options = sheet().datasets["llp"]["options"]
    assert options["audio_truth"] == "old" and {"audio_old", "audio_repaired"} <= set(options)
    assert sorted(name.split()[0] for name in llp.AUDIO_VERSIONS.values()) == ["old", "repaired"]
    declared = {table["id"]: table for table in sheet().papers[SLUG]["tables"]}
    assert {value["value"] for value in declared["tableS1"]["rows"][1]["values"]} == {"none", "repaired"}


def test_item_28_rows_without_public_code_say_that_they_are_approximate() -> None:
    table = next(table for table in sheet().papers[SLUG]["tables"] if table["id"] == "table1")
    shown = [value["value"] if isinstance(value, dict) else value for value in table["rows"][0]["values"]]
    marked = {run for run in shown if "approximate re-implementation" in rows()[run].label}
    assert marked == APPROXIMATE and set(shown) - marked >= {"han", "ma", "jomold", "mm-pyramid", "cvcms", "ours"}
    assert not any(isinstance(value, dict) and value["value"] in APPROXIMATE for value in table["rows"][0]["values"])
    for run in APPROXIMATE:
        model, card = network(run, **({"width": 16} if run not in ("talnet",) else {})), method_of(run).card
        known = "Approximate" in " ".join([*card.deviations, type(model).__doc__ or ""])
        assert known, run


def test_every_item_has_a_test() -> None:
    names = [name for name in globals() if name.startswith("test_item_")]
    assert {int(name.split("_")[2]) for name in names} == set(range(1, 29))
