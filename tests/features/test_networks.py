"""Pretrained networks as encoders: sizes and names of the architectures, what they are shown, and their weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from clip_files import RATE, grey_steps, tone, write_clip_manifest, write_mp4, write_wav
from PIL import Image
from torch import nn

from avbalance.errors import UserError
from avbalance.features import networks
from avbalance.features.architectures import slow_r50, vggish, vggsound_resnet18
from avbalance.features.audio import log_mel_patches, vggsound_spectrogram
from avbalance.features.clip import ClipJob, black_vector, extract_clip
from avbalance.features.extract import extract, prepare
from avbalance.features.networks import frames_of_clips
from avbalance.features.pool import DEFAULT_FUNCTION
from avbalance.features.recipes import get_audio_recipe, get_visual_recipe
from avbalance.features.store import open_store
from flowkeeper.files import sha256_file


def seen(path, name):
    return extract_clip(ClipJob(None, path), None, get_visual_recipe(name))[1]


# Architectures


def test_the_slow_network_has_the_published_size_and_names() -> None:
    network = slow_r50().eval()
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


def test_vggish_has_the_published_size_and_flattens_channels_last() -> None:
    network = vggish()
    # Convolutions: (1*64 + 64*128 + 128*256 + 256*256 + 256*512 + 512*512) * 9 + 64 + 128 + 2*256 + 2*512 = 4,499,712;
    # linear layers: (6*4*512 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 128 = 67,641,472.
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_499_712 + 67_641_472
    names = network.state_dict().keys()
    assert {"features.0.weight", "features.13.bias", "embeddings.0.weight", "embeddings.4.bias"} <= names
    maps = torch.arange(2 * 3 * 2).reshape(1, 2, 3, 2)  # (N, C, H, W)
    flat = [maps[0, channel, row, column].item() for row in range(3) for column in range(2) for channel in range(2)]
    assert network.get_submodule("flatten")(maps).tolist() == [flat]


def test_the_network_of_vggsound_has_the_published_names_and_gives_a_score_for_each_class() -> None:
    network = vggsound_resnet18().eval()
    # torchvision's ResNet-18 has 11,689,512; two channels less in, 2 * 64 * 49, and 691 classes less, 513 each.
    assert sum(parameter.numel() for parameter in network.parameters()) == 11_689_512 - 2 * 64 * 49 - 691 * 513
    assert network.conv1.weight.shape == (64, 1, 7, 7) and "layer4.1.bn2.running_var" in network.state_dict()
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, 257, 1004)).shape == (1, 309)


@pytest.mark.slow
def test_the_published_networks_have_the_widths_of_the_recipes() -> None:
    image, clip = networks.architecture("resnet152"), networks.architecture("r2plus1d_18")
    image.fc = clip.fc = nn.Identity()
    with torch.inference_mode():
        assert image.eval()(torch.zeros(1, 3, 224, 224)).shape == (1, 2048)
        assert clip.eval()(torch.zeros(1, 3, 8, 112, 112)).shape == (1, 512)
        assert networks.architecture("vgg19").eval().features(torch.zeros(1, 3, 224, 224)).shape == (1, 512, 7, 7)
        assert vggish().eval()(torch.zeros(1, 1, 96, 64)).shape == (1, 128)


# What they are shown


def test_log_mel_patches_of_a_tone_peak_in_its_band() -> None:
    times = np.arange(2 * RATE) / RATE
    patches = log_mel_patches(np.sin(2 * np.pi * 1000 * times).astype(np.float32))
    assert (patches.shape, patches.dtype) == ((2, 96, 64), np.float32)
    # Mel of 125, 1000, 7500 Hz: 185, 1000, 2776; 64 bands between 66 edges 39.87 apart: (1000 - 185) / 39.87 = 20.4,
    # the band number from 1 whose centre is nearest; index 19 from 0.
    assert set(patches.argmax(axis=2).ravel()) == {19}
    assert patches.min() >= np.log(np.float32(0.01)) - 1e-6
    assert np.allclose(log_mel_patches(np.zeros(RATE, np.float32)), np.log(0.01))


def test_the_spectrogram_of_vggsound_repeats_short_sound_and_is_standardised() -> None:
    sine = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    spectrogram = vggsound_spectrogram(sine)
    # (160,000 - 353) / (512 - 353) = 1004.07 windows; 1000 Hz is bin 512 * 1000 / 16,000 = 32.
    assert (spectrogram.shape, spectrogram.dtype) == ((257, 1004), np.float32)
    assert set(spectrogram.argmax(axis=0)) == {32}
    assert spectrogram.mean() == pytest.approx(0, abs=1e-4) and spectrogram.std() == pytest.approx(1, abs=1e-4)
    assert np.array_equal(vggsound_spectrogram(np.tile(sine, 12)), spectrogram)
    assert np.isfinite(vggsound_spectrogram(np.zeros(RATE, np.float32))).all()


def test_a_whole_clip_gives_evenly_spread_frames_and_a_short_one_its_last_again() -> None:
    # 82 frames: 81 / 79 = 1.0253 apart, so that one is left out about every 40th.
    assert frames_of_clips(np.arange(82) / 8, 10).tolist() == np.round(np.linspace(0, 81, 80)).astype(int).tolist()
    assert frames_of_clips(np.arange(80) / 8, 10).tolist() == list(range(80))
    assert frames_of_clips(np.arange(16) / 8, 10).tolist() == [*range(16), *[15] * 64]
    assert frames_of_clips(np.arange(8) / 4, 10)[:16].tolist() == np.repeat(np.arange(8), 2).tolist()


def test_pictures_are_cropped_and_squeezed_as_the_networks_were_trained() -> None:
    wide = Image.new("RGB", (640, 320))
    wide.paste((255, 0, 0), (320, 0, 640, 320))
    crop, small = networks.picture_keeper("res152-r2plus1d")(wide)
    assert (crop.shape, small.shape) == ((224, 224, 3), (112, 112, 3))
    # Both keep the middle of the picture in the middle; the crop holds 224 of 512 columns, the squeezed one all.
    assert (crop[:, 105, 0] < 30).all() and (crop[:, 118, 0] > 225).all() and (small[:, 58, 0] > 225).all()
    assert networks.picture_keeper("vgg19")(wide).shape == (224, 224, 3)
    for encoder, side in (("k400r50", 256), ("imagenetr50", 224), ("randomr50", 224)):
        crop = networks.picture_keeper(encoder)(wide)
        assert crop.shape == (side, side, 3)
        assert (crop[:, side // 2 - 6, 0] < 30).all() and (crop[:, side // 2 + 6, 0] > 225).all()
    black = np.zeros((1, 1, 1, 3), np.uint8)
    assert networks._normalised(black, networks._SLOW).ravel() == pytest.approx([-2] * 3)
    assert networks._normalised(black, networks._IMAGENET).ravel() == pytest.approx(
        [-2.117904, -2.035714, -1.804444], abs=1e-6
    )


# What becomes of it


class Little(nn.Module):
    """A network of the right width behind a pooling; its classifier has to go."""

    def __init__(self, pool: nn.Module, inside: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(pool, nn.Flatten(), nn.Linear(inside, width))
        self.fc = nn.Linear(width, 2)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.fc(self.stem(values))


class Grid(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.AvgPool2d(32), nn.Conv2d(3, 512, 1))
        self.classifier = nn.Linear(1, 1)


LITTLE = {
    "vggish": lambda: nn.Sequential(nn.Flatten(), nn.Linear(96 * 64, 128)),
    "resnet152": lambda: Little(nn.AdaptiveAvgPool2d(4), 48, 2048),
    "r2plus1d_18": lambda: Little(nn.AdaptiveAvgPool3d(2), 24, 512),
    "vgg19": Grid,
    "slow_r50": lambda: nn.Sequential(nn.AdaptiveAvgPool3d((8, 1, 1)), nn.Flatten(), nn.Linear(24, 400)),
    "resnet50": lambda: Little(nn.AdaptiveAvgPool2d(1), 3, 2048),
    "vggsound": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16, 309)),
}


@pytest.fixture
def little_networks(tmp_path, monkeypatch):
    """Small networks of the right widths; random weights lie on disk under the published names."""
    torch.manual_seed(0)
    (tmp_path / "weights").mkdir()
    for name, (file, _) in networks._WEIGHTS.items():
        weights = LITTLE[name]().state_dict()
        torch.save({"model_state": weights, "epoch": 7} if name == "slow_r50" else weights, tmp_path / "weights" / file)
    monkeypatch.setattr(networks, "architecture", lambda name: LITTLE[name]())
    monkeypatch.setattr(networks, "sha256_file", lambda path: "0676ba61" + "0" * 56)
    monkeypatch.setenv(networks.FOLDER_VARIABLE, str(tmp_path / "weights"))
    networks._loaded.cache_clear()
    yield tmp_path / "weights"
    networks._loaded.cache_clear()


def test_networks_fill_the_arrays_of_their_recipes(tmp_path, little_networks) -> None:
    clip = write_mp4(tmp_path / "a.mp4", grey_steps(20, 256).repeat(4, axis=0)[:40], tone(5.0))
    heard, moving = extract_clip(
        ClipJob(clip, clip), get_audio_recipe("seconds10-vggish"), get_visual_recipe("seconds10-res152-r2plus1d")
    )
    assert (heard.array.shape, moving.array.shape) == ((10, 128), (10, 2560))
    assert (heard.n_frames, moving.n_frames, moving.status) == (5, 5, "partial")
    assert np.isfinite(moving.array).all() and (moving.array[5:] == moving.array[4]).all()
    assert (moving.array[3] != moving.array[2]).any() and moving.array[:, 2048:].std() > 0
    grid = seen(clip, "seconds10-vgg19")
    assert (grid.array.shape, grid.n_frames) == ((10, 7, 7, 512), 5)
    assert grid.array[0].std() > 0


@pytest.mark.parametrize("encoder", ["k400r50", "imagenetr50", "randomr50"])
def test_networks_make_vectors_and_black_from_the_frames(tmp_path, little_networks, encoder: str) -> None:
    recipe = get_visual_recipe(f"uniform8-{encoder}")
    feature = seen(write_mp4(tmp_path / "a.mp4", grey_steps(20, 128), None), recipe.name)
    black = seen(write_mp4(tmp_path / "d.mp4", np.zeros((20, 128, 128, 3), np.uint8), None), recipe.name)
    assert feature.array.shape == recipe.shape and feature.array.std() > 0
    assert black.status == "black"
    stated = np.array(black_vector(recipe))
    assert np.abs(black.array - stated).max() < 0.05 < np.abs(feature.array - stated).max()


def test_the_network_of_vggsound_is_read_out_of_its_checkpoint_and_keeps_its_classifier(tmp_path, monkeypatch) -> None:
    torch.manual_seed(0)
    network = vggsound_resnet18().eval()
    parameters = {f"audnet.{name}": value for name, value in network.state_dict().items()}
    checkpoint = {"epoch": 90, "model_state_dict": parameters}
    torch.save(checkpoint, tmp_path / "H.pth.tar", _use_new_zipfile_serialization=False)  # as torch wrote it in 2020
    monkeypatch.setenv(networks.FOLDER_VARIABLE, str(tmp_path))
    networks._loaded.cache_clear()
    write_wav(tmp_path / "a.wav", tone(2.0))
    feature, _ = extract_clip(ClipJob(tmp_path / "a.wav", None), get_audio_recipe("clip10-vggsoundr18"), None)
    networks._loaded.cache_clear()
    shown = torch.from_numpy(vggsound_spectrogram(tone(2.0)))[None, None]
    with torch.inference_mode():
        assert feature.array == pytest.approx(network(shown)[0].numpy(), abs=0.02)
    assert (feature.status, feature.array.dtype, feature.array.shape) == ("ok", np.float16, (309,))


def test_a_vector_is_the_mean_over_frames_and_random_weights_are_always_the_same(little_networks) -> None:
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


# Weights


def test_cards_name_the_weights_and_what_black_is(tmp_path, little_networks) -> None:
    (tmp_path / "media").mkdir()
    write_mp4(tmp_path / "media" / "a.mp4", grey_steps(20), None)
    manifest = write_clip_manifest(tmp_path, ["a.mp4"])
    for encoder, files in (("imagenetr50", ["resnet50-0676ba61.pth"]), ("randomr50", [])):
        # In this process: a decoder process would have the large networks.
        request = prepare(manifest, {"visual": get_visual_recipe(f"uniform8-{encoder}")}, DEFAULT_FUNCTION, 1)
        assert list(request.facts["weights"]) == files and "torch" in request.facts["libraries"]
        assert len(request.black) == 2048


def test_absent_weights_are_named_before_any_clip_is_decoded(tmp_path, monkeypatch) -> None:
    (tmp_path / "media").mkdir()
    manifest = write_clip_manifest(tmp_path, ["absent.mp4"])
    monkeypatch.setenv(networks.FOLDER_VARIABLE, str(tmp_path / "weights"))
    for recipes, said in (
        (
            {"audio": "seconds10-mel128", "visual": "seconds10-res152-r2plus1d"},
            r"weights/resnet152-394f9c45\.pth: no such file.*download\.pytorch\.org",
        ),
        ({"audio": "seconds10-vggish"}, r"vggish-10086976\.pth.*harritaylor/torchvggish"),
        ({"visual": "uniform8-k400r50"}, r"SLOW_8x8_R50\.pyth: no such file.*dl\.fbaipublicfiles\.com"),
        ({"audio": "clip10-vggsoundr18"}, r"H\.pth\.tar: no such file.*take H\.pth\.tar from http://www\.robots\.ox"),
    ):
        with pytest.raises(UserError, match=said):
            extract(manifest, recipes, tmp_path / "out", decoder="decoder_faults:absent")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "vgg19-dcbb9e9d.pth").write_bytes(b"half")
    with pytest.raises(UserError, match="sha256 does not begin with dcbb9e9d"):
        networks.weight_digests(["vgg19"])


def test_weights_that_are_none_cost_the_clips_or_with_a_black_vector_the_extraction(tmp_path, monkeypatch) -> None:
    (tmp_path / "media").mkdir()
    write_wav(tmp_path / "media" / "a.wav", tone(2.0))
    for name in ("vggish-10086976.pth", "SLOW_8x8_R50.pyth"):
        (tmp_path / name).write_bytes(b"no weights")
    monkeypatch.setenv(networks.FOLDER_VARIABLE, str(tmp_path))
    networks._loaded.cache_clear()
    manifest = write_clip_manifest(tmp_path, ["a.wav"])
    store = open_store(extract(manifest, {"audio": "seconds10-vggish"}, tmp_path / "out")["audio"])
    assert store.card["weights"] == {"vggish-10086976.pth": sha256_file(tmp_path / "vggish-10086976.pth")}
    assert "torch" in store.card["libraries"]
    assert store.index["status"].tolist() == ["decoder_crash"]
    assert "vggish-10086976.pth: not the weights of this network" in store.index["reason"].iloc[0]
    with pytest.raises(UserError, match=r"SLOW_8x8_R50\.pyth: not the weights of this network"):
        extract(manifest, {"visual": "uniform8-k400r50"}, tmp_path / "out")


def test_without_a_clip_there_is_no_black_and_no_weights_are_needed(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(networks.FOLDER_VARIABLE, str(tmp_path / "weights"))
    manifest = write_clip_manifest(tmp_path, ["a.mp4"], status=["missing"])
    store = open_store(extract(manifest, {"visual": "uniform8-k400r50"}, tmp_path / "out")["visual"])
    assert store.array.shape == (0, 400) and "black" not in store.card and "weights" not in store.card
