"""Models that were saved whole or as weights alone, and the preprocessing that a user states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from fakes_models import png
from PIL import Image
from torchvision.transforms import v2

import slicedb
from slicedb import Database
from slicedb.errors import ClassesError, ModelError
from slicedb.models import Model

CLASSES = ["red", "green", "blue"]


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 3, 1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    ).eval()


@pytest.fixture
def db(tmp_path: Path) -> Database:
    return slicedb.open(tmp_path / "data.slicedb")


@pytest.mark.parametrize("form", ["module", "wrapped", "parallel", "old"])
def test_a_module_saved_whole_is_loaded_with_a_word_of_trust(
    form: str, net: torch.nn.Module, db: Database, tmp_path: Path
) -> None:
    whole = {"wrapped": {"epoch": 3, "model": net}, "parallel": torch.nn.DataParallel(net)}
    path = tmp_path / ("net.pt" if form == "wrapped" else "net.pth")
    torch.save(whole.get(form, net), path, _use_new_zipfile_serialization=form != "old")
    with pytest.raises(ModelError, match=r"saved whole.*--allow-pickle") as refused:
        db.models.add("net", path.as_posix(), classes=CLASSES)
    assert "torch.nn.modules" in str(refused.value)
    with pytest.raises(ClassesError, match="without class names"):
        db.models.add("net", str(path), allow_pickle=True)
    db.models.add("net", str(path), classes=CLASSES, allow_pickle=True, size=8)
    again = slicedb.open(db.path).models.get("net")
    image = torch.rand(2, 3, 8, 8)
    with torch.inference_mode():
        assert torch.allclose(again.predict_batch(image), net(image), atol=1e-6)


def test_a_pickle_runs_nothing_before_it_is_allowed(db: Database, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path(tmp_path / "ran").mkdir, ())

    torch.save(Evil(), tmp_path / "evil.pth")
    with pytest.raises(ModelError, match="saved whole"):
        db.models.add("evil", str(tmp_path / "evil.pth"), classes=CLASSES)
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["zip", "old", "checkpoint", "safetensors"])
def test_weights_alone_name_the_network_that_is_missing(
    form: str, db: Database, tmp_path: Path
) -> None:
    from safetensors.torch import save_file
    from torchvision.models import mobilenet_v2

    state = mobilenet_v2(num_classes=11).state_dict()
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        save_file(state, path)
    else:
        held = {"epoch": 3, "state_dict": state} if form == "checkpoint" else state
        torch.save(held, path, _use_new_zipfile_serialization=form != "old")
    with pytest.raises(ModelError, match=r"holds weights alone \(314 tensors") as refused:
        db.models.add("net", str(path), classes=CLASSES)
    hint = refused.value.hint
    assert "torchvision:mobilenet_v2" in hint and "(11 names)" in hint
    names = [f"class {i}" for i in range(11)]
    db.models.add("net", "torchvision:mobilenet_v2", weights=path, classes=names)


def test_weights_of_an_unknown_network_ask_for_its_code(
    net: torch.nn.Module, db: Database, tmp_path: Path
) -> None:
    torch.save(net.state_dict(), tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"weights alone \(2 tensors.*file\.py:factory"):
        db.models.add("net", str(tmp_path / "w.pth"))
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ModelError, match="holds a list and no module"):
        db.models.add("net", str(tmp_path / "list.pth"))
    (tmp_path / "junk.pth").write_bytes(b"hello")
    with pytest.raises(ModelError, match=r"no file of torch\.save"):
        db.models.add("net", str(tmp_path / "junk.pth"))


def test_a_class_that_is_gone_is_named(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_net.py").write_text(
        "import torch\n\n\nclass Own(torch.nn.Module):\n"
        "    def forward(self, x):\n        return x.mean((2, 3))\n"
    )
    with monkeypatch.context() as inside:
        inside.syspath_prepend(str(tmp_path))
        import own_net  # type: ignore[import-not-found]

        torch.save(own_net.Own(), tmp_path / "own.pth")
    monkeypatch.delitem(__import__("sys").modules, "own_net")
    with pytest.raises(ModelError, match=r"a Python object \(own_net\.Own\)"):
        db.models.add("own", str(tmp_path / "own.pth"), classes=CLASSES)
    with pytest.raises(ModelError, match=r"needs code that is not here.*own_net"):
        db.models.add("own", str(tmp_path / "own.pth"), classes=CLASSES, allow_pickle=True)


STATED: list[tuple[dict[str, Any], v2.Transform]] = [
    ({"size": 16, "resize": "squash"}, v2.Resize((16, 16))),
    ({"size": 16, "resize": "crop"}, v2.Compose([v2.Resize(16), v2.CenterCrop(16)])),
    ({"size": 16, "resize": 24}, v2.Compose([v2.Resize(24), v2.CenterCrop(16)])),
]


@pytest.mark.parametrize(("stated", "wanted"), STATED)
def test_size_and_resize_are_those_of_torchvision(
    stated: dict[str, Any], wanted: v2.Transform, net: torch.nn.Module, db: Database, tmp_path: Path
) -> None:
    torch.save(net, tmp_path / "net.pth")
    picture = Image.effect_mandelbrot((60, 40), (-3, -2.5, 2, 2.5), 100).convert("RGB")
    db.models.add(
        "net",
        str(tmp_path / "net.pth"),
        classes=CLASSES,
        allow_pickle=True,
        mean=[0.5],
        std=[0.5, 0.25, 0.5],
        **stated,
    )
    seen: list[torch.Tensor] = []
    model: Model = slicedb.open(db.path).models.get("net")
    model.predict_batch = lambda images: seen.append(images) or net(images)  # type: ignore
    model.predict(picture)
    to_float = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    pixels = v2.Normalize([0.5] * 3, [0.5, 0.25, 0.5])(to_float(wanted(picture)))
    assert seen[0][0].shape == (3, 16, 16)
    assert torch.allclose(seen[0][0], pixels, atol=2 / 255 / 0.25)


def test_show_says_every_step_and_another_resize_is_another_model(
    net: torch.nn.Module, db: Database, tmp_path: Path
) -> None:
    path = str(tmp_path / "net.pth")
    torch.save(net, path)
    facts: dict[str, Any] = {"classes": CLASSES, "allow_pickle": True}
    crop = db.models.add("net", path, size=64, resize="crop", **facts)
    assert (
        "resize the shorter side to 64 (bilinear), crop the centre 64 x 64, scale to [0, 1], "
        "subtract 0.485, 0.456, 0.406, divide by 0.229, 0.224, 0.225" in str(db.models.show("net"))
    )
    with pytest.raises(ModelError, match="There is a model 'net' already"):
        db.models.add("net", path, size=64, resize="squash", **facts)
    squash = db.models.add("net", path, size=64, resize="squash", replace=True, **facts)
    assert squash.fingerprint != crop.fingerprint and squash.version == 2
    assert "resize to 64 x 64 whatever the shape (bilinear)" in str(db.models.show("net"))


def test_the_ratio_of_a_librarys_crop_is_kept(db: Database) -> None:
    facts: dict[str, Any] = {"weights": "random", "classes": CLASSES}
    db.models.add("small", "torchvision:mobilenet_v3_small", size=112, **facts)
    assert db.models.get("small").preprocessing.resize == 128  # 256 of 224
    assert db.models.get("small").preprocessing.size == (112, 112)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"size": 64, "resize": 32}, "Resize 32 is smaller than the crop"),
        ({"resize": "stretch"}, "resize is 'stretch'"),
        ({"std": [0.0]}, "std is not 0"),
        ({"mean": [0.1, 0.2]}, "give one number, or three"),
        ({"size": 0}, "size is 0"),
    ],
)
def test_what_is_no_preprocessing_is_refused(
    stated: dict[str, Any], message: str, net: torch.nn.Module, db: Database, tmp_path: Path
) -> None:
    torch.save(net, tmp_path / "net.pth")
    with pytest.raises(ModelError, match=message):
        db.models.add(
            "net", str(tmp_path / "net.pth"), classes=CLASSES, allow_pickle=True, **stated
        )


def test_the_command_takes_them(net: torch.nn.Module, db: Database, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from slicedb.cli import verbs

    torch.save(net, tmp_path / "net.pth")
    line = ["model", "add", "net", str(tmp_path / "net.pth"), "--classes", "red,green,blue"]
    line += ["--size", "16", "--resize", "squash", "--mean", "0.5", "--db", db.path]
    refused = CliRunner().invoke(verbs, line)
    assert isinstance(refused.exception, ModelError) and "--allow-pickle" in str(refused.exception)
    added = CliRunner().invoke(verbs, [*line, "--allow-pickle"])
    assert added.exit_code == 0, added.output
    shown = CliRunner().invoke(verbs, ["model", "show", "net", "--db", db.path])
    assert "resize to 16 x 16 whatever the shape" in shown.output
    (tmp_path / "a.png").write_bytes(png((250, 10, 10)))
    said = CliRunner().invoke(verbs, ["try", "net", str(tmp_path / "a.png"), "--db", db.path])
    assert said.exit_code == 0, said.output
