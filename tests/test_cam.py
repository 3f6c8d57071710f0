"""Grad-cam: equal to the reference package, the layer found by itself, shortcuts found."""

from __future__ import annotations

import ast
import contextlib
import io
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from fakes_models import MeanColour, fill, png
from PIL import Image
from torch import nn

from slicedb.cam import (
    METHODS,
    GradCam,
    border,
    cam,
    grid_of,
    maps_of,
    mass_in,
    overlay,
    points_at,
    read,
)
from slicedb.cam.layers import no_fast_path
from slicedb.cam.table import method_of
from slicedb.errors import CheckError, ModelError, UnknownTableError
from slicedb.models import TorchClassifier, TorchRegressor
from slicedb.schema import keys_of
from slicedb.store import Store


def plain(classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 12, 3, 2, 1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(12, classes),
    )


class Block(nn.Module):
    """A residual block that uses one ReLU twice."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.b(self.relu(self.a(x))) + x)


def residual() -> nn.Module:
    torch.manual_seed(1)
    layers = nn.Sequential(nn.Conv2d(3, 8, 4, 4), Block(8), Block(8))
    return nn.Sequential(layers, nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(1), nn.Linear(8, 4))


class Vit(nn.Module):
    """Torch's own encoder with a class token, and a norm after it."""

    def __init__(self, tokens: int = 1, linear: bool = False) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.tokens = nn.Parameter(torch.randn(1, tokens, 16))
        self.patch = nn.Linear(3 * 64, 16) if linear else nn.Conv2d(3, 16, 8, 8)
        layer = nn.TransformerEncoderLayer(16, 2, 32, 0.1, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if isinstance(self.patch, nn.Linear):
            cut = x.unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 1, 4, 5)
            tokens = self.patch(cut.flatten(3)).flatten(1, 2)
        else:
            tokens = self.patch(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.tokens.expand(len(x), -1, -1), tokens], 1)
        out = self.norm(self.encoder(tokens))
        return self.head(out[:, 0] if self.tokens.shape[1] else out.mean(1))


class ChannelsLast(nn.Module):
    """A network whose features are (n, h, w, c)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv, self.norm, self.head = nn.Conv2d(3, 6, 8, 4), nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.conv(x).permute(0, 2, 3, 1)).relu().mean((1, 2)))


NETS = {
    "plain": (plain, "4", (8, 8)),
    "residual": (residual, "0", (8, 8)),
    "vit": (Vit, "encoder.layers.1.norm1", (4, 4)),
    "vit with registers": (lambda: Vit(5), "encoder.layers.1.norm1", (4, 4)),
    "vit without class token": (lambda: Vit(0), "encoder.layers.1.norm1", (4, 4)),
    "vit with linear patches": (lambda: Vit(1, True), "encoder.layers.1.norm1", (4, 4)),
    "channels last": (ChannelsLast, "norm", (7, 7)),
}


def with_package(
    explain: GradCam, net: nn.Module, kind: str, images: torch.Tensor, targets: list[int] | None
) -> np.ndarray:
    """Return the maps of the package called directly, float32 (n, h, w)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pytorch_grad_cam
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    reshape = None if explain.layer.layout == "channels first" else explain.layer.to_maps
    wanted = None if targets is None else [ClassifierOutputTarget(t) for t in targets]
    with no_fast_path(), contextlib.redirect_stderr(io.StringIO()):
        runner = getattr(pytorch_grad_cam, kind)(net, [explain.layer.module], reshape)
        made: np.ndarray = runner(images, wanted)
        runner.activations_and_grads.release()
    return made


@pytest.mark.parametrize("name", NETS)
def test_maps_equal_the_reference_package(name: str) -> None:
    make, layer, grid = NETS[name]
    images = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    net = make().eval()
    explain = GradCam(net, input_size=32)
    assert (explain.layer.name, explain.layer.grid) == (layer, grid)
    for targets in (None, [2, 0, 1, 1, 0]):
        ours = explain(images, targets)
        theirs = with_package(explain, net, "GradCAM", images, targets)
        assert theirs.max() > 0.9
        np.testing.assert_allclose(ours.enlarge((32, 32)), theirs, atol=1e-5)


PACKAGE = {
    "gradcam++": "GradCAMPlusPlus",
    "xgradcam": "XGradCAM",
    "hirescam": "HiResCAM",
    "elementwise": "GradCAMElementWise",
    "layercam": "LayerCAM",
    "eigengradcam": "EigenGradCAM",
    "scorecam": "ScoreCAM",
    "eigencam": "EigenCAM",
    "kpcacam": "KPCA_CAM",
}


