"""What pictures could tell: a linear model on what a frozen ResNet-50 sees, with the ImageNet weights of torchvision.

A network that learns from a few hundred clips alone tells little of its pictures. Where the weights are at hand, runs
frozen-visual and frozen-both say how much more there is. torchvision has no network of sounds: sound stays as it is.
"""

from __future__ import annotations

import os
import urllib.error
from collections.abc import Callable
from pathlib import Path

from avbalance.errors import UserError
from avbalance.features.networks import FOLDER_VARIABLE, weight_digests

RUNS, RECIPE = ("frozen-visual", "frozen-both"), "uniform8-imagenetr50"
FEW = 2000  # training clips
MEGABYTES = 98
SECONDS_PER_CLIP = 1.2  # of one core: eight pictures through ResNet-50
FOLDER = "downloads/weights"  # where features/networks.py looks by default


def at_hand() -> bool:
    """Whether the weights are there, whole."""
    try:
        weight_digests(("imagenetr50",))
    except UserError:
        return False
    return True


def fetch(say: Callable[[str], None]) -> None:
    """Fetch the weights from where torchvision publishes them; raises UserError when they do not arrive whole."""
    if at_hand():
        return
    from torch.hub import download_url_to_file
    from torchvision.models import ResNet50_Weights

    address = ResNet50_Weights.IMAGENET1K_V1.url
    path = Path(os.environ.get(FOLDER_VARIABLE) or FOLDER) / address.rpartition("/")[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    say(f"{path}: {MEGABYTES} MB from {address}")
    try:
        download_url_to_file(address, str(path), hash_prefix=path.stem.rpartition("-")[2], progress=False)
    except (OSError, RuntimeError, urllib.error.URLError) as error:
        raise UserError(
            f"{address}: did not arrive ({error}); try again, put the file at {path} yourself, or leave --frozen out."
        ) from error
