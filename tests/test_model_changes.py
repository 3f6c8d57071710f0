"""A changed model is another model: whatever its code reaches counts, and nothing else."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes_models import COLOURS, MeanColour, fill, png
from torch import nn
from torchvision import transforms as T

import slicedb
from slicedb.errors import ModelError
from slicedb.models import Model, TorchClassifier, TorchDetector, TorchRegressor

SCALE = 1.0
TABLE = {"scale": 1.0, "names": ["a"]}


def to_tensor(image: Any) -> torch.Tensor:
    return torch.from_numpy(np.array(image.resize((8, 8)))).permute(2, 0, 1).float() / 255


def closed_over(size: int) -> Callable[[Any], torch.Tensor]:
    def transform(image: Any) -> torch.Tensor:
        return to_tensor(image) * size

    return transform


def nested(size: int) -> Callable[[Any], torch.Tensor]:
    inner = closed_over(size)
    return lambda image: (lambda x: inner(x))(image)


def with_global(image: Any) -> torch.Tensor:
    return to_tensor(image) * SCALE


def with_table(image: Any) -> torch.Tensor:
    return to_tensor(image) * TABLE["scale"]


def through_helper(image: Any) -> torch.Tensor:
    return with_global(image)


@dataclass
class Settings:
    scale: float = 1.0


class Called:
    """A transform that is an object."""

    level = 1.0

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __call__(self, image: Any) -> torch.Tensor:
        return to_tensor(image) * self.settings.scale * self.level


class Slotted:
    __slots__ = ("scale",)

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def __call__(self, image: Any) -> torch.Tensor:
        return to_tensor(image) * self.scale


def with_default(image: Any, scale: float = 1.0, *, shift: float = 0.0) -> torch.Tensor:
    return to_tensor(image) * scale + shift


def defaulting(scale: float) -> Callable[..., torch.Tensor]:
    def transform(image: Any, scale: float = scale) -> torch.Tensor:
        return to_tensor(image) * scale

    return transform


def tensor_inside(value: float) -> Callable[[Any], torch.Tensor]:
    weight = torch.full((3, 1, 1), value)
    return lambda image: to_tensor(image) * weight


def array_inside(value: float) -> Callable[[Any], torch.Tensor]:
    weight = np.full((3, 1, 1), value, np.float32)
    return lambda image: to_tensor(image) * torch.from_numpy(weight)


def network_inside(value: float) -> Callable[[Any], torch.Tensor]:
    layer = nn.Conv2d(3, 3, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return lambda image: layer(to_tensor(image)[None])[0].detach()


def decorated(scale: float) -> Callable[[Any], torch.Tensor]:
    def wrap(function: Callable[[Any], torch.Tensor]) -> Callable[[Any], torch.Tensor]:
        @functools.wraps(function)
        def run(image: Any) -> torch.Tensor:
            return function(image) * scale

        return run

    return wrap(to_tensor)


TRANSFORMS: dict[str, Callable[[float], Any]] = {
    "closure": closed_over,  # type: ignore[dict-item]
    "closure in a closure": nested,  # type: ignore[dict-item]
    "default": defaulting,
    "partial": lambda x: functools.partial(with_default, scale=x),
    "keyword of a partial": lambda x: functools.partial(with_default, shift=x),
    "partial of a partial": lambda x: functools.partial(functools.partial(with_default, scale=x)),
    "dataclass": lambda x: Called(Settings(x)),
    "bound method": lambda x: Called(Settings(x)).__call__,
    "slots": Slotted,
    "tensor": tensor_inside,
    "array": array_inside,
    "network": network_inside,
    "decorator": decorated,
    "cached": lambda x: functools.lru_cache(maxsize=1)(closed_over(x)),  # type: ignore[arg-type]
    "compose": lambda x: T.Compose([T.Resize(8), T.ToTensor(), T.Lambda(lambda t: t * x)]),
    "normalise": lambda x: T.Compose([T.ToTensor(), T.Normalize([x] * 3, [1.0] * 3)]),
}


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))


def with_transform(transform: Any) -> TorchClassifier:
    return TorchClassifier(linear(), classes=list(COLOURS), transform=transform)


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_a_fingerprint_follows_what_a_transform_holds(kind: str) -> None:
    made = TRANSFORMS[kind]
    one, same, other = (with_transform(made(x)).fingerprint() for x in (2.0, 2.0, 3.0))
    assert one == same
    assert one != other


@pytest.mark.parametrize("transform", [with_global, through_helper, lambda i: through_helper(i)])
def test_a_fingerprint_follows_globals(monkeypatch: pytest.MonkeyPatch, transform: Any) -> None:
    before = with_transform(transform).fingerprint()
    assert with_transform(transform).fingerprint() == before
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 0.5)
    assert with_transform(transform).fingerprint() != before


def test_a_fingerprint_follows_tables_and_attributes_of_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table, called = with_transform(with_table), with_transform(Called(Settings()))
    before = table.fingerprint(), called.fingerprint()
    monkeypatch.setitem(TABLE, "scale", 2.0)
    monkeypatch.setattr(Called, "level", 2.0)
    assert (table.fingerprint() != before[0], called.fingerprint() != before[1]) == (True, True)


class Warm(nn.Module):
    """Its temperature is a plain attribute, and it counts its calls and keeps a cache."""

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.inner = linear()
        self.temperature = temperature
        self.settings = {"scale": 1.0}
        self.bias = torch.zeros(3)  # no buffer
        self.calls = 0
        self.cache: dict[int, torch.Tensor] = {}
        self.history: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.history.append(len(x))
        self.cache[len(x)] = torch.zeros(len(x))
        return SCALE * self.inner(x) * self.settings["scale"] / self.temperature + self.bias


def warm(net: Warm) -> TorchClassifier:
    return TorchClassifier(net, classes=list(COLOURS), input_size=8)


def heat(net: Warm) -> None:
    net.temperature = 0.1


def scale(net: Warm) -> None:
    net.settings["scale"] = 2.0


def shift(net: Warm) -> None:
    net.bias = torch.ones(3)


def hook(net: Warm) -> None:
    net.inner.register_forward_hook(lambda module, inputs, output: output * 2)


def drop(net: Warm) -> None:
    net.inner[1].start_dim = 1
    net.inner[0].output_size = 2
    net.inner[2] = nn.Linear(12, 3)


def replace(net: Warm) -> None:
    net.forward = types.MethodType(lambda self, x: self.inner(x) * 3, net)  # type: ignore[method-assign]


@pytest.mark.parametrize("change", [heat, scale, shift, hook, drop, replace])
def test_a_fingerprint_follows_the_attributes_of_a_network(
    change: Callable[[Warm], None],
) -> None:
    net = Warm()
    model = warm(net)
    model.check()
    before = model.fingerprint()
    model.check()
    net(torch.zeros(5, 3, 8, 8))
    assert model.fingerprint() == before  # calls, history and cache say nothing
    change(net)
    assert model.fingerprint() != before


def test_a_changed_model_predicts_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    fill(db.store, {name: png(colour) for name, colour in COLOURS.items()})
    net = Warm()
    db.models.add("m", warm(net))
    assert db.predict("m").predicted == 3
    assert db.predict("m").predicted == 0
    net.temperature = 0.1
    with pytest.raises(ModelError, match="There is a model 'm' already"):
        db.models.add("m", warm(net))
    assert db.models.add("m", warm(net), replace=True).version == 2
    again = db.predict("m")
    assert (again.predicted, again.replaced) == (3, 3)
    assert "changed since it predicted 3 samples" in str(again)
    monkeypatch.setattr(sys.modules[__name__], "SCALE", -1.0)
    assert db.predict("m").predicted == 3
    assert db.predict("m").predicted == 0


class Hidden(nn.Module):
    """Reads its factor from a file, which no fingerprint sees; may speak at random."""

    def __init__(self, file: Path, random: bool = False) -> None:
        super().__init__()
        self.inner, self.file, self.random = linear(), file, random

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        noise = torch.rand(1) if self.random else 1.0
        return self.inner(x) * float(self.file.read_text()) * noise


@pytest.mark.parametrize("random", [False, True])
def test_what_a_model_says_of_noise_is_a_second_guard(tmp_path: Path, random: bool) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    fill(db.store, {name: png(colour) for name, colour in COLOURS.items()})
    file = tmp_path / "factor.txt"
    file.write_text("1.0")
    model = TorchClassifier(Hidden(file, random), classes=list(COLOURS), input_size=8)
    db.models.add("m", model)
    before = model.fingerprint()
    assert (db.predict("m").predicted, db.predict("m").predicted) == (3, 0)
    file.write_text("0.1")
    assert model.fingerprint() == before
    assert db.predict("m").predicted == (0 if random else 3)
    if not random:
        with pytest.raises(ModelError, match="with other weights, code or classes"):
            db.models.add("m", model)
        assert db.models.add("m", model, replace=True).version == 2
        assert "noise" not in db.models.show("m").lineage()


def test_fingerprints_of_regressors_detectors_and_plain_models_follow_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Plain(MeanColour):
        def predict_batch(self, images: Any) -> Any:
            return images.mean((2, 3)) * SCALE

    class Boxes(nn.Module):
        threshold = 0.5

        def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
            return [
                {
                    "boxes": torch.zeros((0, 4)),
                    "labels": torch.zeros(0, dtype=torch.int64),
                    "scores": torch.full((0,), self.threshold * SCALE),
                }
                for _ in images
            ]

    models: list[Model] = [
        Plain(),
        TorchRegressor(Warm(), target="width", input_size=8),
        TorchDetector(Boxes(), classes=["a"]),
    ]
    before = [model.fingerprint() for model in models]
    assert before == [model.fingerprint() for model in models]
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 7.0)
    assert all(model.fingerprint() != old for model, old in zip(models, before))


FACTORY = """
import torch
import helper
from helper import Pool

