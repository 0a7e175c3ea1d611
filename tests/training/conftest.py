"""Makes the helper modules of this folder and of benchmarks importable; one tiny data set for all tests here."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(1, str(Path(__file__).parents[2] / "benchmarks"))

from tiny_cell import TinyData, make_data, tiny_settings


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Other tests run beside this one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> TinyData:
    """96 training, 32 validation and 120 test clips of four classes that both modalities tell apart."""
    return make_data(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_clips(tiny_data: TinyData) -> Any:
    """The same data set, loaded."""
    from avbalance.training.data import load_clips

    return load_clips(tiny_data.manifest, tiny_data.audio, tiny_data.visual)


@pytest.fixture
def make_trainer(tiny_clips: Any) -> Callable[..., Any]:
    """Return a function that makes a trainer at the start of a run: method, seed, checkpoints, settings by part."""
    import torch

    from avbalance.training.cell import make_trainer as make

    def build(
        method: str = "baseline", seed: int = 0, checkpoints: Any = None, progress: Any = None, **changes: Any
    ) -> Any:
        torch.set_num_threads(1)
        settings = tiny_settings(**changes)
        return make(method, settings, seed, tiny_clips, torch.device("cpu"), None, checkpoints, progress)

    return build
