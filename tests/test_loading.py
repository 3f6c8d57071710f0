"""Models and encoders are opened one after the other, whichever threads ask for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys, threading
import slicedb

db = slicedb.open(sys.argv[1])
errors = []


def model():
    try:
        db.models.get("small")
    except BaseException as error:
        errors.append(repr(error))


def encoder():
    try:
        db.encoder()
    except BaseException as error:
        errors.append(repr(error))


threads = [threading.Thread(target=each) for each in (encoder, model, model)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(errors, db.models.get("small") is db.models.get("small"))
"""


@pytest.mark.slow
def test_an_encoder_and_a_model_of_torchvision_are_opened_at_the_same_time(tmp_path: Path) -> None:
    from fakes_models import colours, fill

    import slicedb

    file = tmp_path / "small.py"
    file.write_text(
        "def small():\n    import torchvision\n"
        "    return torchvision.models.squeezenet1_1(num_classes=2)\n"
    )
    db = slicedb.open(tmp_path / "data.slicedb")
    fill(db.store, colours(3))
    db.embed(progress=False)
    import torch

    weights = tmp_path / "small.pt"
    scope: dict[str, object] = {}
    exec(file.read_text(), scope)
    torch.save(scope["small"]().state_dict(), weights)  # type: ignore[operator]
    db.models.add("small", f"{file}:small", weights=str(weights), classes=["a", "b"])
    asked = [sys.executable, "-c", CODE, str(tmp_path / "data.slicedb")]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] True", done.stdout + done.stderr
