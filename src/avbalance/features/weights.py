"""Files of pretrained weights: which network needs which, and where they are taken from."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from avbalance.errors import UserError
from avbalance.files import sha256_file

FOLDER_VARIABLE = "AVBALANCE_WEIGHTS"
_DEFAULT_FOLDER = "downloads/weights"
_TORCHVISION = "https://download.pytorch.org/models/{}, where torchvision publishes it"
_PYTORCHVIDEO = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/{}, where PyTorchVideo publishes it"
_TORCHVGGISH = "the releases of the repository harritaylor/torchvggish (v0.1)"
# Encoder -> its files, by the names that they are published under.
WEIGHTS = {
    "vggish": {"vggish-10086976.pth": _TORCHVGGISH},
    "res152-r2plus1d": {"resnet152-394f9c45.pth": _TORCHVISION, "r2plus1d_18-91a641e6.pth": _TORCHVISION},
    "vgg19": {"vgg19-dcbb9e9d.pth": _TORCHVISION},
    "k400r50": {"SLOW_8x8_R50.pyth": _PYTORCHVIDEO},
    "imagenetr50": {"resnet50-0676ba61.pth": _TORCHVISION},
    "randomr50": {},  # drawn from a seed
}
NETWORK_LIBRARIES = ("torch", "torchvision")
NETWORK_TIMEOUT_S = 900.0  # per clip: ResNet-152 and R(2+1)D-18 take a minute on a core that they have for themselves


def weights_file(name: str) -> Path:
    """Path of a weights file, in the folder that AVBALANCE_WEIGHTS names (default downloads/weights)."""
    return Path(os.environ.get(FOLDER_VARIABLE) or _DEFAULT_FOLDER) / name


def weight_digests(encoders: Iterable[str]) -> dict[str, str]:
    """File name -> sha256 of all weights of some encoders; raises UserError, naming the source, for an
    absent one and one cut short."""
    digests = {}
    for encoder in encoders:
        for name, source in WEIGHTS[encoder].items():
            path = weights_file(name)
            if not path.is_file():
                raise UserError(
                    f"{path}: no such file of pretrained weights; take {name} from {source.format(name)}, put it there "
                    f"or set {FOLDER_VARIABLE} to its folder, or give the clips' released features in the manifest."
                )
            digests[name] = sha256_file(path)
            prefix = name.rpartition("-")[2].removesuffix(".pth")
            if source is _TORCHVISION and not digests[name].startswith(prefix):
                raise UserError(
                    f"{path}: its sha256 does not begin with {prefix}, as that of the published file does; take it "
                    f"again from {source.format(name)}."
                )
    return digests