@pytest.mark.parametrize("method", PACKAGE)
def test_methods_equal_the_package_called_directly(method: str) -> None:
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    for name in ("residual", "vit", "channels last"):
        net = NETS[name][0]().eval()
        explain = GradCam(net, input_size=32, method=method)
        for targets in (None, [2, 0, 1]):
            ours = explain(images, targets)
            assert ours.maps.shape == (3, *NETS[name][2])
            assert ours.maps.min() >= 0 and ours.maps.max((1, 2)).tolist() == [1, 1, 1]
            theirs = with_package(explain, net, PACKAGE[method], images, targets)
            np.testing.assert_allclose(ours.enlarge((32, 32)), theirs, atol=5e-5)
            np.testing.assert_allclose(ours.logits, net(images).detach(), atol=1e-5)


def test_methods_are_all_tested_and_an_unknown_one_is_refused() -> None:
    assert ("gradcam", *PACKAGE) == METHODS
    with pytest.raises(ModelError, match=r"No method 'gradcam\+'. Hint: did you mean 'gradcam"):
        GradCam(plain(), input_size=32, method="gradcam+")


def test_batches_equal_single_images() -> None:
    images = torch.randn(4, 3, 32, 32)
    explain = GradCam(plain(), input_size=32)
    together = explain(images).maps
    alone = np.concatenate([explain(images[i : i + 1]).maps for i in range(4)])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_picture_that_is_not_square_has_a_grid_of_its_shape() -> None:
    explain = GradCam(plain(), input_size=(32, 64))
    assert explain.layer.grid == (8, 16)
    assert explain(torch.rand(2, 3, 32, 64)).maps.shape == (2, 8, 16)


