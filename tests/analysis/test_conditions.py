"""Withheld modalities: what stands in, how much of it is drawn, and what is left alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avbalance.analysis.conditions import (
    CONDITIONS,
    PUBLISHED,
    StandIns,
    find,
    fusion_stand_ins,
    gaussian,
    mean_clip,
    replaced,
    shuffled_partners,
    silent_audio,
    variant,
)
from avbalance.errors import UserError

CLIPS = 5
SHAPES = {"audio": (1, 4, 6), "visual": (7,)}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed))


def modalities() -> dict[str, Tensor]:
    return {name: random(CLIPS, *shape, seed=place) for place, (name, shape) in enumerate(SHAPES.items())}


def stand_ins() -> StandIns:
    means = {name: torch.full(shape, 0.5) for name, shape in SHAPES.items()}
    return StandIns(silent=torch.zeros(SHAPES["audio"]), black=torch.arange(7.0), mean=means)


def under(name: str, seed: int = 0) -> dict[str, Tensor]:
    own, condition = modalities(), find(name)
    others = None
    if condition.stand_in == "shuffled":
        others = own[str(condition.modality)][shuffled_partners(CLIPS, generator(seed))]
    return replaced(own, condition, stand_ins(), generator(seed), others)


def test_the_published_rows_and_their_order() -> None:
    assert [CONDITIONS[name].label for name in PUBLISHED] == [
        *("AV Model", "Gaussian Audio", "Gaussian Video", "Silent Audio", "Black Video")
    ]
    ours = [name for name in CONDITIONS if name not in PUBLISHED]
    assert {find(name).stand_in for name in ours} == {"mean", "shuffled"} and len(ours) == 4
    with pytest.raises(UserError, match="no condition named 'deaf'; there are both, gaussian-audio"):
        find("deaf")


@pytest.mark.parametrize("name", CONDITIONS)
def test_only_the_named_modality_is_replaced_and_nothing_in_place(name: str) -> None:
    condition, before = find(name), modalities()
    after = under(name)
    assert list(after) == list(before)
    for modality, tensor in before.items():
        same = torch.equal(after[modality], tensor)
        assert same == (modality != condition.modality)
        assert after[modality].shape == tensor.shape and after[modality].dtype == tensor.dtype
    assert (condition.modality is None) == (name == "both")
    own = modalities()
    replaced(own, condition, stand_ins(), generator(), own["visual" if condition.modality == "visual" else "audio"])
    assert all(torch.equal(own[modality], tensor) for modality, tensor in before.items())


def test_constant_stand_ins_are_the_same_for_every_clip() -> None:
    assert torch.equal(under("silent-audio")["audio"], torch.zeros(CLIPS, 1, 4, 6))
    assert torch.equal(under("black-video")["visual"], torch.arange(7.0).repeat(CLIPS, 1))
    assert torch.equal(under("mean-audio")["audio"], torch.full((CLIPS, 1, 4, 6), 0.5))
    assert torch.equal(under("mean-video")["visual"], torch.full((CLIPS, 7), 0.5))


def test_a_black_video_is_never_made_up() -> None:
    with pytest.raises(UserError, match="condition black-video: no black visual was given"):
        replaced(modalities(), find("black-video"), StandIns(silent=torch.zeros(1, 4, 6)), generator())
    with pytest.raises(UserError, match="condition mean-audio: no mean audio was given"):
        replaced(modalities(), find("mean-audio"), StandIns(mean={"visual": torch.zeros(7)}), generator())


def test_what_a_condition_needs_must_be_there() -> None:
    with pytest.raises(UserError, match="noise needs a generator"):
        replaced(modalities(), find("gaussian-audio"), stand_ins())
    with pytest.raises(UserError, match="no other clips' visual was given"):
        replaced(modalities(), find("shuffled-video"), stand_ins(), generator())
    with pytest.raises(UserError, match="has no visual that could be withheld"):
        replaced({"audio": torch.zeros(2, 3)}, find("black-video"), stand_ins())


def test_a_stand_in_of_another_level_is_refused() -> None:
    with pytest.raises(UserError, match=r"stand-in has shape \(5, 1, 4, 6\), the audio that it replaces \(5, 9\)"):
        replaced({"audio": torch.zeros(5, 9)}, find("silent-audio"), stand_ins())
    with pytest.raises(UserError, match="stand-in has shape"):
        replaced(modalities(), find("shuffled-video"), stand_ins(), exchanged=torch.zeros(CLIPS - 1, 7))


# Noise


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.lists(st.integers(0, 6), min_size=1, max_size=5),
    shape=st.sampled_from([(1, 4, 6), (7,), (3,), (16,), (1, 5, 5), (513,)]),
    seed=st.integers(0, 1000),
)
def test_noise_does_not_depend_on_the_batch_size(sizes: list[int], shape: tuple[int, ...], seed: int) -> None:
    whole = gaussian(torch.zeros(sum(sizes), *shape), generator(seed))
    stream = generator(seed)
    parts = [gaussian(torch.zeros(size, *shape), stream) for size in sizes]
    assert torch.equal(torch.cat(parts), whole)


def test_noise_follows_its_generator_and_no_other() -> None:
    state = torch.get_rng_state()
    first, again, other = (under("gaussian-video", seed)["visual"] for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


# Shuffling


@settings(deadline=None, max_examples=30)
@given(clips=st.integers(2, 60), seed=st.integers(0, 1000))
def test_partners_are_a_cycle_through_all_clips(clips: int, seed: int) -> None:
    partners = shuffled_partners(clips, generator(seed))
    place, seen = 0, []
    for _ in range(clips):
        place = int(partners[place])
        seen.append(place)
    assert sorted(seen) == list(range(clips)) and place == 0
    assert torch.equal(partners, shuffled_partners(clips, generator(seed)))


def test_every_other_clip_can_be_the_partner() -> None:
    first = {int(shuffled_partners(4, generator(seed))[0]) for seed in range(60)}
    assert first == {1, 2, 3}
    with pytest.raises(UserError, match="1 clip cannot be shuffled"):
        shuffled_partners(1, generator())


# Constants


def test_silence() -> None:
    zeros = silent_audio((1, 64, 313), "zero_tensor", mean=-40.0, deviation=20.0)
    assert zeros.shape == (1, 64, 313) and not zeros.any()
    waveform = silent_audio((1, 4, 6), "zero_waveform", mean=-40.0, deviation=20.0)
    assert torch.equal(waveform, torch.full((1, 4, 6), -3.0))  # (-100 - -40) / 20


def test_the_mean_clip_does_not_depend_on_batches() -> None:
    clips = random(11, 3, 4)
    for sizes in ([11], [4, 4, 3], [1, 10]):
        torch.testing.assert_close(mean_clip(clips.split(sizes)), clips.mean(0))
    assert mean_clip([clips.double()]).dtype == torch.float32
    with pytest.raises(UserError, match="no clip to take the mean of"):
        mean_clip([])


def double_and_one(_: str, tensor: Tensor) -> Tensor:
    return 2 * tensor.flatten(1) + 1


def test_a_name_may_say_level_and_silence() -> None:
    plain = variant("silent-audio", "input", "zero_tensor")
    assert (plain.condition, plain.level, plain.silence) == (CONDITIONS["silent-audio"], "input", "zero_tensor")
    for suffix, level, silence in (
        ("fusion", "fusion", "zero_tensor"),
        ("zero_waveform", "input", "zero_waveform"),
        ("fusion+zero_waveform", "fusion", "zero_waveform"),
        ("zero_waveform+fusion", "fusion", "zero_waveform"),
    ):
        found = variant(f"silent-audio@{suffix}", "input", "zero_tensor")
        assert (found.name, found.condition) == (f"silent-audio@{suffix}", plain.condition)
        assert (found.level, found.silence) == (level, silence)
    for name in ("silent-audio@middle", "both@fusion", "silent-audio@fusion+"):
        with pytest.raises(UserError, match=f"no condition named '{name}'; after @ stands".replace("+", "[+]")):
            variant(name, "input", "zero_tensor")
    with pytest.raises(UserError, match="no condition named 'silence'; there are"):
        variant("silence@fusion", "input", "zero_tensor")


def test_stand_ins_at_the_fusion() -> None:
    inputs, means = stand_ins(), {"audio": torch.ones(24)}
    found = fusion_stand_ins(inputs, "zero_tensor", double_and_one, means)
    assert found.silent is not None and torch.equal(found.silent, torch.zeros(24))  # not what is made of zeros
    assert found.black is not None and torch.equal(found.black, 2 * torch.arange(7.0) + 1)
    assert found.mean is means
    encoded = fusion_stand_ins(inputs, "zero_waveform", double_and_one).silent
    assert encoded is not None and torch.equal(encoded, torch.ones(24))
    assert fusion_stand_ins(StandIns(), "zero_tensor", double_and_one) == StandIns()


def test_importing_the_analysis_imports_neither_torch_nor_scikit_learn() -> None:
    modules = "avbalance.analysis.conditions, avbalance.analysis.relevance, avbalance.analysis.modality_gap"
    command = f"import sys, {modules}; sys.exit(bool({{'torch', 'sklearn'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0
