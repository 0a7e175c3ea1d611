"""One vector per clip: which frames it rests on, black frames, and the networks that make it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from clip_files import RATE, grey_steps, tone, write_clip_manifest, write_mp4
from numpy.typing import NDArray
from PIL import Image

from avbalance.errors import UserError
from avbalance.features import decode, networks, small_encoders, weights
from avbalance.features.clip import ClipJob, Feature, extract_clip
from avbalance.features.clip_vectors import black_vector
from avbalance.features.decode import decode_frames
from avbalance.features.extract import extract
from avbalance.features.recipes import ClipVectorRecipe, get_audio_recipe, get_visual_recipe, recipe_from
from avbalance.features.store import open_store

SMALL = ClipVectorRecipe("uniform8-small64", "small", 64)


def _seen(path: Path, recipe: Any = SMALL) -> Feature:
    seen = extract_clip(ClipJob(None, path), None, recipe)[1]
    assert seen is not None
    return seen


@pytest.fixture
def greys(monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """The mean grey of each frame that the small encoder is given, clip by clip."""
    given: list[list[float]] = []
    real = small_encoders.clip_statistics

    def note(frames: NDArray[np.uint8], width: int) -> NDArray[np.float16]:
        given.append(frames.mean(axis=(1, 2, 3)).tolist())
        return real(frames, width)

    monkeypatch.setattr(small_encoders, "clip_statistics", note)
    return given


@pytest.mark.parametrize(
    ("name", "encoder", "width"),
    [
        ("uniform8-k400r50", "k400r50", 400),
        ("uniform8-imagenetr50", "imagenetr50", 2048),
        ("uniform8-randomr50", "randomr50", 2048),
        ("uniform8-small64", "small", 64),
        ("uniform8-grey2048", "grey", 2048),
    ],
)
def test_recipes_name_their_encoder(name: str, encoder: str, width: int) -> None:
    recipe = get_visual_recipe(name)
    assert recipe == ClipVectorRecipe(name, encoder, width, frames=8)
    assert (recipe.shape, recipe.dtype, recipe.modality) == ((width,), "float16", "visual")
    assert recipe_from(json.loads(json.dumps(recipe.as_dict()))) == recipe


@pytest.mark.parametrize("name", ["uniform8-small8", "uniform8-small63", "uniform8-vgg19", "uniform9-small64"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=rf"{name}.*uniform8-k400r50, .*uniform8-small<width>"):
        get_visual_recipe(name)


# Which frames


@pytest.mark.parametrize(
    ("count", "chosen"),
    [(40, [0, 6, 11, 17, 22, 28, 33, 39]), (8, list(range(8))), (3, [0, 1, 2, 2, 2, 2, 2, 2]), (1, [0] * 8)],
)
def test_eight_frames_are_spread_over_the_whole_video(
    tmp_path: Path, greys: list[list[float]], count: int, chosen: list[int]
) -> None:
    feature = _seen(write_mp4(tmp_path / "a.mp4", grey_steps(count), None))
    assert (feature.status, feature.n_frames) == ("ok", min(count, 8))
    assert np.round((np.array(greys[0]) - 20) / 6).tolist() == chosen
    assert ("the last one is repeated" in feature.reason) == (count < 8)


def test_of_300_frames_those_of_the_worked_example_are_kept_and_no_others(tmp_path: Path) -> None:
    pixels = np.zeros((300, 32, 32, 3), np.uint8) + (np.arange(300) % 200 + 20).astype(np.uint8)[:, None, None, None]
    clip = write_mp4(tmp_path / "a.mp4", pixels, None, fps=30)
    held = []
    pictures = decode_frames(clip, SMALL, lambda image: held.append(np.asarray(image).mean()))
    assert len(held) == len(pictures.images) == 8 and pictures.total == 300
    assert [round(time * 30) for time in pictures.times] == [0, 43, 85, 128, 171, 214, 256, 299]
    assert np.abs(np.array(held) - 20 - np.array([0, 43, 85, 128, 171, 14, 56, 99])).max() < 2


def test_a_wrong_count_of_packets_only_costs_a_second_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_mp4(tmp_path / "a.mp4", grey_steps(20), tone(2.5))
    right = _seen(clip)
    for wrong in (0, 3, 19, 23):
        monkeypatch.setattr(decode, "_packets", lambda path, wrong=wrong: wrong)
        heard, seen = extract_clip(ClipJob(clip, clip), get_audio_recipe("decibel64-2s"), SMALL)
        assert heard is not None and heard.status == "ok"
        assert seen is not None and (seen.status, seen.n_frames) == ("ok", 8)
        assert right.array is not None and np.array_equal(seen.array, right.array)


def test_frames_of_a_folder_an_hdf5_file_and_a_lone_picture(tmp_path: Path, greys: list[list[float]]) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(80):
        Image.new("RGB", (20, 30), (number, number, number)).save(folder / f"{number:06d}.png")
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        stored = file.create_dataset("video", (80,), dtype=h5py.vlen_dtype(np.uint8))
        for number in range(80):
            stored[number] = np.frombuffer((folder / f"{number:06d}.png").read_bytes(), np.uint8)
    for source in (folder, tmp_path / "frames.h5"):
        feature = _seen(source)
        assert (feature.status, feature.n_frames, feature.width, feature.height) == ("ok", 8, 20, 30)
        assert greys.pop() == [0, 11, 23, 34, 45, 56, 68, 79]
    lone = _seen(folder / "000040.png")
    assert (lone.status, lone.n_frames) == ("ok", 1) and greys.pop() == [40] * 8


def test_lost_videos_have_the_usual_statuses(tmp_path: Path) -> None:
    whole = write_mp4(tmp_path / "a.mp4", grey_steps(32, 128), tone(4.0), index_first=True)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    none = write_mp4(tmp_path / "sound.mp4", None, tone(1.0))
    (tmp_path / "junk.mp4").write_bytes(b"junk")
    (tmp_path / "empty").mkdir()
    paths = [cut, none, tmp_path / "junk.mp4", tmp_path / "absent.mp4", tmp_path / "empty"]
    statuses = [_seen(path).status for path in paths]
    assert statuses == ["truncated", "no_video", "corrupt", "missing", "too_short"]


# Black frames and stores


def test_a_black_vector_is_that_of_a_black_video_and_not_zero(tmp_path: Path) -> None:
    dark = write_mp4(tmp_path / "d.mp4", np.zeros((20, 64, 64, 3), np.uint8), np.zeros(2 * RATE, np.float32))
    black = black_vector(SMALL)
    assert any(black) and len(black) == 64 and all(float(np.float16(value)) == value for value in black)
    feature = _seen(dark)
    assert feature.status == "black" and feature.array is not None
    # H.264 keeps black within a grey level or so
    assert np.abs(feature.array.astype(float) - black).max() < 0.05
    grey = _seen(write_mp4(tmp_path / "g.mp4", grey_steps(20), None))
    assert grey.array is not None and np.abs(grey.array.astype(float) - black).max() > 0.5


def test_a_store_of_vectors_says_what_black_is_and_is_the_same_bytes_again(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    write_mp4(media / "a.mp4", grey_steps(20), tone(2.0))
    write_mp4(media / "b.mp4", np.zeros((20, 64, 64, 3), np.uint8), np.zeros(2 * RATE, np.float32))
    write_mp4(media / "c.mp4", grey_steps(3), tone(2.0))
    manifest = write_clip_manifest(tmp_path, ["a.mp4", "absent.mp4", "b.mp4", "c.mp4"])
    recipes = {"audio": "decibel64-2s", "visual": "uniform8-small64"}
    first = extract(manifest, recipes, tmp_path / "one", tmp_path / "state")
    again = extract(manifest, recipes, tmp_path / "two", workers=2)
    audio, visual = open_store(first["audio"]), open_store(first["visual"])
    assert (audio.array.shape, visual.array.shape) == ((3, 64, 63), (3, 64))
    assert visual.array.dtype == audio.array.dtype == np.float16
    assert visual.path.name == "visual-uniform8-small64" and visual.card["recipe"]["encoder"] == "small"
    assert visual.card["black"] == black_vector(SMALL) and "black" not in audio.card
    assert visual.card["losses"] == {"missing": 1} and visual.card["flagged"] == {"black": 1}
    assert visual.index["n_frames"].tolist() == [8, 0, 8, 3]
    for modality, store in (("audio", audio), ("visual", visual)):
        assert open_store(again[modality]).card == store.card


def test_without_a_clip_there_is_no_black_and_no_weights_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "weights"))
    manifest = write_clip_manifest(tmp_path, ["a.mp4"], status=["missing"])
    store = open_store(extract(manifest, {"visual": "uniform8-k400r50"}, tmp_path / "out")["visual"])
    assert store.array.shape == (0, 400) and "black" not in store.card and "weights" not in store.card


def test_small_vectors_tell_hues_outlines_and_brightness_apart() -> None:
    generator = np.random.default_rng(0)
    frames = np.full((8, 48, 48, 3), 128, np.uint8)
    square, bright = frames.copy(), frames + np.uint8(60)
    square[:, 16:32, 16:32] = (228, 78, 78)
    other = square[..., [1, 0, 2]]  # the same in green
    shifted = square + generator.integers(0, 3, square.shape, dtype=np.uint8)
    vectors = [small_encoders.clip_statistics(each, 64).astype(float) for each in (square, other, bright, shifted)]
    assert all(vector.shape == (64,) and np.isfinite(vector).all() for vector in vectors)
    red, green, light, noisy = vectors
    assert red[:24].argmax() == 0 and green[:24].argmax() == 8  # a third of the 24 directions further
    assert np.abs(red[:48] - green[:48]).max() > 1 and np.abs(red[48:60] - green[48:60]).max() < 0.02
    assert light[60:] == pytest.approx([4 * (188 / 255 - 0.5)] * 4, abs=0.01) and not light[:48].any()
    assert np.abs(noisy - red).max() < 0.2
    assert small_encoders.clip_statistics(square, 16).shape == (16,)


def test_a_vector_of_greys_shows_each_frame_by_itself_and_black_is_not_zero(tmp_path: Path) -> None:
    recipe = get_visual_recipe("uniform8-grey2048")
    pixels = grey_steps(8).copy()
    pixels[3, :32, :, :] = 0  # the upper half of the fourth frame is black
    seen = _seen(write_mp4(tmp_path / "a.mp4", pixels, None), recipe)
    assert seen.array is not None and seen.array.dtype == np.float16
    frames = seen.array.astype(float).reshape(8, 16, 16)
    expected = 5 * ((6 * np.arange(8) + 20) / 255 - 0.5)
    assert frames[:, 12].mean(axis=1) == pytest.approx(expected, abs=0.06)
    assert frames[3, 4].mean() == pytest.approx(-2.5, abs=0.06) and frames[4, 4].mean() > -2.2
    assert black_vector(recipe) == [-2.5] * 2048


# Networks


def test_the_slow_network_has_the_published_size_and_names() -> None:
    import torch

    from avbalance.features.slow_resnet import SlowResNet

    network = SlowResNet().eval()
    # Stem 64 * (147 + 2); per block with inner width i, input w, t frames: wti + 9ii + 4ii + 2 (i + i + 4i), and the
    # first block of each stage 4iw + 8i for its shortcut; head 2048 * 400 + 400. In all 32,454,096; PyTorchVideo's
    # table says 32.45 million for slow_r50.
    expected = 64 * 149 + 2048 * 400 + 400
    width = 64
    for inner, depth, frames in ((64, 3, 1), (128, 4, 1), (256, 6, 3), (512, 3, 3)):
        for block in range(depth):
            expected += inner * (width * frames + 13 * inner + 12) + (4 * inner * (width + 2) if block == 0 else 0)
            width = 4 * inner
    assert sum(parameter.numel() for parameter in network.parameters()) == expected == 32_454_096
    names = network.state_dict()
    assert len(names) == 320 and names["blocks.3.res_blocks.5.branch2.conv_a.weight"].shape == (256, 1024, 3, 1, 1)
    assert {"blocks.0.norm.running_var", "blocks.1.res_blocks.0.branch1_norm.bias", "blocks.5.proj.bias"} <= set(names)
    with torch.inference_mode():
        scores = network(torch.zeros(1, 3, 8, 256, 256))
    assert scores.shape == (1, 400)


def test_what_each_network_is_shown_of_a_picture() -> None:
    wide = Image.new("RGB", (640, 320))
    wide.paste((255, 0, 0), (320, 0, 640, 320))
    for encoder, side in (("k400r50", 256), ("imagenetr50", 224), ("randomr50", 224)):
        crop = networks.picture_keeper(encoder)(wide)
        assert crop.shape == (side, side, 3)
        assert (crop[:, side // 2 - 6, 0] < 30).all() and (crop[:, side // 2 + 6, 0] > 225).all()
    assert networks._normalised(np.zeros((1, 1, 1, 3), np.uint8), networks._SLOW).ravel() == pytest.approx([-2] * 3)
    black = networks._normalised(np.zeros((1, 1, 1, 3), np.uint8), networks._IMAGENET).ravel()
    assert black == pytest.approx([-2.117904, -2.035714, -1.804444], abs=1e-6)


@pytest.fixture
def little_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Small networks of the right widths; the weights of two lie on disk under the published names."""
    import torch
    from torch import nn

    class Slow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.proj = nn.Linear(3 * 8, 400)

        def forward(self, clips: torch.Tensor) -> torch.Tensor:
            assert clips.shape == (1, 3, 8, 256, 256)
            scores: torch.Tensor = self.proj(clips.mean(dim=(3, 4)).flatten(1))
            return scores

    class Resnet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Linear(3, 2048)
            self.fc = nn.Linear(2048, 1000)  # the classifier that has to go

        def forward(self, frames: torch.Tensor) -> torch.Tensor:
            assert frames.shape[1:] == (3, 224, 224)
            scores: torch.Tensor = self.fc(self.stem(frames.mean(dim=(2, 3))))
            return scores

    torch.manual_seed(0)
    torch.save({"model_state": Slow().state_dict(), "epoch": 7}, tmp_path / "SLOW_8x8_R50.pyth")
    torch.save(Resnet().state_dict(), tmp_path / "resnet50-0676ba61.pth")
    monkeypatch.setattr(networks, "_slow_resnet", Slow)
    monkeypatch.setattr(networks, "_resnet50", Resnet)
    monkeypatch.setattr(weights, "sha256_file", lambda path: "0676ba61" + "0" * 56)
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    networks._loaded.cache_clear()
    yield tmp_path
    networks._loaded.cache_clear()


