"""A model that is known to be what was registered is not loaded to judge what it predicted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fakes_models import coloured_store
from safetensors.torch import save_file

import slicedb
from slicedb.errors import ModelError

LOADED = """
import sys, slicedb
db = slicedb.open(sys.argv[1])
evaluation = db.evaluate("v1")
print(evaluation.value("all", "v1"), "torch" in sys.modules)
"""


@pytest.fixture
def predicted(tmp_path: Path) -> tuple[str, Path]:
    """A database with a torchvision model that has predicted everything, and its weights."""
    import torch
    from torchvision import models

    torch.manual_seed(0)
    file = tmp_path / "weights.safetensors"
    save_file(models.squeezenet1_1(num_classes=3).state_dict(), file)
    settle(file)
    db = slicedb.Database(coloured_store(tmp_path))
    db.models.add(
        "v1", "torchvision:squeezenet1_1", weights=file, classes=["red", "green", "blue"], size=32
    )
    db.predict("v1", progress=False)
    db.models._loaded.clear()
    db.models.get("v1")  # found to be what was registered
    return db.path, file


def settle(file: Path, seconds: float = 60) -> None:
    """Let a file have been written some time ago."""
    then = file.stat().st_mtime - seconds
    os.utime(file, (then, then))


def judged(path: str) -> tuple[str, str]:
    """Return the accuracy, as another process says it, and whether that imported torch."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, path], capture_output=True, text=True, check=True
    )
    accuracy, loaded = done.stdout.split()
    return accuracy, loaded


def test_complete_predictions_are_judged_without_torch(predicted: tuple[str, Path]) -> None:
    path, _ = predicted
    accuracy, loaded = judged(path)
    assert loaded == "False"
    db = slicedb.open(path)
    assert db.models.stands("v1")
    db.relabel("id = '0_red'", "green")
    assert db.evaluate("v1").value("all", "v1") != float(accuracy)


def test_changed_weights_and_new_pictures_are_noticed(predicted: tuple[str, Path]) -> None:
    import torch
    from torchvision import models

    path, file = predicted
    torch.manual_seed(1)
    save_file(models.squeezenet1_1(num_classes=3).state_dict(), file)
    settle(file)  # of the same size, and as old
    db = slicedb.open(path)
    assert not db.models.stands("v1")
    with pytest.raises(ModelError, match="is not what was registered"):
        db.evaluate("v1")


def test_what_is_missing_is_predicted_by_the_loaded_model(predicted: tuple[str, Path]) -> None:
    path, _ = predicted
    db = slicedb.open(path)
    db.store.delete("predictions__v1", ["0_red"])
    assert db.models.stands("v1")
    assert db.evaluate("v1").to_arrow()["n"].to_pylist() == [9]


def test_a_file_that_was_written_just_now_is_not_trusted(predicted: tuple[str, Path]) -> None:
    path, file = predicted
    file.touch()
    db = slicedb.open(path)
    db.models.get("v1")
    db.models._loaded.clear()
    assert not db.models.stands("v1")  # it may be written again within a tick of the clock
    settle(file)
    db.models.get("v1")
    db.models._loaded.clear()
    assert db.models.stands("v1")


def test_a_factory_is_always_loaded_for_nobody_knows_what_it_reads(tmp_path: Path) -> None:
    db = slicedb.Database(coloured_store(tmp_path))
    code = tmp_path / "net.py"
    code.write_text(
        "import torchvision\n"
        "def make():\n    return torchvision.models.squeezenet1_1(num_classes=3)\n"
    )
    settle(code)
    db.models.add("v2", f"{code}:make", classes=["red", "green", "blue"], size=32)
    db.models._loaded.clear()
    db.models.get("v2")
    db.models._loaded.clear()
    assert not db.models.stands("v2")


def test_the_command_line_is_a_module_too() -> None:
    words = [sys.executable, "-m", "slicedb", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("slicedb, version")
