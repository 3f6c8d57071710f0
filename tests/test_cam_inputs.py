"""Grad-cam on networks of any input size, precision and kind: a right layer, or a plain word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fakes_models import COLOURS, fill, png
from torch import nn
from torchvision import transforms as T

import slicedb
from slicedb.cam import GradCam, grid_of
from slicedb.models import Model, TorchClassifier, TorchRegressor


def network(classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, 2, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, classes),
    )


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    made = slicedb.open(tmp_path / "data.slicedb")
    pictures = {name: png(colour, (60, 40)) for name, colour in COLOURS.items()}
    fill(made.store, {"broken": b"no picture", **pictures})
    return made


@pytest.mark.parametrize(
    ("resize", "grid"),
    [
        (T.Resize((96, 96)), (24, 24)),
        (T.Resize((64, 128)), (16, 32)),
        (T.Resize(48), (12, 18)),  # keeps the proportions of 60 x 40
        (T.Compose([T.Resize(256), T.CenterCrop(224)]), (56, 56)),
    ],
)
def test_maps_have_the_size_that_the_transform_gives(
    db: slicedb.Database, resize: nn.Module, grid: tuple[int, int]
) -> None:
    transform = T.Compose([resize, T.ToTensor()])
    model = TorchClassifier(network(), classes=list(COLOURS), transform=transform)
    db.models.add("own", model)
    report = db.cam("own", "id <> 'broken'")
    assert (report.computed, report.failed, report.grid) == (3, 0, grid)
    assert grid_of(db.store, "own") == grid
    assert db.cam("own").failed == 1  # the picture that does not decode


def test_a_regressor_with_a_transform_is_explained_at_its_size(db: slicedb.Database) -> None:
    transform = T.Compose([T.Resize((32, 40)), T.ToTensor()])
    db.models.add("age", TorchRegressor(network(1), target="width", transform=transform))
    assert db.cam("age", "id <> 'broken'").grid == (8, 10)


def test_grad_cam_of_a_model_takes_the_size_of_its_transform() -> None:
    transform = T.Compose([T.Resize((32, 64)), T.ToTensor()])
    model = TorchClassifier(network(), classes=list(COLOURS), transform=transform)
    assert GradCam(model).layer.grid == (8, 16)
    assert GradCam(model, input_size=16).layer.grid == (4, 4)


@pytest.mark.parametrize("method", ["gradcam", "eigencam", "layercam", "scorecam"])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_networks_of_half_precision_are_predicted_and_explained(
    db: slicedb.Database, kind: torch.dtype, method: str
) -> None:
    whole = TorchClassifier(network(), classes=list(COLOURS), input_size=32)
    half = TorchClassifier(network().to(kind), classes=list(COLOURS), input_size=32)
    for name, model in (("whole", whole), ("half", half)):
        db.models.add(name, model)
        db.predict(name)
    rows = "SELECT {}.probabilities::FLOAT[] AS p FROM samples WHERE id <> 'broken' ORDER BY id"
    whole_rows, half_rows = (
        np.array(db.sql(rows.format(name))["p"].to_pylist()) for name in ("whole", "half")
    )
    np.testing.assert_allclose(half_rows, whole_rows, atol=0.01)
    report = db.cam("half", "id <> 'broken'", method=method)
    assert (report.computed, report.failed) == (3, 0)


class Numpy(Model):
    """Returns what it computes as another type than a tensor."""

    classes = tuple(COLOURS)
    input_size = 8
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def predict_batch(self, images: torch.Tensor) -> object:  # type: ignore[override]
        return (10 * images.mean((2, 3)).numpy()).astype(np.float64)


def test_predict_batch_may_return_a_numpy_array(db: slicedb.Database) -> None:
    db.models.add("numpy", Numpy())
    assert db.predict("numpy").predicted == 3
    text = "SELECT numpy.prediction AS p FROM samples WHERE id <> 'broken' ORDER BY id"
    assert db.sql(text)["p"].to_pylist() == sorted(COLOURS)


class Mixer(nn.Module):
    """Mixes patches by matrices alone, as MLP-Mixer does; the mean of the patches decides."""

    def __init__(self, token_width: int = 24) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.stem = nn.Conv2d(3, 12, 8, 8)
        self.norm1, self.norm2, self.norm = (nn.LayerNorm(12) for _ in range(3))
        self.tokens = nn.Sequential(
            nn.Linear(16, token_width), nn.GELU(), nn.Linear(token_width, 16)
        )
        self.channels = nn.Sequential(nn.Linear(12, 24), nn.GELU(), nn.Linear(24, 12))
        self.head = nn.Linear(12, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.channels(self.norm2(x))
        return self.head(self.norm(x).mean(1))


def test_a_mixer_is_explained_by_its_last_tokens_and_finds_what_was_planted() -> None:
    net = Mixer()
    for weight in net.tokens[2].parameters():  # what a patch holds stays in its place
        nn.init.zeros_(weight).requires_grad_(False)
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(256, 3, 32, 32, generator=rng) * 0.2
    y = torch.arange(256) % 2
    cell = torch.randint(0, 16, (256,), generator=rng)
    for i in range(256):
        if y[i]:
            top, left = 8 * (int(cell[i]) // 4), 8 * (int(cell[i]) % 4)
            x[i, 0, top : top + 8, left : left + 8] += 1
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimiser.step()
    cam = GradCam(net, input_size=32)
    assert (cam.layer.name, cam.layer.layout, cam.layer.grid) == ("norm", "tokens", (4, 4))
    maps = cam(x[y == 1], [1] * 128).maps.reshape(128, -1)
    assert (maps.argmax(1) == cell[y == 1].numpy()).mean() > 0.95


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("mixer_s32_224", "norm"),
        ("resmlp_12_224", "norm"),
        ("gmlp_ti16_224", "norm"),
        ("vit_tiny_patch16_224", "blocks.11.norm1"),
        ("deit_tiny_distilled_patch16_224", "blocks.11.norm1"),
        ("swin_tiny_patch4_window7_224", "norm"),
        ("convnext_atto", "stages.3.blocks.1.mlp"),
        ("poolformer_s12", "stages"),
        ("coat_lite_tiny", "serial_blocks4.1.norm1"),
        ("resnet18", "layer4"),
    ],
)
def test_the_layer_of_known_networks_is_late_and_its_maps_are_not_empty(
    name: str, layer: str
) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    net = timm.create_model(name, pretrained=False, num_classes=5).eval()
    for module in net.modules():
        if isinstance(module, nn.Linear) and module.out_features == 5:
            nn.init.normal_(module.weight, std=0.1)  # some start with zeros
    cam = GradCam(net, input_size=224)
    assert cam.layer.name == layer
    assert (cam(torch.randn(2, 3, 224, 224)).maps.max((1, 2)) == 1).all()


def test_empty_maps_are_said(db: slicedb.Database) -> None:
    net = network()
    with torch.no_grad():
        net[-1].weight.fill_(-1.0)  # every channel speaks against every class
    db.models.add("gloomy", TorchClassifier(net, classes=list(COLOURS), input_size=32))
    report = db.cam("gloomy", "id <> 'broken'")
    assert (report.computed, report.empty) == (3, 3)
    assert "All of the 3 maps are empty" in str(report)
    assert "--layer (layer=) names another one" in str(report)
    bright = network()
    with torch.no_grad():
        bright[-1].weight.fill_(1.0)
    db.models.add("plenty", TorchClassifier(bright, classes=list(COLOURS), input_size=32))
    assert "empty" not in str(db.cam("plenty", "id <> 'broken'"))
