"""One array per second from media: what is covered, what is repeated, and the pretrained networks' preprocessing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clip_files import RATE, grey_steps, tone, write_clip_manifest, write_mp4, write_wav
from PIL import Image

from avbalance.errors import UserError
from avbalance.features import networks, small_encoders, weights
from avbalance.features.clip import ClipJob, extract_clip
from avbalance.features.extract import extract
from avbalance.features.networks import frames_of_clips
from avbalance.features.recipes import (
    SegmentRecipe,
    VisualRecipe,
    get_audio_recipe,
    get_visual_recipe,
    recipe_from,
)
from avbalance.features.store import open_store
from avbalance.features.vggish import build_vggish, log_mel_patches
from avbalance.files import sha256_file

AUDIO, VISUAL = get_audio_recipe("seconds10-mel128"), get_visual_recipe("seconds10-conv2560")
GRID = get_visual_recipe("seconds10-grid4")


@pytest.fixture
def plain_encoders(monkeypatch):
    """Encoders whose values tell what they were given: loudness of each second, grey of its frames (-1 without)."""

    def loudness(waveform, rate, seconds):
        level = np.abs(waveform.reshape(seconds, rate)).mean(axis=1)
        return np.repeat(level[:, None], 128, axis=1).astype(np.float16)

    def grey(frames, times, seconds):
        level = np.full((seconds, 2560), -1.0)
        for second in range(seconds):
            inside = (times >= second) & (times < second + 1)
            if inside.any():
                level[second] = frames[inside].mean()
        return level.astype(np.float16)

    def grid(frames, times, seconds, channels):
        return np.tile(grey(frames, times, seconds)[:, None, None, :channels], (1, 7, 7, 1))

    monkeypatch.setattr(small_encoders, "mel_statistics", loudness)
    monkeypatch.setattr(small_encoders, "frame_statistics", grey)
    monkeypatch.setattr(small_encoders, "frame_grid", grid)


@pytest.mark.parametrize(
    ("name", "modality", "shape", "rate"),
    [
        ("seconds10-mel128", "audio", (10, 128), 16_000),
        ("seconds10-vggish", "audio", (10, 128), 16_000),
        ("seconds10-conv2560", "visual", (10, 2560), 8),
        ("seconds10-grid64", "visual", (10, 7, 7, 64), 8),
        ("seconds10-grey2560", "visual", (10, 2560), 8),
        ("seconds10-greygrid64", "visual", (10, 7, 7, 64), 8),
        ("seconds10-res152-r2plus1d", "visual", (10, 2560), 8),
        ("seconds10-vgg19", "visual", (10, 7, 7, 512), 16),
    ],
)
def test_recipes_with_an_array_per_second(name, modality, shape, rate):
    recipe = get_audio_recipe(name) if modality == "audio" else get_visual_recipe(name)
    assert isinstance(recipe, SegmentRecipe)
    assert (recipe.modality, recipe.shape, recipe.dtype, recipe.rate) == (modality, shape, "float16", rate)


@pytest.mark.parametrize("name", ["seconds10-grid0", "seconds10-grid513", "seconds9-vgg19", "seconds10-mel128"])
def test_visual_names_that_do_not_exist_are_refused(name):
    with pytest.raises(UserError, match=rf"{name}.*seconds10-res152-r2plus1d, seconds10-vgg19.*-grid<channels>"):
        get_visual_recipe(name)


@pytest.mark.parametrize("recipe", [AUDIO, GRID, get_audio_recipe("paper48k"), get_visual_recipe("still-8")])
def test_a_recipe_survives_the_way_to_a_decoder_process(recipe):
    assert recipe_from(json.loads(json.dumps(recipe.as_dict()))) == recipe


def louder_every_second(seconds: float) -> np.ndarray:
    level = (1 + np.arange(round(seconds * RATE)) // RATE) / 16
    return (tone(seconds) * level).astype(np.float32)


def test_each_second_is_encoded_by_itself(tmp_path, plain_encoders):
    clip = write_mp4(tmp_path / "a.mp4", grey_steps(20).repeat(4, axis=0), louder_every_second(10.0))
    heard, seen = extract_clip(ClipJob(clip, clip), AUDIO, VISUAL)
    assert (heard.status, seen.status, heard.n_frames, seen.n_frames) == ("ok", "ok", 10, 10)
    # A sine of amplitude 0.5 * k / 16 in second k - 1 has the mean 0.5 * k / 16 * 2 / pi = 0.0199 k.
    assert np.abs(heard.array[:, 0] / 0.0199 - np.arange(1, 11)).max() < 0.2
    # 8 frames per second, two steps of grey in each: steps 2s and 2s + 1 are 20 + 6 (2s + 0.5) grey on average.
    assert np.abs(seen.array[:, 0] - (23 + 12 * np.arange(10))).max() < 3
    assert (seen.width, seen.height) == (64, 64)


def test_segments_without_media_repeat_the_last_one_with_some(tmp_path, plain_encoders):
    clip = write_mp4(tmp_path / "a.mp4", grey_steps(8).repeat(4, axis=0)[:27], louder_every_second(3.2))
    heard, seen = extract_clip(ClipJob(clip, clip), AUDIO, GRID)
    # 3.2 s of sound are three whole seconds and less than half of a fourth; 27 frames (3.4 s) as well.
    assert (heard.status, heard.n_frames, seen.status, seen.n_frames) == ("partial", 3, "partial", 3)
    assert "3 of 10 segments" in heard.reason
    assert (heard.array[3:] == heard.array[2]).all() and (heard.array[2] != heard.array[1]).any()
    assert (seen.array[3:] == seen.array[2]).all() and (seen.array[2] != seen.array[1]).any()


def test_frames_come_at_most_at_the_recipes_rate_and_each_once(tmp_path, plain_encoders, monkeypatch):
    given = {}

    def note(frames, times, seconds):
        given["times"] = times
        return np.zeros((seconds, 2560), np.float16)

    monkeypatch.setattr(small_encoders, "frame_statistics", note)
    fast = write_mp4(tmp_path / "fast.mp4", grey_steps(40).repeat(6, axis=0), None, fps=24)
    extract_clip(ClipJob(None, fast), None, VISUAL)
    assert np.allclose(given["times"], np.arange(80) / 8)
    slow = write_mp4(tmp_path / "slow.mp4", grey_steps(20), None, fps=2)
    extract_clip(ClipJob(None, slow), None, VISUAL)
    assert np.allclose(given["times"], np.arange(20) / 2)


def test_a_second_without_a_frame_repeats_the_one_before(tmp_path, plain_encoders):
    # One frame in three seconds: at 0, 3, 6 and 9 s.
    from av import VideoFrame
    from av import open as av_open

    path = tmp_path / "slides.mp4"
    with av_open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1)
        stream.width = stream.height = 64
        for pixels in grey_steps(4):
            container.mux(stream.encode(VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")))
        container.mux(stream.encode(None))
    seen = extract_clip(ClipJob(None, path), None, VISUAL)[1]
    assert (seen.n_frames, seen.array[3:, 0].tolist()) == (4, [float(seen.array[3, 0])] * 7)


def test_values_beyond_float16_are_a_loss_not_an_infinity(tmp_path, monkeypatch):
    def huge(waveform, rate, seconds):
        return np.full((seconds, 128), np.inf, np.float16)

    monkeypatch.setattr(small_encoders, "mel_statistics", huge)
    with pytest.raises(ValueError, match="mel_statistics made values that are no numbers of float16"):
        extract_clip(ClipJob(write_wav(tmp_path / "a.wav", tone(2.0)), None), AUDIO, None)


def test_silence_and_blackness_are_flagged_and_lost_media_are_lost(tmp_path, plain_encoders):
    dark = write_mp4(tmp_path / "d.mp4", np.zeros((80, 64, 64, 3), np.uint8), np.zeros(10 * RATE, np.float32))
    heard, seen = extract_clip(ClipJob(dark, dark), AUDIO, VISUAL)
    assert (heard.status, seen.status) == ("silent", "black")
    assert heard.array is not None and seen.array is not None
    absent = tmp_path / "absent.mp4"
    assert [each.status for each in extract_clip(ClipJob(absent, absent), AUDIO, VISUAL)] == ["missing", "missing"]


def test_a_folder_of_pictures_is_eight_per_second_and_a_lone_one_fills_all(tmp_path, plain_encoders):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(80):
        Image.new("RGB", (20, 30), (number, number, number)).save(folder / f"{number:06d}.png")
    many = extract_clip(ClipJob(None, folder), None, VISUAL)[1]
    assert (many.status, many.n_frames) == ("ok", 10)
    assert many.array[:, 0].tolist() == [3.5 + 8 * second for second in range(10)]  # mean of 8s ... 8s + 7
    one = extract_clip(ClipJob(None, folder / "000040.png"), None, VISUAL)[1]
    assert (one.status, one.n_frames, set(one.array[:, 0])) == ("partial", 1, {40.0})


def test_a_store_of_arrays_per_second_is_the_same_bytes_again(tmp_path):
    media = tmp_path / "media"
    media.mkdir()
    write_mp4(media / "long.mp4", grey_steps(20).repeat(4, axis=0), tone(10.0))
    write_mp4(media / "short.mp4", grey_steps(32), tone(4.0))
    manifest = write_clip_manifest(tmp_path, ["long.mp4", "absent.mp4", "short.mp4"])
    recipes = {"audio": "seconds10-mel128", "visual": "seconds10-grid8"}
    first = extract(manifest, recipes, tmp_path / "one", tmp_path / "state")
    again = extract(manifest, recipes, tmp_path / "two", workers=2)
    audio, visual = open_store(first["audio"]), open_store(first["visual"])
    assert (audio.array.shape, visual.array.shape) == ((2, 10, 128), (2, 10, 7, 7, 8))
    assert audio.array.dtype == visual.array.dtype == np.float16
    assert audio.card["losses"] == {"missing": 1} and audio.card["flagged"] == {"partial": 1}
    assert "weights" not in audio.card and audio.card["recipe"]["segments"] == 10
    for modality, store in (("audio", audio), ("visual", visual)):
        assert open_store(again[modality]).card == store.card


# Pretrained networks


def test_absent_weights_are_named_before_any_clip_is_decoded(tmp_path, monkeypatch):
    (tmp_path / "media").mkdir()
    manifest = write_clip_manifest(tmp_path, ["absent.mp4"])
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "weights"))
    recipes = {"audio": "seconds10-mel128", "visual": "seconds10-res152-r2plus1d"}
    with pytest.raises(UserError, match=r"weights/resnet152-394f9c45\.pth: no such file.*download\.pytorch\.org"):
        extract(manifest, recipes, tmp_path / "out", decoder="decoder_faults:absent")
    with pytest.raises(UserError, match=r"vggish-10086976\.pth.*harritaylor/torchvggish"):
        extract(manifest, {"audio": "seconds10-vggish"}, tmp_path / "out", decoder="decoder_faults:absent")


def test_the_card_names_the_weights_and_a_file_that_is_none_costs_the_clips(tmp_path, monkeypatch):
    (tmp_path / "media").mkdir()
    write_wav(tmp_path / "media" / "a.wav", tone(2.0))
    (tmp_path / "vggish-10086976.pth").write_bytes(b"no weights")
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    manifest = write_clip_manifest(tmp_path, ["a.wav"])
    store = open_store(extract(manifest, {"audio": "seconds10-vggish"}, tmp_path / "out")["audio"])
    assert store.card["weights"] == {"vggish-10086976.pth": sha256_file(tmp_path / "vggish-10086976.pth")}
    assert "torch" in store.card["libraries"]
    assert store.index["status"].tolist() == ["decoder_crash"]
    assert "vggish-10086976.pth: not the weights of this network" in store.index["reason"].iloc[0]


def test_weights_cut_short_are_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / "vgg19-dcbb9e9d.pth").write_bytes(b"half")
    with pytest.raises(UserError, match="sha256 does not begin with dcbb9e9d"):
        weights.weight_digests(["vgg19"])


def test_small_encoders_do_not_load_torch(tmp_path):
    clip = write_wav(tmp_path / "a.wav", tone(2.0))
    program = (
        "import sys\nfrom pathlib import Path\nfrom avbalance.features.clip import ClipJob, extract_clip\n"
        "from avbalance.features.recipes import get_audio_recipe\n"
        f"extract_clip(ClipJob(Path({str(clip)!r}), None), get_audio_recipe('seconds10-mel128'), None)\n"
        "print('torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "False"


def test_log_mel_patches_of_a_tone_peak_in_its_band():
    times = np.arange(2 * RATE) / RATE
    patches = log_mel_patches(np.sin(2 * np.pi * 1000 * times).astype(np.float32))
    assert (patches.shape, patches.dtype) == ((2, 96, 64), np.float32)
    # Mel of 125, 1000, 7500 Hz: 185, 1000, 2776; 64 bands between 66 edges 39.87 apart: (1000 - 185) / 39.87 = 20.4,
    # the band number from 1 whose centre is nearest; index 19 from 0.
    assert set(patches.argmax(axis=2).ravel()) == {19}
    assert patches.min() >= np.log(np.float32(0.01)) - 1e-6
    silence = log_mel_patches(np.zeros(RATE, np.float32))
    assert np.allclose(silence, np.log(0.01))


def test_vggish_has_the_published_size_and_flattens_channels_last():
    import torch

    network = build_vggish()
    # Convolutions: (1*64 + 64*128 + 128*256 + 256*256 + 256*512 + 512*512) * 9 + 64 + 128 + 2*256 + 2*512 = 4,499,712;
    # linear layers: (6*4*512 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 128 = 67,641,472.
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_499_712 + 67_641_472
    names = network.state_dict().keys()
    assert {"features.0.weight", "features.13.bias", "embeddings.0.weight", "embeddings.4.bias"} <= names
    maps = torch.arange(2 * 3 * 2).reshape(1, 2, 3, 2)  # (N, C, H, W)
    flat = [maps[0, channel, row, column].item() for row in range(3) for column in range(2) for channel in range(2)]
    assert network.get_submodule("flatten")(maps).tolist() == [flat]


def test_a_whole_clip_gives_evenly_spread_frames_and_a_short_one_its_last_again():
    # 82 frames: 81 / 79 = 1.0253 apart, so that one is left out about every 40th.
    assert frames_of_clips(np.arange(82) / 8, 10).tolist() == np.round(np.linspace(0, 81, 80)).astype(int).tolist()
    assert frames_of_clips(np.arange(80) / 8, 10).tolist() == list(range(80))
    assert frames_of_clips(np.arange(16) / 8, 10).tolist() == [*range(16), *[15] * 64]
    assert frames_of_clips(np.arange(8) / 4, 10)[:16].tolist() == np.repeat(np.arange(8), 2).tolist()


def test_pictures_are_cropped_and_squeezed_as_the_networks_were_trained():
    wide = Image.new("RGB", (640, 320))
    wide.paste((255, 0, 0), (320, 0, 640, 320))
    crop, small = networks.picture_keeper("res152-r2plus1d")(wide)
    assert (crop.shape, small.shape) == ((224, 224, 3), (112, 112, 3))
    # Both keep the middle of the picture in the middle; the crop holds 224 of 512 columns, the squeezed one all.
    assert (crop[:, 105, 0] < 30).all() and (crop[:, 118, 0] > 225).all() and (small[:, 58, 0] > 225).all()
    assert networks.picture_keeper("vgg19")(wide).shape == (224, 224, 3)


@pytest.fixture
def little_networks(tmp_path, monkeypatch):
    """Random weights, on disk under the published names, of networks that are small but of the right widths."""
    import torch
    from torch import nn

    class Little(nn.Module):
        def __init__(self, pool, width):
            super().__init__()
            self.stem = nn.Sequential(pool, nn.Flatten(), nn.LazyLinear(width))
            self.fc = nn.Linear(width, 2)  # the classifier that has to go

        def forward(self, values):
            return self.fc(self.stem(values))

    class Grid(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(nn.AvgPool2d(32), nn.Conv2d(3, 512, 1))
            self.classifier = nn.Linear(1, 1)

    def image():
        network = Little(nn.AdaptiveAvgPool2d(4), 2048)
        network(torch.zeros(1, 3, 8, 8))
        return network

    def clip():
        network = Little(nn.AdaptiveAvgPool3d(2), 512)
        network(torch.zeros(1, 3, 8, 8, 8))
        return network

    def sound():
        return nn.Sequential(nn.Flatten(), nn.Linear(96 * 64, 128))

    torch.manual_seed(0)
    made = {"_resnet152": image, "_r2plus1d_18": clip, "_vgg19": Grid, "build_vggish": sound}
    names = ["resnet152-394f9c45.pth", "r2plus1d_18-91a641e6.pth", "vgg19-dcbb9e9d.pth", "vggish-10086976.pth"]
    for file, (name, build) in zip(names, made.items(), strict=True):
        torch.save(build().state_dict(), tmp_path / file)
        monkeypatch.setattr(networks, name, build)
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    networks._loaded.cache_clear()
    yield tmp_path
    networks._loaded.cache_clear()


def test_networks_fill_the_arrays_of_their_recipes(tmp_path, little_networks):
    clip = write_mp4(tmp_path / "a.mp4", grey_steps(20, 256).repeat(4, axis=0)[:40], tone(5.0))
    heard, seen = extract_clip(
        ClipJob(clip, clip), get_audio_recipe("seconds10-vggish"), get_visual_recipe("seconds10-res152-r2plus1d")
    )
    assert (heard.array.shape, seen.array.shape) == ((10, 128), (10, 2560))
    assert (heard.n_frames, seen.n_frames, seen.status) == (5, 5, "partial")
    assert np.isfinite(seen.array).all() and (seen.array[5:] == seen.array[4]).all()
    assert (seen.array[3] != seen.array[2]).any() and seen.array[:, 2048:].std() > 0
    grid = extract_clip(ClipJob(None, clip), None, get_visual_recipe("seconds10-vgg19"))[1]
    assert (grid.array.shape, grid.n_frames) == ((10, 7, 7, 512), 5)
    assert grid.array[0].std() > 0


def test_weights_of_another_network_are_refused(little_networks):
    import torch

    torch.save({"weight": torch.zeros(1)}, little_networks / "vggish-10086976.pth")
    with pytest.raises(UserError, match=r"vggish-10086976\.pth: not the weights of this network"):
        networks.vggish_segments(np.zeros(10 * RATE, np.float32))
    (little_networks / "vggish-10086976.pth").write_bytes(b"no zip file")
    with pytest.raises(UserError, match="not the weights of this network"):
        networks.vggish_segments(np.zeros(10 * RATE, np.float32))


@pytest.mark.slow
def test_the_published_networks_have_the_widths_of_the_recipes():
    import torch

    network = networks._resnet152()
    network.fc = torch.nn.Identity()
    moving = networks._r2plus1d_18()
    moving.fc = torch.nn.Identity()
    with torch.inference_mode():
        assert network.eval()(torch.zeros(1, 3, 224, 224)).shape == (1, 2048)
        assert moving.eval()(torch.zeros(1, 3, 8, 112, 112)).shape == (1, 512)
        assert networks._vgg19().eval().features(torch.zeros(1, 3, 224, 224)).shape == (1, 512, 7, 7)
        assert build_vggish().eval()(torch.zeros(1, 1, 96, 64)).shape == (1, 128)


def test_a_real_clip_of_llp():
    real = os.environ.get("AVBALANCE_REAL_DATA")
    if not real:
        pytest.skip("AVBALANCE_REAL_DATA is unset: no real clip to encode")
    clip = Path(real) / "media" / "llp_BjCEufrlXm4.mp4"
    heard, seen = extract_clip(ClipJob(clip, clip), AUDIO, VISUAL)
    assert (heard.status, seen.status, heard.n_frames, seen.n_frames) == ("ok", "ok", 10, 10)
    for array in (heard.array, seen.array):
        assert np.isfinite(array).all() and len(np.unique(array, axis=0)) == 10


def test_still_recipes_of_old_keep_their_frames(tmp_path):
    clip = write_mp4(tmp_path / "a.mp4", grey_steps(16), None)
    recipe = get_visual_recipe("fps1-first-8-2s")
    assert isinstance(recipe, VisualRecipe)
    assert extract_clip(ClipJob(None, clip), None, recipe)[1].array.dtype == np.uint8
