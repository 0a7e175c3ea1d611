"""The encoder against torchvision's ResNet-18, its sizes, and the pooling over frames."""

from __future__ import annotations

import pytest
import torch

from avbalance.models.resnet import ResNet18, as_images, encode, pool


def torchvision_key(key: str) -> str:
    """Translate a key of our state dict to torchvision's."""
    for ours, theirs in (("stem.0", "conv1"), ("stem.1", "bn1"), ("norm", "bn"), ("shortcut", "downsample")):
        key = key.replace(ours, theirs)
    if key.startswith("stages."):
        _, stage, rest = key.split(".", 2)
        key = f"layer{int(stage) + 1}.{rest}"
    return key


@pytest.mark.parametrize("training", [True, False])
def test_equals_torchvision_at_width_64(training: bool) -> None:
    resnet18 = pytest.importorskip("torchvision").models.resnet18
    with torch.random.fork_rng():
        torch.manual_seed(0)
        reference = resnet18(weights=None)
        ours = ResNet18(3)
        images = torch.randn(2, 3, 64, 64)
    reference.fc = torch.nn.Identity()
    for name, buffer in reference.named_buffers():
        if name.endswith("running_mean"):
            buffer.add_(0.1)
    weights = reference.state_dict()
    assert {torchvision_key(key) for key in ours.state_dict()} == set(weights)
    ours.load_state_dict({key: weights[torchvision_key(key)] for key in ours.state_dict()})
    ours.train(training)
    reference.train(training)
    with torch.no_grad():
        torch.testing.assert_close(pool(ours(images), 2), reference(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("stem", "stride", "map_size"),
    [("imagenet", 2, (1, 2)), ("small", 2, (2, 4)), ("small", 1, (4, 8))],
)
def test_stems_set_the_resolution(stem: str, stride: int, map_size: tuple[int, int]) -> None:
    # 32 x 64 is divided by stem and stages: imagenet 4 * 8 = 32, small 2 * 8 = 16 or 1 * 8 = 8
    encoder = ResNet18(1, width=2, stem=stem, stem_stride=stride)
    assert encoder(torch.zeros(2, 1, 32, 64)).shape == (2, 16, *map_size)
    assert encoder.channels == (2, 4, 8, 16)


def test_frames_of_a_sample_lie_together_and_are_averaged() -> None:
    # B = 2, K = 2: image number b*K + k holds the constant 10 b + k
    visual = torch.tensor([[0.0, 1.0], [10.0, 11.0]])[:, None, :, None, None].expand(2, 3, 2, 4, 4)
    images = as_images("visual", visual)
    assert images.shape == (4, 3, 4, 4)
    assert images[:, 0, 0, 0].tolist() == [0.0, 1.0, 10.0, 11.0]
    assert pool(images, 2)[:, 0].tolist() == [0.5, 10.5]


def test_channels_last_changes_only_the_layout() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = ResNet18(3, width=4, stem="small").eval()
        frames = torch.randn(2, 2, 16, 16, 3).permute(0, 4, 1, 2, 3)
    assert as_images("visual", frames).is_contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        plain = encode(encoder, "visual", frames.contiguous())
        encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        torch.testing.assert_close(encode(encoder, "visual", frames), plain, rtol=1e-4, atol=1e-5)
