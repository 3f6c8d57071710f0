"""Models: the contract, preprocessing, loading, fingerprints, names, the registry."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes_models import MeanColour, coloured_store
from PIL import Image
from torch import nn

from slicedb.errors import ClassesError, ModelError, UnknownModelError
from slicedb.models import Model, Models, Preprocessing, TorchClassifier, load, resizing
from slicedb.models.names import check_name
from slicedb.models.resizing import Interpolation
from slicedb.models.weights import load_weights
from slicedb.schema import PREDICTIONS
from slicedb.store import Store

FACTORY = """
import torch
from slicedb.models import TorchClassifier

def net():
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
                               torch.nn.Linear(3, 3))

def build():
    return TorchClassifier(net(), classes=["a", "b", "c"], input_size=8)

def broken():
    raise RuntimeError("no such thing")

def number():
    return 7
"""


def small(n: int = 3) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, n),
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return coloured_store(tmp_path, 3)


@pytest.fixture
def factory(tmp_path: Path) -> Path:
    path = tmp_path / "food.py"
    path.write_text(FACTORY)
    return path


def photo(width: int, height: int, seed: int = 0, quality: int = 92) -> bytes:
    """Return a JPEG of smooth noise, as photos have it."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (max(2, height // 12), max(2, width // 12), 3), dtype=np.uint8)
    out = io.BytesIO()
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    picture.save(out, "JPEG", quality=quality, subsampling=0)
    return out.getvalue()


# --- preprocessing -----------------------------------------------------------------------------


