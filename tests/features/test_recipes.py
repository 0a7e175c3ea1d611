import numpy as np
import pytest
from PIL import Image

from avbalance.errors import UserError
from avbalance.features.recipes import get_audio_recipe, get_visual_recipe, recipe_from
from avbalance.features.visual import frame_block


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("paper48k", (257, 1091)),  # 512 / 2 + 1; 480,000 / 440 = 1090.9, and one more for the centred start
        ("ogm_vgg", (129, 1251)),  # 256 / 2 + 1; 160,000 / 128 = 1250, plus 1
        ("ogm_cremad", (257, 188)),  # 66,150 / 353 = 187.4, plus 1
        ("ks_fbank", (1024, 128)),  # time first
        ("logmel32x64-4s", (32, 64)),
    ],
)
def test_audio_shapes(name, shape):
    assert get_audio_recipe(name).shape == shape


def test_only_ogm_vgg_has_a_window_of_five_seconds():
    assert get_audio_recipe("ogm_vgg").window_frames == 626  # 80,000 / 128 = 625, plus 1
    assert get_audio_recipe("paper48k").window_frames is None


def test_logmel_steps_cover_every_sample():
    four, one = get_audio_recipe("logmel32x64-4s"), get_audio_recipe("logmel32x64-1s")
    # 64,000 / 64 = 1000 samples per frame = 4 steps of 250; 16,000 / 64 = 250 = 1 step; windows are 512.
    assert (four.hop, four.pool, one.hop, one.pool) == (250, 4, 250, 1)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("fps1-middle-256", ("middle", 1.0, 256, 10, 4)),
        ("fps1-first-256", ("first", 1.0, 256, 10, 4)),
        ("fps1-middle-32", ("middle", 1.0, 32, 10, 1)),
        ("fps2-first-64-3s-min2", ("first", 2.0, 64, 6, 2)),
        ("still-28", ("still", 1.0, 28, 1, 1)),
    ],
)
def test_visual_recipes(name, facts):
    recipe = get_visual_recipe(name)
    assert (recipe.rule, recipe.rate, recipe.size, recipe.max_frames, recipe.min_frames) == facts
    assert recipe.shape == (facts[3], facts[2], facts[2], 3)


def test_three_grey_frames_are_the_channels_of_one_picture():
    recipe = get_visual_recipe("fps5-first-2-1.2s-grey")
    assert (recipe.max_frames, recipe.shape, recipe.grey) == (6, (2, 2, 2, 3), True)
    assert recipe_from(recipe.as_dict()) == recipe
    images = [Image.new("RGB", (2, 2), (number, number + 30, number + 60)) for number in range(5)]
    block = frame_block(images, recipe)
    assert block.dtype == np.uint8 and block[:, 0, 0].tolist() == [[30, 31, 32], [33, 34, 34]]  # the last one again
    assert frame_block(images, get_visual_recipe("fps5-first-2-1.2s"))[1, 0, 0].tolist() == [1, 31, 61]


@pytest.mark.parametrize("name", ["paper44k", "logmel32x64", "logmel32x63-4s", "logmel999x64-4s"])
def test_bad_audio_names_are_refused_with_their_name(name):
    with pytest.raises(UserError, match=name):
        get_audio_recipe(name)


@pytest.mark.parametrize(
    "name", ["fps1-last-32", "still", "fps1-middle-0", "fps1-middle-32-2s-min3", "fps5-first-32-1s-grey"]
)
def test_bad_visual_names_are_refused_with_their_name(name):
    with pytest.raises(UserError, match=name):
        get_visual_recipe(name)


def test_unknown_names_list_what_exists():
    with pytest.raises(UserError, match=r"paper48k, ogm_vgg, ogm_cremad, ks_fbank"):
        get_audio_recipe("nonsense")
    with pytest.raises(UserError, match=r"fps1-middle-256, fps1-first-256"):
        get_visual_recipe("nonsense")