TEMPERATURE = 1.0


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.pool = Pool()
        self.names = {"b", "a", "c"}

    def forward(self, x):
        return self.pool(x) * helper.GAIN / TEMPERATURE


def build():
    from slicedb.models import TorchClassifier
    torch.manual_seed(0)
    return TorchClassifier(
        Net(), classes=["a", "b", "c"], input_size=8, transform=lambda i: helper.read(i)
    )
"""
HELPER = """
import numpy as np
import torch

GAIN = 2.0


class Pool(torch.nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


def read(image):
    return torch.from_numpy(np.array(image.resize((8, 8)))).permute(2, 0, 1).float() / 255
"""


VARIANTS = [
    ("", ""),
    ("GAIN = 2.0", "GAIN = 2.0  # a comment"),
    ("GAIN = 2.0", "GAIN = 3.0"),
    ("x.mean", "x.amax"),
    ("/ 255", "/ 128"),
]
PRINT = """
import json, sys
from pathlib import Path
from slicedb.models import load
folder, helper, variants = json.loads(sys.argv[1])
sys.path.insert(0, folder)
sys.dont_write_bytecode = True
for old, new in variants:
    (Path(folder) / "helper.py").write_text(helper.replace(old, new))
    sys.modules.pop("helper", None)
    print(load(folder + "/food.py:build").fingerprint())
"""


@pytest.mark.slow
def test_a_fingerprint_is_the_same_in_every_process_and_follows_the_users_modules(
    tmp_path: Path,
) -> None:
    (tmp_path / "food.py").write_text(FACTORY)

    def printed(seed: str, variants: list[tuple[str, str]]) -> list[str]:
        asked = json.dumps([str(tmp_path), HELPER, variants])
        run = subprocess.run(
            [sys.executable, "-c", PRINT, asked],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        assert run.returncode == 0, run.stderr
        return run.stdout.split()

    one, other = printed("1", VARIANTS[:1]), printed("2", VARIANTS)
    assert other[:2] == one * 2
    assert len(set(other)) == 4