def reference(data: bytes, size: int, resize: int, bicubic: bool = False) -> torch.Tensor:
    from torchvision import transforms as t

    mode = t.InterpolationMode.BICUBIC if bicubic else t.InterpolationMode.BILINEAR
    steps = [t.Resize(resize, mode), t.CenterCrop(size), t.ToTensor()]
    chain = t.Compose([*steps, t.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
    tensor: torch.Tensor = chain(Image.open(io.BytesIO(data)).convert("RGB"))
    return tensor


def ours(data: bytes, preprocessing: Preprocessing) -> torch.Tensor:
    out = np.empty((*preprocessing.size, 3), dtype=np.uint8)
    preprocessing.fill(data, out)
    tensor: torch.Tensor = preprocessing.normalise(torch.from_numpy(out[None]))[0]
    return tensor


LEVEL = 1 / 255 / 0.224
"""One of 255 levels, after normalisation."""


@pytest.mark.parametrize(
    ("width", "height", "size", "resize"),
    [
        (500, 375, 224, 256),
        (375, 500, 224, 232),
        (333, 500, 64, 64),
        (32, 32, 32, 32),
        (60, 47, 224, 256),
        (300, 300, 96, 128),
        (401, 263, 33, 50),
    ],
)
@pytest.mark.parametrize("bicubic", [False, True])
def test_preprocessing_equals_torchvision(
    width: int, height: int, size: int, resize: int, bicubic: bool
) -> None:
    data = photo(width, height)
    settings = Preprocessing(
        size=(size, size), resize=resize, interpolation="bicubic" if bicubic else "bilinear"
    )
    difference = (ours(data, settings) - reference(data, size, resize, bicubic)).abs()
    assert difference.max() <= 2.1 * LEVEL
    assert difference.mean() <= 0.3 * LEVEL


@pytest.mark.slow
def test_large_jpeg_is_decoded_smaller_and_stays_within_two_levels_on_average() -> None:
    data = photo(4000, 3000)
    difference = (ours(data, Preprocessing(resize=256)) - reference(data, 224, 256)).abs()
    assert difference.mean() <= 2 * LEVEL


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 333), (60, 47), (224, 900)])
def test_both_ways_to_resize_agree_within_one_level(
    monkeypatch: pytest.MonkeyPatch, interpolation: Interpolation, height: int, width: int
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels.flags.writeable = False  # as Pillow's own arrays are
    found = []
    for has_kernel in (True, False):
        monkeypatch.setattr(resizing, "_has_kernel", lambda has=has_kernel: has)
        out = np.empty((224, 224, 3), dtype=np.uint8)
        Preprocessing(resize=256, interpolation=interpolation).fit(pixels, out)
        found.append(out.astype(int))
    assert np.abs(found[0] - found[1]).max() <= 1


def test_a_narrow_strip_is_resized_without_the_memory_for_all_of_it() -> None:
    pixels = np.zeros((2, 40_000, 3), dtype=np.uint8)
    pixels[:, 20_000:] = 200  # resized whole it would have 224 x 4,480,000 pixels
    out = np.empty((224, 224, 3), dtype=np.uint8)
    Preprocessing(resize=224).fit(pixels, out)
    assert out[:, :56].max() == 0  # a pixel became 112 wide
    assert out[:, 168:].min() == 200


def test_preprocessing_refuses_a_crop_larger_than_the_resize() -> None:
    with pytest.raises(ValueError, match="smaller than the crop"):
        Preprocessing(size=(224, 224), resize=200)


# --- the contract ------------------------------------------------------------------------------


def test_class_list_that_does_not_match_the_output_names_both_numbers() -> None:
    with pytest.raises(ClassesError, match="has 2 class names, its output has 3"):
        TorchClassifier(small(3), classes=["a", "b"], input_size=8).check()


def test_no_classes_and_repeated_classes_are_refused() -> None:
    with pytest.raises(ClassesError, match="no class names"):
        TorchClassifier(small(3), classes=[]).check()
    with pytest.raises(ClassesError, match="'a' twice"):
        TorchClassifier(small(3), classes=["a", "a", "b"]).check()


def test_output_that_is_no_matrix_is_refused() -> None:
    class Pixels(MeanColour):
        def predict_batch(self, images: Any) -> Any:
            return images

    with pytest.raises(ModelError, match=r"returned shape \(1, 3, 8, 8\) for 1 image"):
        Pixels().check()


def test_module_gets_its_mode_back() -> None:
    module = small().train()
    module[1].eval()
    TorchClassifier(module, classes=["a", "b", "c"], input_size=8).check()
    assert module.training and module[0].training and not module[1].training


# --- fingerprints ------------------------------------------------------------------------------


def test_fingerprint_follows_weights_buffers_preprocessing_and_classes() -> None:
    def model(**changed: Any) -> TorchClassifier:
        facts: dict[str, Any] = {"classes": ["a", "b", "c"], "input_size": 8, **changed}
        return TorchClassifier(small(), **facts)

    buffered = model()
    buffered.module[1].running_mean += 1
    changed = [
        model(classes=["a", "c", "b"]),
        model(input_size=9),
        model(mean=(0, 0, 0)),
        model(resize=12),
        model(transform=lambda image: image),
        buffered,
        TorchClassifier(nn.Sequential(small(), nn.ReLU()), classes=["a", "b", "c"], input_size=8),
    ]
    prints = [m.fingerprint() for m in changed]
    assert model().fingerprint() == model().fingerprint()
    assert len({model().fingerprint(), *prints}) == len(changed) + 1


def test_fingerprint_of_a_plain_model_follows_settings_and_code() -> None:
    class Other(MeanColour):
        def predict_batch(self, images: Any) -> Any:
            return images.amax((2, 3))

    assert MeanColour().fingerprint() == MeanColour().fingerprint()
    assert MeanColour().fingerprint() != MeanColour(scale=2.0).fingerprint()
    assert MeanColour().fingerprint() != Other().fingerprint()


@pytest.mark.slow
def test_fingerprint_is_the_same_in_another_process(factory: Path) -> None:
    code = (
        "import sys; from slicedb.models import load\n"
        f"print(load({f'{factory}:build'!r}).fingerprint())"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert found == load(f"{factory}:build").fingerprint()


# --- loading -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_torchvision_brings_its_preprocessing_and_classes() -> None:
    model = load("torchvision:mobilenet_v3_small", weights="random")
    assert len(model.classes) == 1000 and model.classes[0] == "tench"
    assert model.preprocessing.to_json() == {
        "size": [224, 224],
        "resize": 256,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "interpolation": "bilinear",
    }
    again = load("torchvision:mobilenet_v3_small", weights="random")
    assert again.fingerprint() == model.fingerprint()


@pytest.mark.slow
def test_timm_brings_its_preprocessing() -> None:
    model = load("timm:resnet10t", weights="random", classes=["a", "b"])
    assert model.classes == ("a", "b")
    assert model.preprocessing.size == (176, 176)
    assert model.preprocessing.interpolation == "bicubic"


def test_nothing_is_downloaded_unless_asked_for() -> None:
    with pytest.raises(ModelError, match=r"No weights given for 'resnet18'.*'pretrained'"):
        load("torchvision:resnet18")
    with pytest.raises(ModelError, match="No weights given for 'resnet18'"):
        load("timm:resnet18")


def test_unknown_model_names_its_neighbours() -> None:
    with pytest.raises(UnknownModelError, match="did you mean 'mobilenet_v2'"):
        load("torchvision:mobilnet_v2", weights="random")
    with pytest.raises(ModelError, match="does not say where the model is"):
        load("mobilenet_v2")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_weights_are_loaded_from_a_file(tmp_path: Path, suffix: str, factory: Path) -> None:
    from safetensors.torch import save_file

    tensors = {"2.weight": torch.eye(3), "2.bias": torch.zeros(3)}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(tensors, path)
    else:
        wrapped = {f"module.{name}": tensor for name, tensor in tensors.items()}
        torch.save({"state_dict": wrapped, "epoch": 3}, path)
    model = load(f"{factory}:build", weights=path)
    assert torch.equal(model.module[2].weight, torch.eye(3))  # type: ignore[attr-defined]
    named = load(f"{factory}:net", weights=path, classes=["x", "y", "z"])
    assert named.classes == ("x", "y", "z")


@pytest.mark.slow
def test_weights_of_another_width_name_both_numbers(tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from torchvision.models import mobilenet_v3_small

    path = tmp_path / "w.safetensors"
    save_file(mobilenet_v3_small(num_classes=5).state_dict(), path)
    with pytest.raises(ClassesError, match=r"2 class names are given, the weights .* 5 outputs"):
        load("torchvision:mobilenet_v3_small", weights=path, classes=["a", "b"])
    with pytest.raises(ClassesError, match="No class names given"):
        load("torchvision:mobilenet_v3_small", weights=path)
    five = load("torchvision:mobilenet_v3_small", weights=path, classes=list("abcde"))
    assert five.classes == tuple("abcde")


def test_weights_that_do_not_fit_say_how(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"0.weight": torch.zeros(3, 3), "odd": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match=r"1 of another shape .* missing .* 1 unknown"):
        load_weights(small(), str(path))
    with pytest.raises(ModelError, match="No weights file"):
        load_weights(small(), str(tmp_path / "none.pt"))
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelError, match="cannot be read"):
        load_weights(small(), str(tmp_path / "torn.safetensors"))


def test_pickled_modules_need_a_word_of_trust(tmp_path: Path, factory: Path) -> None:
    path = tmp_path / "whole.pt"
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))
    torch.save(module, path)
    with pytest.raises(ModelError, match=r"holds Python objects besides tensors.*allow_pickle"):
        load(f"{factory}:build", weights=path)
    loaded: Any = load(f"{factory}:build", weights=path, allow_pickle=True)
    assert torch.equal(loaded.module[2].weight, module[2].weight)


