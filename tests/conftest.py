"""What all tests share: a small database of rendered scenes, and where real data is."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("slicedb", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("slicedb")

SCENES = 120

# What tests start, and the next run, need not compile the package and the tests once more.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

if "PYTEST_XDIST_WORKER" in os.environ:
    # There are more processes than cores: a second thread of each would only spin.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Take one process more than there are cores: tests wait for browsers and processes."""
    return (os.cpu_count() or 1) + 1


def pytest_configure(config: pytest.Config) -> None:
    """Keep files in their order: the last are short, so that no process waits for another."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Let the collector of garbage pass over what the imports and thousands of tests made.

    Not where Ray runs: what it leaves behind is to be collected while Ray is there.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)


FACTORY = '''
import torch
from slicedb.models import TorchClassifier

NAMES = {names!r}


class Warmth(torch.nn.Module):
    """Guesses the class from the mean colour: deterministic, quick and mostly wrong."""

    def forward(self, images):
        mean = images.mean(dim=(2, 3))
        return torch.stack([mean[:, i % 3] * (i + 1) for i in range(len(NAMES))], dim=1)


def build():
    return TorchClassifier(Warmth(), classes=NAMES, input_size=32)
'''


@pytest.fixture(scope="session", autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests register out of the user's own list of trusted code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLICEDB_CONFIG", str(tmp_path_factory.mktemp("settings")))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images, or a skip."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("../shared/data is not there")
    return folder


@pytest.fixture(scope="session")
def _scenes_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures/, data.slicedb (embedded) and model.py."""
    import slicedb
    from slicedb.demo.scenes import CLASSES, write

    root = tmp_path_factory.mktemp("scenes")
    table = write(root / "pictures", SCENES, 0)
    db = slicedb.open(root / "data.slicedb")
    db.ingest(table)
    db.embed()
    (root / "model.py").write_text(FACTORY.format(names=list(CLASSES)))
    return root


@pytest.fixture
def scenes(_scenes_once: Path, tmp_path: Path) -> Path:
    """A private copy of the small database of scenes."""
    copy = tmp_path / "scenes"
    shutil.copytree(_scenes_once, copy)
    return copy
