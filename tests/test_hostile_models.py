"""Model files that try to run code: each would leave a marker file, none may."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from torch import nn

from slicedb.errors import ModelError
from slicedb.models import load
from slicedb.models.inspection import is_arithmetic
from slicedb.models.registry import Models
from slicedb.schema import MODELS, MODELS_SCHEMA
from slicedb.store import Store

Members = dict[str, bytes]


class Marker:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """The members of an honest archive, whose batch is dynamic."""
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3)).eval()
    path = tmp_path_factory.mktemp("honest") / "net.pt2"
    batch = torch.export.Dim("batch", min=1, max=64)
    example = (torch.zeros(2, 3, 16, 16),)
    torch.export.save(torch.export.export(net, example, dynamic_shapes=({0: batch},)), path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _written(members: Members, path: Path) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return str(path)


def _named(members: Members, end: str) -> str:
    return next(name for name in members if name.endswith(end))


def _root(members: Members) -> str:
    return next(iter(members)).split("/")[0]


def _pickle(marker: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save((Marker(marker),), buffer)
    return buffer.getvalue()


def _sample_inputs(members: Members, marker: Path) -> None:
    members[_named(members, "sample_inputs/model.pt")] = _pickle(marker)


def _weights(members: Members, marker: Path) -> None:
    members[f"{_root(members)}/data/weights/model.pt"] = _pickle(marker)


def _constants(members: Members, marker: Path) -> None:
    members[f"{_root(members)}/data/constants/model.pt"] = _pickle(marker)


def _pickled_weight(members: Members, marker: Path) -> None:
    name = _named(members, "model_weights_config.json")
    config = json.loads(members[name])
    first = next(iter(config["config"].values()))
    first["use_pickle"] = True
    members[name] = json.dumps(config).encode()
    members[f"{_root(members)}/data/weights/{first['path_name']}"] = _pickle(marker)


def _opaque_constant(members: Members, marker: Path) -> None:
    payload = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True}
    config = {"config": {"x": {**payload, "tensor_meta": None}}}
    members[_named(members, "model_constants_config.json")] = json.dumps(config).encode()
    members[f"{_root(members)}/data/constants/opaque_obj_0"] = pickle.dumps(Marker(marker))


def _size(text: str) -> Callable[[Members, Path], None]:
    def change(members: Members, marker: Path) -> None:
        name = _named(members, "models/model.json")
        code = text.replace("CODE", f"__import__('os').mkdir('{marker}')")

        def walk(node: object) -> None:
            if isinstance(node, dict):
                if "expr_str" in node:
                    node["expr_str"] = code
                list(map(walk, node.values()))
            elif isinstance(node, list):
                list(map(walk, node))

        model = json.loads(members[name])
        walk(model)
        members[name] = json.dumps(model).encode()

    return change


def _node(target: str, **more: str) -> Callable[[Members, Path], None]:
    """Let the first node of the graph call something with the path."""

    def change(members: Members, marker: Path) -> None:
        name = _named(members, "models/model.json")
        model = json.loads(members[name])
        node = model["graph_module"]["graph"]["nodes"][0]
        node["target"] = target
        arguments = [*more.items(), ("as_string", str(marker))]
        node["inputs"] = [{"name": "x", "arg": {k: v}, "kind": 1} for k, v in arguments]
        members[name] = json.dumps(model).encode()

    return change


def _guards(members: Members, marker: Path) -> None:
    name = _named(members, "models/model.json")
    model = json.loads(members[name])
    model["guards_code"] = [f"__import__('os').mkdir('{marker}') is None"]
    members[name] = json.dumps(model).encode()


def _tree(members: Members, marker: Path) -> None:
    name = _named(members, "models/model.json")
    leaf = {"type": None, "context": None, "children_spec": []}
    context = json.dumps(
        {"default_factory_module": "antigravity", "default_factory_name": "x", "dict_context": []}
    )
    tree = {"type": "collections.defaultdict", "context": context, "children_spec": [leaf]}
    model = json.loads(members[name])
    model["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = json.dumps([1, tree])
    members[name] = json.dumps(model).encode()


def _library(members: Members, marker: Path) -> None:
    members[f"{_root(members)}/data/aotinductor/model/model.so"] = b"\x7fELF"


def _old_format(members: Members, marker: Path) -> None:
    kept = dict(members)
    members.clear()
    members.update(
        {
            "version": b"8.20",
            "serialized_exported_program.json": kept[_named(kept, "models/model.json")],
            "serialized_state_dict.pt": _pickle(marker),
            "serialized_constants.pt": _pickle(marker),
            "serialized_example_inputs.pt": _pickle(marker),
        }
    )


@pytest.mark.parametrize(
    "spoil",
    [
        _sample_inputs,
        _weights,
        _constants,
        _pickled_weight,
        _opaque_constant,
        _size("CODE"),
        _size('Max("CODE", 1)'),
        _size("Symbol('s0').__class__"),
        _size("[CODE for _ in (1,)][0]"),
        _node("torch.os.mkdir"),
        _node("torch_x.os.mkdir"),
        _node("os.mkdir"),
        _node("math.os.mkdir"),
        _node("torch.ops.image.write_file.default"),
        _node("torch.ops.aten.from_file.default"),
        _node("torch.ops.higher_order.print"),
        _node("torch.ops.higher_order.wrap", as_operator="torch.os.mkdir"),
        _node("torch.ops.higher_order.cond", as_operator="torch.os.mkdir"),
        _node("torch.ops.higher_order.map", as_operator="torch.ops.image.write_file.default"),
        _guards,
        _tree,
        _library,
        _old_format,
    ],
)
def test_an_archive_that_could_run_code_is_refused(
    spoil: Callable[[Members, Path], None], exported: Members, tmp_path: Path
) -> None:
    members, marker = dict(exported), tmp_path / "ran"
    spoil(members, marker)
    path = _written(members, tmp_path / "net.pt2")
    with pytest.raises(ModelError):
        load(path, classes=["a", "b", "c"])
    assert not marker.exists()


def test_an_honest_archive_is_opened(exported: Members, tmp_path: Path) -> None:
    model = load(_written(exported, tmp_path / "net.pt2"), classes=["a", "b", "c"])
    assert model.predict_batch(torch.zeros(3, 3, 16, 16)).shape == (3, 3)


def test_the_flag_opens_what_is_refused_without_it(exported: Members, tmp_path: Path) -> None:
    members, marker = dict(exported), tmp_path / "ran"
    _sample_inputs(members, marker)
    path = _written(members, tmp_path / "net.pt2")
    with pytest.raises(ModelError, match=r"sample_inputs/model.pt' holds Python objects.*--allow"):
        load(path, classes=["a", "b", "c"])
    assert not marker.exists()
    with contextlib.suppress(ModelError):  # what came out is no tensor
        load(path, classes=["a", "b", "c"], allow_pickle=True)
    assert marker.exists()


class Saves(nn.Module):
    """Writes a file when it is run."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        torch.save(images, self.path)
        return images.mean(dim=(2, 3))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_script_that_writes_files_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    torch.jit.script(Saves(str(marker))).save(tmp_path / "net.pt")
    with pytest.raises(ModelError, match=r"names torch\.save"):
        load(str(tmp_path / "net.pt"), classes=["a", "b", "c"])
    assert not marker.exists()


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Symbol('s31', positive=True, integer=True)", True),
        ("2*s0 + FloorDiv(s1, 2)", True),
        ("Eq(Mod(s0, 4), 0)", True),
        ("Max('exit()', 1)", False),
        ("Symbol('x'.__class__)", False),
        ("lambda: 1", False),
        ("f'{exit()}'", False),
        ("(" * 3000, False),
    ],
)
def test_sizes_are_arithmetic(text: str, right: bool) -> None:
    assert is_arithmetic(text) is right


@pytest.mark.parametrize("place", ["inside", "relative"])
def test_code_that_came_with_a_database_is_not_run(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, marker = Store.open(tmp_path / "food.slicedb"), tmp_path / "ran"
    monkeypatch.chdir(tmp_path)
    file = tmp_path / ("food.slicedb/make.py" if place == "inside" else "make.py")
    file.write_text(f"import os\ndef build():\n    os.mkdir({str(marker)!r})\n")
    spec = f"{file}:build" if place == "inside" else "make.py:build"
    store.create(MODELS, MODELS_SCHEMA)
    row = {"id": "net", "spec": spec, "classes": ["a"], "details": "{}"}
    store.upsert(MODELS, pa.Table.from_pylist([row], schema=MODELS_SCHEMA))
    with pytest.raises(ModelError, match="came with the database"):
        Models(store).get("net")
    assert not marker.exists()


def test_a_factory_that_exits_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "make.py"
    file.write_text("import sys\ndef build():\n    sys.exit(3)\n")
    with pytest.raises(ModelError, match="SystemExit: 3"):
        load(f"{file}:build")
    file.write_text("raise SystemExit('no')\n")
    with pytest.raises(ModelError, match="SystemExit: no"):
        load(f"{file}:build")