def test_factory_errors_name_the_file_and_the_reason(factory: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="did you mean 'build'"):
        load(f"{factory}:buidl")
    with pytest.raises(ModelError, match=r"broken' failed: RuntimeError: no such thing"):
        load(f"{factory}:broken")
    with pytest.raises(ModelError, match="returned a int"):
        load(f"{factory}:number")
    with pytest.raises(ClassesError, match="without class names"):
        load(f"{factory}:net")
    with pytest.raises(ModelError, match="No file"):
        load(f"{tmp_path}/none.py:build")


@pytest.mark.slow
def test_exported_programs_run(tmp_path: Path) -> None:
    module = small().eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    example = (torch.zeros(2, 3, 16, 16),)
    program = torch.export.export(module, example, dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "net.pt2")
    model = load(str(tmp_path / "net.pt2"), classes=["a", "b", "c"])
    assert model.input_size == (16, 16)
    assert model.predict_batch(torch.zeros(3, 3, 16, 16)).shape == (3, 3)
    with pytest.raises(ClassesError, match="No class names given"):
        load(str(tmp_path / "net.pt2"))


# --- names and the registry --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["select", "Order", "samples", "label", "1st", "a b", "a-b", ""])
def test_names_that_a_query_cannot_use_are_refused(name: str) -> None:
    with pytest.raises(ModelError):
        check_name(name)


