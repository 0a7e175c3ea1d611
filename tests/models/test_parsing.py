"""Parsing networks: sizes, groups, what depends on what, pooling by hand, and HAN's layers against plain formulas."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small_models import CLASSES, CLIPS, SEGMENTED, SEGMENTS, batch_for, make, random

from avbalance.errors import UserError
from avbalance.models.base import Batch, build
from avbalance.models.cmcs import mean_pairwise_cosine
from avbalance.models.mm_pyramid import WindowAttention
from avbalance.models.parsing import HybridAttention, VisualEncoder, attentive_pooling
from avbalance.models.talnet import linear_softmax_pooling

SINGLE = [name for name in SEGMENTED if name != "twin-han"]
APPROXIMATE = {"talnet", "stpn", "cmcs", "ave-net", "avsdn"}


def batch(audio: int = 1, visual: int = 2) -> Batch:
    return batch_for("han", audio, visual)


def han(**settings: Any) -> Any:
    return make("han", **{"visual_dropout": 0.0, "msdu": False, **settings})


@pytest.mark.parametrize("name", SINGLE)
def test_shapes_and_ranges(name: str) -> None:
    model = make(name).eval()
    output = model(batch())
    assert output.frame_prob.shape == (CLIPS, SEGMENTS, 2, CLASSES)
    for pooled in (output.P, output.p_a, output.p_v, output.logits, *output.scores.values()):
        assert pooled.shape == (CLIPS, CLASSES) and bool(pooled.isfinite().all())
    assert bool(((output.frame_prob >= 0) & (output.frame_prob <= 1)).all())
    for name_of, features in {"audio": (output.e_a, output.f_a), "visual": (output.e_v, output.f_v)}.items():
        seen = name_of in model.modalities
        assert all(feature.shape[:2] == (CLIPS, SEGMENTS) for feature in features)
        assert all((feature.shape[2] > 0) == seen for feature in features)
    torch.testing.assert_close(output.scores["audio"].sigmoid(), output.p_a, atol=1e-6, rtol=1e-5)
    assert ("Approximate" in (type(model).__doc__ or "")) == (name in APPROXIMATE)


def test_initialisation_is_pytorch_s_own_and_spends_the_generator() -> None:
    generator = torch.Generator().manual_seed(4)
    model = build({"name": "talnet", "width": 8}, CLASSES, generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        expected = torch.nn.GRU(128, 8, batch_first=True, bidirectional=True), torch.nn.Linear(16, CLASSES)
        after = torch.rand(3)
    for found, wanted in zip((model.encoders["audio"], model.prob), expected, strict=True):
        for parameter, twin in zip(found.parameters(), wanted.parameters(), strict=True):
            assert torch.equal(parameter, twin)
    assert torch.equal(torch.rand(3, generator=generator), after)


def test_measuring_heads_change_no_weight_drawn_before_them() -> None:
    plain, separate = han().state_dict(), han(msdu=True).state_dict()
    for key, value in plain.items():
        assert torch.equal(value, separate[key]), key
    extra = set(separate) - set(plain)
    assert {key.split(".")[0] for key in extra} == {"visual_heads", "measuring"}


# Encoders: no activation, and frames averaged before or after the affine map.


def test_averaging_frames_first_equals_averaging_their_features() -> None:
    encoder = VisualEncoder(32)
    frames, clips = random(CLIPS, 8 * SEGMENTS, 2048), random(CLIPS, SEGMENTS, 512, seed=1)
    of_frames = torch.nn.functional.avg_pool1d(encoder.fc_v(frames).transpose(1, 2), 8).transpose(1, 2)
    expected = encoder.fc_fusion(torch.cat([of_frames, encoder.fc_st(clips)], -1))
    averaged = frames.view(CLIPS, SEGMENTS, 8, 2048).mean(2)
    found = encoder(torch.cat([averaged, clips], -1))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


# The hybrid attention layer against its formula.


def test_one_layer_serves_both_modalities_from_unmodified_inputs() -> None:
    layer = HybridAttention(8, 0.1).eval()
    first, second = random(2, SEGMENTS, 8), random(2, SEGMENTS, 8, seed=1)
    one, two = layer.both(first, second)
    two_swapped, one_swapped = layer.both(second, first)
    assert torch.equal(one, one_swapped) and torch.equal(two, two_swapped)


def test_evaluation_of_many_segments_multiplies_the_maps_first_and_finds_the_same() -> None:
    layer = HybridAttention(8, 0.1).eval()
    for parameter in layer.parameters():
        parameter.data.normal_(generator=torch.Generator().manual_seed(4))
    first, second = torch.randn(2, 12, 10, 8, generator=torch.Generator().manual_seed(5))
    with_gradient = layer.both(first, second)
    with torch.no_grad():
        folded, few = layer.both(first, second), layer(first[:1], second[:1])
    for whole, half in zip(with_gradient, folded, strict=True):
        torch.testing.assert_close(half, whole.detach(), rtol=1e-4, atol=1e-5)
        assert not torch.equal(half, whole), "another order of products rounds differently: the folded way was taken"
    assert torch.equal(few, layer(first[:1], second[:1]))


def test_without_cross_attention_the_modalities_do_not_meet() -> None:
    model, alone = han().eval(), han(with_ca=False).eval()
    before, after = (alone(batch(visual=seed)) for seed in (2, 9))
    assert torch.equal(before.f_a, after.f_a) and torch.equal(before.p_a, after.p_a)
    assert not torch.equal(before.f_v, after.f_v)
    crossed, moved = (model(batch(visual=seed)) for seed in (2, 9))
    assert not torch.equal(crossed.f_a, moved.f_a)
    assert torch.equal(crossed.e_a, moved.e_a) and torch.equal(crossed.e_a, before.e_a)


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("han", {"dropout": 1.0}, "model, dropout: is 1.0; it must be less than 1"),
        ("han", {"msdu": False, "msdu_detach": True}, "it needs msdu: true"),
        ("han", {"msdu": False, "msdu_heads": "shared"}, "msdu_heads is 'shared'; it needs msdu: true"),
        ("mm-pyramid", {"attention_heads": 3}, "multiple of attention_heads"),
        ("cmcs", {"branches": 1}, "model, branches: is 1; it must be greater than or equal to 2"),
    ],
)
def test_settings_that_do_not_fit_are_refused(name: str, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        make(name, **settings)
    assert sentence in str(raised.value)


# Pooling.


def test_pooling_by_hand() -> None:
    # one class, two segments; audio .9, .5 with time weights 3/4, 1/4; visual .2, .6 with 1/2, 1/2
    # p_a = .675 + .125 = .8, p_v = .1 + .3 = .4; modality weights (audio) 1/4 in segment 1, 1/2 in segment 2:
    # P = .675/4 + .1*3/4 + .125/2 + .3/2 = .16875 + .075 + .0625 + .15 = .45625
    frame_prob = torch.tensor([[[[0.9], [0.2]], [[0.5], [0.6]]]])
    frame_att = torch.tensor([[[[math.log(3)], [0.0]], [[0.0], [0.0]]]])
    av_att = torch.tensor([[[[0.0], [math.log(3)]], [[0.0], [0.0]]]])
    pooled = attentive_pooling(frame_prob, frame_att, av_att)
    assert [round(float(part), 6) for part in pooled] == [0.45625, 0.8, 0.4]


def test_the_pooled_probability_may_exceed_one() -> None:
    # audio all of its time in segment 1 and chosen there, visual in segment 2 and chosen there: .9 + .8
    frame_prob = torch.tensor([[[[0.9], [0.8]], [[0.9], [0.8]]]])
    far = torch.tensor([[[[30.0], [-30.0]], [[-30.0], [30.0]]]])
    pooled = attentive_pooling(frame_prob, far, far)
    assert [round(float(part), 5) for part in pooled] == [1.7, 0.9, 0.8]


# Measuring heads and groups.


# The others.


@pytest.mark.parametrize(("name", "seen"), [("talnet", "audio"), ("stpn", "visual"), ("cmcs", "visual")])
def test_networks_of_one_modality_ignore_the_other(name: str, seen: str) -> None:
    model, both, changed, alone = make(name), batch(), batch(), batch()
    unseen = "visual" if seen == "audio" else "audio"
    setattr(changed, unseen, torch.full_like(both.modality(unseen), math.nan))
    setattr(alone, unseen, None)
    before = model(both)
    for other in (changed, alone):
        after = model(other)
        assert torch.equal(before.frame_prob, after.frame_prob) and torch.equal(before.P, after.P)
    own, missing = (before.p_a, before.p_v) if seen == "audio" else (before.p_v, before.p_a)
    assert torch.equal(before.P, own) and not bool(missing.any())
    silent = before.frame_prob[:, :, 1 if seen == "audio" else 0]
    assert not bool(silent.any())
    with pytest.raises(UserError, match=f"carries no {seen}"):
        setattr(alone, seen, None)
        model(alone)


def test_linear_softmax_pooling_by_hand() -> None:
    # (.8^2 + .2^2) / (.8 + .2); all zero gives zero, not nan
    assert float(linear_softmax_pooling(torch.tensor([[[0.8], [0.2]]]))) == pytest.approx(0.68)
    assert float(linear_softmax_pooling(torch.zeros(1, 2, 1))) == 0


def test_stpn_weighs_logits_and_punishes_attention() -> None:
    model = make("stpn", sparsity=0.5)
    output = model(batch())
    attention, logits = model.attention(output.e_v), model.prob(output.e_v)
    torch.testing.assert_close(output.frame_prob[:, :, 1], logits.sigmoid() * attention)
    weights = attention / attention.sum(1, keepdim=True)
    torch.testing.assert_close(output.p_v, (weights * logits).sum(1).sigmoid())
    torch.testing.assert_close(output.auxiliary, 0.5 * attention.abs().mean())


def test_cosine_between_branches_by_hand() -> None:
    # one video, one class, two segments; sequences (1, 0), (0, 1), (1, 1): cosines 0, 1/sqrt 2, 1/sqrt 2
    activation = torch.tensor([[[[1.0], [0.0], [1.0]], [[0.0], [1.0], [1.0]]]])
    assert float(mean_pairwise_cosine(activation)) == pytest.approx(math.sqrt(2) / 3)


def test_cmcs_averages_its_branches_and_keeps_the_last_share_for_the_background() -> None:
    model = make("cmcs", diversity=0.3)
    output = model(batch())
    activation = torch.stack([branch(output.e_v).softmax(-1) for branch in model.branches])
    torch.testing.assert_close(output.frame_prob[:, :, 1], activation.mean(0)[..., :CLASSES])
    weights = model.attention(output.e_v).softmax(1)
    torch.testing.assert_close(output.p_v, (weights * output.frame_prob[:, :, 1]).sum(1))
    torch.testing.assert_close(output.auxiliary, 0.3 * mean_pairwise_cosine(activation.permute(1, 2, 0, 3)))


@pytest.mark.parametrize("name", ["ave-net", "avsdn"])
def test_max_pooled_networks(name: str) -> None:
    output = make(name)(batch())
    assert torch.equal(output.p_a, output.frame_prob[:, :, 0].max(1).values)
    assert torch.equal(output.P, output.frame_prob.flatten(1, 2).max(1).values)


@pytest.mark.parametrize(("name", "blind"), [("ave-net", "e_a"), ("avsdn", "e_a"), ("avsdn", "e_v")])
def test_what_the_readers_see(name: str, blind: str) -> None:
    model = make(name)
    before = model(batch())
    changed = model(batch(visual=9)) if blind == "e_a" else model(batch(audio=8))
    assert torch.equal(getattr(before, blind), getattr(changed, blind))
    assert not torch.equal(before.frame_prob, changed.frame_prob)


def test_ave_net_lets_the_sound_choose_between_appearance_and_motion() -> None:
    model, given = make("ave-net"), batch()
    assert not torch.equal(model(given).e_v, model(batch(audio=8)).e_v)
    encoder, visual = model.encoders["visual"], given.modality("visual")
    seen = (encoder.appearance(visual[..., :2048]), encoder.motion(visual[..., 2048:]))
    heard = encoder.hear(given.modality("audio")).relu()
    scores = [encoder.score((encoder.see(one).relu() + heard).tanh()) for one in seen]
    share = (scores[0] - scores[1]).sigmoid()  # a softmax over two
    torch.testing.assert_close(model(given).e_v, encoder.memory(share * seen[0] + (1 - share) * seen[1])[0])


@pytest.mark.parametrize("modality", ["audio", "visual"])
def test_avsdn_tells_every_step_how_the_video_ended(modality: str) -> None:
    model, changed = make("avsdn"), batch()
    moved = changed.modality(modality).clone()
    moved[:, -1] += 1
    setattr(changed, modality, moved)
    before, after = model(batch()), model(changed)
    assert torch.equal(before.e_a[:, 0], after.e_a[:, 0]) and torch.equal(before.e_v[:, 0], after.e_v[:, 0])
    for index in range(2):
        assert not torch.equal(before.frame_prob[:, 0, index], after.frame_prob[:, 0, index])


@pytest.mark.parametrize("reach", [1, 4, None])
def test_window_attention_against_its_formula(reach: int | None) -> None:
    layer = WindowAttention(8, 2, 0.1, reach).eval().double()
    query, memory = random(2, SEGMENTS, 8).double(), random(2, SEGMENTS, 8, seed=1).double()
    expected = torch.zeros(2, SEGMENTS, 8, dtype=torch.float64)
    q, k, v = layer.query(query), layer.key(memory), layer.value(memory)
    for head in (slice(0, 4), slice(4, 8)):
        for t in range(SEGMENTS):
            near = [s for s in range(SEGMENTS) if reach is None or abs(s - t) <= reach]
            weight = torch.softmax((k[:, near, head] * q[:, t : t + 1, head]).sum(-1) / 2, 1)  # sqrt of 4 per head
            expected[:, t, head] = (weight[..., None] * v[:, near, head]).sum(1)
    torch.testing.assert_close(layer(query, memory), layer.out(expected))


@pytest.mark.parametrize(("levels", "sight"), [(1, 2), (2, 6)])
def test_how_far_a_pyramid_sees(levels: int, sight: int) -> None:
    # level 0: attention over one segment to each side, then a convolution over one more; level 1: two and two
    model = make("mm-pyramid", levels=levels).eval()
    before, changed = batch(), batch()
    assert changed.audio is not None
    changed.audio = changed.audio.clone()
    changed.audio[:, 0] += 1
    after, first = model(changed), model(before)
    for one, other in ((first.f_a, after.f_a), (first.f_v, after.f_v)):
        same = [torch.equal(one[:, t], other[:, t]) for t in range(SEGMENTS)]
        assert same == [t > sight for t in range(SEGMENTS)]


def test_branch_of_a_pyramid_level_against_its_formula() -> None:
    branch = make("mm-pyramid").levels[1].branches["audio"].eval()
    stream, crossed = random(2, SEGMENTS, 16), random(2, SEGMENTS, 16, seed=1)
    attended = branch.self_layer(stream, stream)
    both = torch.cat([attended, crossed], -1)
    gated = torch.sigmoid(branch.gate_self(both)) * attended + torch.sigmoid(branch.gate_cross(both)) * crossed
    padded = torch.nn.functional.pad(gated, (0, 0, 2, 2))
    taps = [padded[:, 2 * tap : 2 * tap + SEGMENTS] @ branch.dilated.weight[:, :, tap].T for tap in range(3)]
    hidden = (sum(taps) + branch.dilated.bias).relu()
    expected = (hidden @ branch.pointwise.weight[:, :, 0].T + branch.pointwise.bias + gated).relu()
    torch.testing.assert_close(branch(stream, crossed), expected)


def test_pyramid_normalises_queries_only() -> None:
    layer = make("mm-pyramid").levels[0].cross_layer.eval()
    query, memory = random(1, SEGMENTS, 16), random(1, SEGMENTS, 16, seed=1)
    attended = query + layer.attention(layer.norm_query(query), memory)
    expected = attended + layer.contract(layer.expand(layer.norm_attended(attended)).relu())
    torch.testing.assert_close(layer(query, memory), expected)


def test_pyramid_selection_weights_are_not_normalised() -> None:
    selection = make("mm-pyramid").selections["audio"].eval()
    torch.nn.init.constant_(selection.weight.bias, 50.0)  # every sigmoid is 1: the sum of all levels
    levels = [random(2, SEGMENTS, 16, seed=seed) for seed in range(3)]
    stacked = torch.stack(levels, 2).flatten(0, 1)
    expected = selection.layer(stacked, stacked).sum(1).view(2, SEGMENTS, 16)
    torch.testing.assert_close(selection(levels), expected)
    mixed, changed = selection.layer(stacked, stacked), stacked.clone()
    changed[:, 0] += 1
    assert not torch.equal(mixed[:, 2], selection.layer(changed, changed)[:, 2])  # every level attends to all


def test_cvcms_tokens_attend_within_their_segment() -> None:
    model = make("cvcms").eval()
    f_a, f_v = random(2, SEGMENTS, 16), random(2, SEGMENTS, 16, seed=1)
    before = model._segment_probabilities(f_a, f_v)
    moved = f_a.clone()
    moved[:, 4] += 1
    after = model._segment_probabilities(moved, f_v)
    changed = [not torch.equal(before[:, t], after[:, t]) for t in range(SEGMENTS)]
    assert changed == [t == 4 for t in range(SEGMENTS)]
    assert not torch.equal(before[:, 4, 1], after[:, 4, 1])  # visual attends to audio
    # the classes of segment (1, 4) from its own tokens, written out
    audio, visual = (
        model.tokens[name](feature[1, 4]).relu().view(1, CLASSES, 8)
        for name, feature in (("audio", f_a), ("visual", f_v))
    )
    expected = model.prob["audio"](model.token_attention(audio, visual)).sigmoid().flatten()
    torch.testing.assert_close(before[1, 4, 0], expected)


@pytest.mark.parametrize("name", ["mm-pyramid", "cvcms"])
def test_pooling_of_the_others_is_han_s(name: str) -> None:
    output = make(name).eval()(batch())
    temporal = torch.softmax(output.frame_att, 1) * output.frame_prob
    torch.testing.assert_close(output.p_a, temporal[:, :, 0].sum(1))
    torch.testing.assert_close(output.p_v, temporal[:, :, 1].sum(1))
    assert not torch.allclose(output.P, output.p_a)