@pytest.mark.parametrize("encoder", ["k400r50", "imagenetr50", "randomr50"])
def test_networks_make_vectors_and_black_from_the_frames(tmp_path: Path, little_networks: Path, encoder: str) -> None:
    recipe = get_visual_recipe(f"uniform8-{encoder}")
    assert isinstance(recipe, ClipVectorRecipe)
    clip = write_mp4(tmp_path / "a.mp4", grey_steps(20, 128), None)
    dark = write_mp4(tmp_path / "d.mp4", np.zeros((20, 128, 128, 3), np.uint8), None)
    feature, black = _seen(clip, recipe), _seen(dark, recipe)
    assert feature.array is not None and feature.array.shape == recipe.shape and feature.array.std() > 0
    assert black.array is not None and black.status == "black"
    stated = np.array(black_vector(recipe))
    assert np.abs(black.array - stated).max() < 0.05 < np.abs(feature.array - stated).max()


def test_a_vector_of_images_is_the_mean_over_frames_and_random_weights_are_always_the_same(
    little_networks: Path,
) -> None:
    import torch

    frames = np.random.default_rng(0).integers(0, 256, (8, 224, 224, 3), dtype=np.uint8)
    single = [networks.picture_vector(frame[None], "imagenetr50").astype(float) for frame in frames]
    together = networks.picture_vector(frames, "imagenetr50").astype(float)
    assert np.abs(np.mean(single, axis=0) - together).max() < 1e-3
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = networks.picture_vector(frames, "randomr50")
    networks._loaded.cache_clear()
    assert np.array_equal(networks.picture_vector(frames, "randomr50"), one)
    assert torch.equal(torch.get_rng_state(), before) and not np.array_equal(one, together.astype(np.float16))