def test_a_logged_name_may_have_a_dash() -> None:
    check_name("run7-epoch3", loose=True)


def test_registry_loads_from_the_spec_again(store: Store, factory: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(factory.parent)
    added = Models(store).add("food_v1", "food.py:build")
    assert added.spec == f"{factory}:build"
    other = Models(store)
    assert [row.name for row in other.list()] == ["food_v1"]
    assert other.can_load("food_v1") and "food_v1" in other
    assert other.get("food_v1").classes == ("a", "b", "c")
    assert "3 classes: a, b, c" in str(other.show("food_v1"))


def test_registry_notices_changed_code(store: Store, factory: Path) -> None:
    Models(store).add("food_v1", f"{factory}:build")
    factory.write_text(FACTORY.replace("input_size=8", "input_size=9"), encoding="utf-8")
    with pytest.raises(ModelError, match=r"is not what was registered.*replace=True"):
        Models(store).get("food_v1")


def test_python_object_lives_in_its_process_only(store: Store) -> None:
    registry = Models(store)
    registry.add("mean", MeanColour())
    assert isinstance(registry.get("mean"), MeanColour)
    assert not Models(store).can_load("mean")
    with pytest.raises(ModelError, match=r"added as a Python object \(MeanColour\).*add it again"):
        Models(store).get("mean")


def test_a_taken_name_needs_replace(store: Store) -> None:
    registry = Models(store)
    registry.add("mean", MeanColour())
    registry.add("mean", MeanColour())
    with pytest.raises(ModelError, match="already, with other weights"):
        registry.add("mean", MeanColour(scale=3.0))
    registry.add("mean", MeanColour(scale=3.0), replace=True)
    assert len(registry.list()) == 1


def test_mismatch_is_found_before_anything_is_written(store: Store) -> None:
    class Wide(MeanColour):
        classes = ("red", "green")

    with pytest.raises(ClassesError, match="has 2 class names, its output has 3"):
        Models(store).add("wide", Wide())
    assert Models(store).list() == []
    with pytest.raises(ModelError, match="is no model"):
        Models(store).add("net", small())  # type: ignore[arg-type]


def test_drop_forgets_predictions_too(store: Store) -> None:
    from slicedb.predictions import predict

    registry = Models(store)
    registry.add("mean", MeanColour())
    predict(store, "mean", registry.get("mean"))
    registry.drop("mean")
    assert not store.has(PREDICTIONS + "mean")
    with pytest.raises(UnknownModelError, match="there are no models yet"):
        registry.get("mean")


def test_unknown_name_names_its_neighbours(store: Store) -> None:
    registry = Models(store)
    registry.add("food_v1", MeanColour())
    with pytest.raises(UnknownModelError, match="did you mean 'food_v1'"):
        registry.get("food_v2")


def test_user_model_states_facts_as_class_attributes() -> None:
    class Wide(Model):
        classes = ("a", "b")
        input_size = (4, 8)

    assert Wide().preprocessing.size == (4, 8)
    with pytest.raises(ModelError, match="Wide has no predict_batch"):
        Wide().check()


def test_a_plain_model_from_a_file_is_itself_when_it_is_loaded_again(tmp_path: Path) -> None:
    file = tmp_path / "plain.py"
    file.write_text(
        "from slicedb.models import Model\n"
        "class Corner(Model):\n"
        "    classes = ('red', 'green', 'blue')\n"
        "    input_size = 8\n"
        "    def predict_batch(self, images):\n"
        "        return images[:, :, 0, 0]\n"
    )
    store = Store.open(tmp_path / "d.slicedb")
    added = Models(store).add("corner", f"{file}:Corner")
    assert Models(store).get("corner").fingerprint() == added.fingerprint


def test_a_module_beside_the_factory_is_told_how_to_be_found(tmp_path: Path) -> None:
    (tmp_path / "layers_of_mine.py").write_text("x = 1\n")
    (tmp_path / "m.py").write_text("import layers_of_mine\n")
    with pytest.raises(ModelError, match=f"lies beside that file: PYTHONPATH='{tmp_path}'"):
        load(f"{tmp_path}/m.py:build")
    (tmp_path / "n.py").write_text("import nothing_there\n")
    with pytest.raises(ModelError, match=r"No module named 'nothing_there'$"):
        load(f"{tmp_path}/n.py:build")
