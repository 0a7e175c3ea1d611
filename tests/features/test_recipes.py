import pytest

from avbalance.errors import UserError
from avbalance.features.recipes import chosen_recipes, get_audio_recipe, get_visual_recipe


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("paper48k", (257, 1091)),  # 512 / 2 + 1; 480,000 / 440 = 1090.9, and one more for the centred start
        ("ogm_vgg", (129, 1251)),  # 256 / 2 + 1; 160,000 / 128 = 1250, plus 1
        ("ks_fbank", (1024, 128)),  # time first
        ("logmel32x64-4s", (32, 64)),
        ("seconds10-mel128", (10, 128)),
        ("seconds10-vggish", (10, 128)),
        ("clip10-vggsoundr18", (309,)),
    ],
)
def test_audio_recipes(name, shape):
    recipe = get_audio_recipe(name)
    assert (recipe.name, recipe.shape, recipe.dtype, recipe.modality) == (name, shape, "float16", "audio")


def test_only_ogm_vgg_has_a_window_of_five_seconds():
    assert get_audio_recipe("ogm_vgg").window_frames == 626  # 80,000 / 128 = 625, plus 1
    assert get_audio_recipe("paper48k").window_frames is None


def test_logmel_steps_cover_every_sample():
    four, one = get_audio_recipe("logmel32x64-4s"), get_audio_recipe("logmel32x64-1s")
    # 64,000 / 64 = 1000 samples per frame = 4 steps of 250; 16,000 / 64 = 250 = 1 step; windows are 512.
    assert (four.hop, four.pool, one.hop, one.pool) == (250, 4, 250, 1)


@pytest.mark.parametrize(
    ("name", "facts", "shape"),
    [
        ("fps1-middle-256", ("middle", 1.0, 256, 10, 4), (10, 256, 256, 3)),
        ("fps1-first-256", ("first", 1.0, 256, 10, 4), (10, 256, 256, 3)),
        ("fps1-middle-32", ("middle", 1.0, 32, 10, 1), (10, 32, 32, 3)),
        ("fps2-first-64-3s-min2", ("first", 2.0, 64, 6, 2), (6, 64, 64, 3)),
        ("fps5-first-2-1.2s-grey", ("first", 5.0, 2, 6, 1), (2, 2, 2, 3)),  # three grey frames make one picture
        ("still-28", ("still", 1.0, 28, 1, 1), (1, 28, 28, 3)),
    ],
)
def test_recipes_of_frames(name, facts, shape):
    recipe = get_visual_recipe(name)
    assert (recipe.rule, recipe.rate, recipe.size, recipe.max_frames, recipe.min_frames) == facts
    assert (recipe.shape, recipe.dtype, recipe.modality) == (shape, "uint8", "visual")


@pytest.mark.parametrize(
    ("name", "encoder", "shape"),
    [
        ("seconds10-conv2560", "frame_statistics", (10, 2560)),
        ("seconds10-grid64", "frame_grid", (10, 7, 7, 64)),
        ("seconds10-grey2560", "grey_frames", (10, 2560)),
        ("seconds10-greygrid64", "grey_grid", (10, 7, 7, 64)),
        ("seconds10-res152-r2plus1d", "res152-r2plus1d", (10, 2560)),
        ("seconds10-vgg19", "vgg19", (10, 7, 7, 512)),
        ("uniform8-k400r50", "k400r50", (400,)),
        ("uniform8-imagenetr50", "imagenetr50", (2048,)),
        ("uniform8-randomr50", "randomr50", (2048,)),
        ("uniform8-small64", "small", (64,)),
        ("uniform8-grey2048", "grey", (2048,)),
    ],
)
def test_recipes_that_encode_pictures(name, encoder, shape):
    recipe = get_visual_recipe(name)
    assert (recipe.encoder, recipe.shape, recipe.dtype, recipe.modality) == (encoder, shape, "float16", "visual")
    assert getattr(recipe, "rate", 8) == (16 if encoder == "vgg19" else 8)


@pytest.mark.parametrize("name", ["paper44k", "logmel32x64", "logmel32x63-4s", "logmel999x64-4s", "decibel64-0.01s"])
def test_bad_audio_names_are_refused_with_their_name(name):
    with pytest.raises(UserError, match=name):
        get_audio_recipe(name)


@pytest.mark.parametrize(
    "name",
    ["fps1-last-32", "still", "fps1-middle-0", "fps1-middle-32-2s-min3", "fps5-first-32-1s-grey", "seconds10-grid0",
     "seconds10-grid513", "seconds10-mel128", "uniform8-small8", "uniform8-small63", "uniform9-small64"],
)  # fmt: skip
def test_bad_visual_names_are_refused_with_their_name(name):
    with pytest.raises(UserError, match=name):
        get_visual_recipe(name)


def test_unknown_names_list_what_exists():
    with pytest.raises(UserError, match=r"paper48k, ogm_vgg, ogm_cremad, ks_fbank"):
        get_audio_recipe("nonsense")
    with pytest.raises(UserError, match=r"fps1-middle-256, fps1-first-256.*seconds10-grid<channels>.*-small<width>"):
        get_visual_recipe("nonsense")


@pytest.mark.parametrize("recipes", [{}, {"audio": "paper48k", "touch": "x"}, {"audio": "nonsense"}])
def test_bad_requests_are_refused(recipes):
    with pytest.raises(UserError):
        chosen_recipes(recipes)