def test_the_cards_of_two_encoders_name_their_weights(tmp_path: Path, little_networks: Path) -> None:
    (tmp_path / "media").mkdir()
    write_mp4(tmp_path / "media" / "a.mp4", grey_steps(20), None)
    manifest = write_clip_manifest(tmp_path, ["a.mp4"])
    for encoder, files in (("imagenetr50", ["resnet50-0676ba61.pth"]), ("randomr50", [])):
        # In this process: a decoder process would have the large networks.
        recipe = get_visual_recipe(f"uniform8-{encoder}")
        task = extract_prepared(manifest, recipe)
        assert list(task.facts["weights"]) == files and "torch" in task.facts["libraries"]
        assert len(task.further["visual"]["black"]) == 2048


def extract_prepared(manifest: Path, recipe: Any) -> Any:
    from avbalance.features.extract import prepare
    from avbalance.features.worker import DEFAULT_FUNCTION

    return prepare(manifest, {"visual": recipe}, DEFAULT_FUNCTION, 1)


def test_weights_that_are_absent_or_none_end_the_extraction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "media").mkdir()
    write_mp4(tmp_path / "media" / "a.mp4", grey_steps(20), None)
    manifest = write_clip_manifest(tmp_path, ["a.mp4"])
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "weights"))
    with pytest.raises(UserError, match=r"SLOW_8x8_R50\.pyth: no such file.*dl\.fbaipublicfiles\.com"):
        extract(manifest, {"visual": "uniform8-k400r50"}, tmp_path / "out")
    with pytest.raises(UserError, match=r"resnet50-0676ba61\.pth: no such file.*download\.pytorch\.org"):
        extract(manifest, {"visual": "uniform8-imagenetr50"}, tmp_path / "out")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "SLOW_8x8_R50.pyth").write_bytes(b"no weights")
    networks._loaded.cache_clear()
    with pytest.raises(UserError, match=r"SLOW_8x8_R50\.pyth: not the weights of this network"):
        extract(manifest, {"visual": "uniform8-k400r50"}, tmp_path / "out")


def test_a_real_clip_if_there_is_one() -> None:
    root = os.environ.get("AVBALANCE_REAL_DATA")
    if not root:
        pytest.skip("AVBALANCE_REAL_DATA is unset: no real clip to encode")
    clips = sorted(path for path in Path(root, "media").iterdir() if path.suffix in (".mp4", ".mpg"))
    assert clips
    audio = get_audio_recipe("decibel64-10s")
    for clip in clips:
        heard, seen = extract_clip(ClipJob(clip, clip), audio, SMALL)
        assert heard is not None and heard.array is not None and heard.array.shape == (64, 313)
        assert seen is not None and seen.array is not None and (seen.status, seen.n_frames) == ("ok", 8)
        first, *_, last = decode_frames(clip, SMALL).times
        assert first == 0 and seen.duration - last < 0.1