@pytest.mark.parametrize("method", ["gradcam", "layercam", "scorecam"])
def test_network_is_left_as_it_was(method: str) -> None:
    net = plain().train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)  # of a training step under way
    with torch.no_grad():
        made = GradCam(net, input_size=32, method=method)(torch.rand(2, 3, 32, 32))
        assert not torch.is_grad_enabled()
    assert made.logits.shape == (2, 3)
    assert net.training and all(p.requires_grad for p in net.parameters())
    assert all(p.grad is not None and (p.grad == 1).all() for p in net.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_a_layer_can_be_named() -> None:
    net = plain()
    assert GradCam(net, layer="0", input_size=32).layer.grid == (16, 16)
    assert GradCam(net, layer=net[3], input_size=32).layer.name == "3"
    with pytest.raises(ModelError, match="no layer 'conv9'"):
        GradCam(net, layer="conv9", input_size=32)
    with pytest.raises(ModelError, match="no map of the picture"):
        GradCam(net, layer="9", input_size=32)


def test_a_model_without_convolution_or_attention_is_refused() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
    with pytest.raises(ModelError, match="no convolution or attention layer"):
        GradCam(flat, input_size=8)
    with pytest.raises(ModelError, match="no convolution or attention layer"):
        GradCam(MeanColour())


def test_targets_out_of_range_are_refused() -> None:
    explain = GradCam(plain(), input_size=32)
    with pytest.raises(ModelError, match="classes are 0 to 2"):
        explain(torch.rand(1, 3, 32, 32), [3])
    with pytest.raises(ModelError, match="one an image"):
        explain(torch.rand(1, 3, 32, 32), [0, 1])


# --- numbers ---------------------------------------------------------------------------------


def test_mass_cuts_cells_by_area() -> None:
    maps = np.ones((1, 4, 4), np.float32)
    assert mass_in(maps, np.array([0.125, 0, 0.25, 1]))[0] == pytest.approx(0.25)
    assert mass_in(maps, np.array([10, 20, 40, 20]), np.array([[0, 0, 100, 40]]))[0] == 0.2
    assert mass_in(maps, np.array([-1, -1, 3, 3]))[0] == 1
    assert np.isnan(mass_in(0 * maps, np.array([0, 0, 1, 1])))[0]


def test_border_of_a_centre_is_nothing_and_of_a_corner_all() -> None:
    maps = np.zeros((2, 7, 7), np.float32)
    maps[0, 3, 3] = maps[1, 0, 6] = 1
    np.testing.assert_allclose(border(maps), [0, 1], atol=1e-12)


def test_pointing_at_a_box() -> None:
    maps = np.zeros((3, 4, 4), np.float32)
    maps[:2, 1, 2] = 0.5
    boxes = np.array([[0.6, 0.3, 0.1, 0.1], [0, 0, 0.4, 1], [0, 0, 1, 1]])
    assert points_at(maps, boxes).tolist() == [True, False, False]


def test_overlay_is_gray_where_nothing_was_shown() -> None:
    picture = Image.new("RGB", (40, 20), (200, 30, 30))
    spot = np.zeros((4, 4), np.float32)
    spot[1, 1] = 1
    made = np.asarray(overlay(picture, spot, shown=(10, 0, 30, 20)))
    assert made.shape == (20, 40, 3)
    assert len(set(made[10, 2].tolist())) == 1
    assert made[7, 17, 0] > made[15, 28, 0]


# --- a planted shortcut ----------------------------------------------------------------------


def marked(n: int, seed: int, mark: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise in which a bright mark in a corner says class 1, a dark one class 0."""
    rng = np.random.default_rng(seed)
    images = rng.integers(60, 190, (n, 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, 2, n)
    boxes = np.zeros((n, 4))
    for i in range(n):
        x, y = (rng.integers(0, 2, 2) * 27).tolist()
        boxes[i] = x, y, 5, 5
        if mark:
            images[i, y : y + 5, x : x + 5] = (255, 255, 0) if labels[i] else (0, 0, 255)
    return images, labels, boxes


@pytest.fixture(scope="module")
def cheater() -> TorchClassifier:
    """A small network trained on nothing but the mark."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 5, 2, 2),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, 2, 1),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 2),
    )
    model = TorchClassifier(net, classes=["no", "yes"], input_size=32, name="cheater")
    images, labels, _ = marked(256, 0)
    x = model.preprocessing.normalise(torch.from_numpy(images))
    y = torch.from_numpy(labels)
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimiser.step()
    net.eval()
    assert float((net(x).argmax(1) == y).float().mean()) > 0.98
    return model


def test_a_planted_shortcut_is_found(cheater: TorchClassifier, tmp_path: Path) -> None:
    images, labels, boxes = marked(100, 1)
    store = Store.open(tmp_path / "marks.slicedb")
    encoded = {f"{i:03}": _encode(image) for i, image in enumerate(images)}
    names = {f"{i:03}": cheater.classes[label] for i, label in enumerate(labels)}
    fill(store, encoded, names)
    keys = keys_of(encoded)
    report = cam(store, "cheater", cheater, keys)
    assert (report.computed, report.unchanged, report.failed) == (100, 0, 0)
    rows = read(store, "cheater", keys)
    maps = maps_of(rows, grid_of(store, "cheater"))
    assert rows["target"].to_pylist() == list(names.values())
    hits = points_at(maps, boxes, np.array([[0, 0, 32, 32]]))
    assert hits.mean() >= 0.95
    assert (rows["border"].to_numpy() > 0.5).mean() >= 0.95
    np.testing.assert_allclose(rows["border"].to_numpy(), border(maps), atol=1e-6)


def _encode(image: np.ndarray) -> bytes:
    import io

    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


# --- the table -------------------------------------------------------------------------------


def test_only_missing_and_stale_maps_are_computed(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s.slicedb")
    fill(store, {f"{i}": png((i, 90, 200 - i)) for i in range(5)} | {"bad": b"no picture"})
    keys = keys_of([*map(str, range(5)), "bad"])
    model = TorchClassifier(plain(), classes=["a", "b", "c"], input_size=32)
    first = cam(store, "m", model, keys[:3], batch_size=2)
    assert (first.computed, first.unchanged) == (3, 0)
    assert (first.layer, first.grid) == ("4", (8, 8))
    second = cam(store, "m", model, keys, batch_size=2)
    assert (second.computed, second.unchanged, second.failed) == (2, 3, 1)
    assert cam(store, "m", model, keys[:5]).computed == 0
    fill(store, {"0": png((250, 0, 0))})
    assert cam(store, "m", model, keys[:5]).computed == 1
    assert cam(store, "m", model, keys[:5], target="b").computed == 5
    rows = read(store, "m", keys)
    assert rows["target"].to_pylist() == ["b"] * 5 + [None]
    assert rows["map"][5].as_py() is None and "not_an_image" in rows["error"][5].as_py()
    with torch.no_grad():
        model.module[9].weight.add_(1)
    assert cam(store, "m", model, keys[:5], target="b").computed == 5


def test_another_grid_begins_the_table_anew(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s.slicedb")
    fill(store, {f"{i}": png((i, 90, 200)) for i in range(3)})
    keys = keys_of(["0", "1", "2"])
    model = TorchClassifier(plain(), classes=["a", "b", "c"], input_size=32)
    cam(store, "m", model, keys)
    assert cam(store, "m", model, keys[:2], layer="0").grid == (16, 16)
    assert store.count("cams__m") == 2
    assert pa.types.is_fixed_size_list(store.schema("cams__m").field("map").type)


def test_another_method_begins_the_table_anew(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s.slicedb")
    fill(store, {f"{i}": png((i, 90, 200)) for i in range(3)})
    keys = keys_of(["0", "1", "2"])
    model = TorchClassifier(plain(), classes=["a", "b", "c"], input_size=32)
    assert not str(cam(store, "m", model, keys)).endswith("gradcam.")
    assert method_of(store, "m") == "gradcam"
    report = cam(store, "m", model, keys[:2], method="layercam")
    assert (report.computed, report.method) == (2, "layercam")
    assert str(report).endswith("8 x 8 at layer '4' by layercam.")
    assert (store.count("cams__m"), method_of(store, "m")) == (2, "layercam")
    assert cam(store, "m", model, keys, method="layercam").unchanged == 2
    with pytest.raises(ModelError, match="No method 'layercan'"):
        cam(store, "m", model, keys, method="layercan")


def test_maps_of_a_regression_explain_its_number_and_a_detector_says_what_is_possible(
    tmp_path: Path,
) -> None:
    store = Store.open(tmp_path / "s.slicedb")
    fill(store, {f"{i}": png((i, 90, 200)) for i in range(3)})
    keys = keys_of(["0", "1", "2"])
    model = TorchRegressor(plain(1), target="age", input_size=32)
    for method in ("gradcam", "gradcam++"):
        assert cam(store, "age", model, keys, method=method).computed == 3
        rows = read(store, "age", keys)
        assert rows["target"].to_pylist() == [None] * 3 and rows["map"].null_count == 0
    with pytest.raises(CheckError, match="No target 'label'"):
        cam(store, "age", model, keys, target="label")
    model.task, model.takes_list = "detection", True
    with pytest.raises(ModelError, match=r"does detection.*explains one score per picture"):
        cam(store, "age", model, keys)


def test_score_cam_scores_a_few_masked_pictures_at_once() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 100, 8, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(100, 2)
    ).eval()
    explain = GradCam(net, input_size=32, method="scorecam")
    sizes: list[int] = []
    net[0].register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    assert explain(torch.rand(2, 3, 32, 32)).maps.shape == (2, 4, 4)
    assert sizes == [2, *([16] * 6 + [4]) * 2]


@pytest.mark.slow
def test_importing_cam_leaves_the_package_and_what_it_draws_with_out() -> None:
    code = "import sys, slicedb.cam, slicedb.cam.methods; print(sorted(m for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"pytorch_grad_cam", "cv2", "matplotlib", "sklearn"} & set(
        ast.literal_eval(done.stdout)
    )


@pytest.mark.realdata
def test_maps_of_photos_equal_the_package_by_every_method(shared_data: Path) -> None:
    from slicedb.demo import classifiers

    model = classifiers.food_v1()
    files = sorted((shared_data / "photos").glob("*.JPEG"))[:6]
    pixels = torch.stack([classifiers.transform(Image.open(file)) for file in files])
    for method, kind in {"gradcam": "GradCAM", **PACKAGE}.items():
        explain = GradCam(model, method=method)
        assert explain.layer.grid == (3, 3)
        theirs = with_package(explain, model.module, kind, pixels, None)
        np.testing.assert_allclose(explain(pixels).enlarge((48, 48)), theirs, atol=5e-5)


def test_unknown_targets_and_tables_are_named(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "s.slicedb")
    model = TorchClassifier(plain(), classes=["a", "b", "c"], input_size=32)
    with pytest.raises(CheckError, match="prediction"):
        cam(store, "m", model, np.empty(0, np.int64), target="predicton")
    with pytest.raises(UnknownTableError, match="No maps of model 'm'"):
        read(store, "m", np.empty(0, np.int64))
