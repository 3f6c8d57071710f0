"""Files of weights, programs and rows of models made to run code, to hang or to fill the memory."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from torch import nn

from slicedb.embedding.openclip import open_encoder
from slicedb.errors import EmbeddingError, ModelError
from slicedb.models import load
from slicedb.models.registry import Models
from slicedb.schema import MODELS, MODELS_SCHEMA
from slicedb.store import Store

FACTORY = """
import torch
def build():
    parts = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 3)
    net = torch.nn.Sequential(*parts)
    net.classes = ["a", "b", "c"]
    return net
"""
BYTES = b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R."
"""A pickle of 2 GB of zeros."""
LARGEST = 1 << 30
"""Bytes that a refusal may add to the most memory this process ever took."""


class Runs:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., object], *args: object) -> None:
        self.how = function, args

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.how


def makes(marker: Path) -> Runs:
    return Runs(os.mkdir, str(marker))


def honest() -> dict[str, Any]:
    return {"2.weight": torch.eye(3), "2.bias": torch.zeros(3)}


def saved(held: object, path: Path, **options: Any) -> None:
    torch.save(held, path, **options)


def _tar(marker: Path, path: Path) -> None:
    """The oldest format of torch: a tar of pickles."""
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            data = pickle.dumps(makes(marker), 2)
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))


def _script(marker: Path, path: Path) -> None:
    torch.jit.script(Saves(str(marker))).save(path)


def _itself(marker: Path, path: Path) -> None:
    held: dict[str, Any] = {}
    held["state_dict"] = held
    saved(held, path)


def _nested(marker: Path, path: Path) -> None:
    path.write_bytes(b"\x80\x02" + b"(" * 50_000 + b"t" * 50_000 + b".")


def _bomb(marker: Path, path: Path) -> None:
    """100 megabytes of zeros in an archive of 100 kilobytes."""
    saved(honest(), path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, bytes(100 << 20) if name.endswith("data/0") else data)


def _exchanged(path: Path, pickled: bytes) -> None:
    """Write an honest archive whose pickle is exchanged."""
    saved(honest(), path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, pickled if name.endswith("data.pkl") else data)


def _bytes(marker: Path, path: Path) -> None:
    _exchanged(path, BYTES)


def _calls(module: str, name: str, argument: str) -> bytes:
    """A pickle that calls a function by name, as no honest object would."""
    return f"c{module}\n{name}\n(S{argument!r}\ntR.".encode()


def _persistent(marker: Path, path: Path) -> None:
    """A tensor whose storage is of a class that makes a folder."""
    path.write_bytes(
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."
        + f"(S'storage'\ncos\nmkdir\nS'{marker}'\nS'cpu'\nL9L\ntQ.".encode()
    )


PICKLES: dict[str, Callable[[Path, Path], object]] = {
    "archive": lambda marker, path: saved(makes(marker), path),
    "legacy": lambda m, p: saved(makes(m), p, _use_new_zipfile_serialization=False),
    "tar": _tar,
    "protocol 0": lambda m, p: p.write_bytes(pickle.dumps(makes(m), 0)),
    "protocol 5": lambda m, p: p.write_bytes(pickle.dumps(makes(m), 5)),
    "beside tensors": lambda m, p: saved({"state_dict": honest(), "epoch": makes(m)}, p),
    "among tensors": lambda m, p: saved({**honest(), "2.bias": makes(m)}, p),
    "key": lambda m, p: saved(OrderedDict([(makes(m), torch.eye(3))]), p),
    "module": lambda m, p: saved(nn.Sequential(Saves(str(m))), p),
    "exchanged": lambda m, p: _exchanged(p, pickle.dumps(makes(m), 2)),
    "eval": lambda m, p: p.write_bytes(
        _calls("builtins", "eval", f"__import__('os').mkdir('{m}')")
    ),
    "exec": lambda m, p: p.write_bytes(_calls("__builtin__", "exec", f"open('{m}', 'w')")),
    "torch.load again": lambda m, p: p.write_bytes(_calls("torch", "load", f"{m}.pt")),
    "torch.hub": lambda m, p: p.write_bytes(_calls("torch.hub", "load", "evil/repo")),
    "torch.jit": lambda m, p: p.write_bytes(_calls("torch.jit", "load", f"{m}.pt")),
    "numpy": lambda m, p: p.write_bytes(_calls("numpy", "fromfile", "/dev/zero")),
    "getattr": lambda m, p: p.write_bytes(_calls("builtins", "getattr", "x")),
    "instance": lambda m, p: p.write_bytes(f"(S'{m}'\nios\nmkdir\n.".encode()),
    "persistent": _persistent,
    "script": _script,
}
"""Weights that would run code."""

FILLS: dict[str, Callable[[Path, Path], object]] = {
    "bomb": _bomb,
    "itself": _itself,
    "nested": _nested,
    "storage": lambda m, p: p.write_bytes(
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."
        b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nL1099511627776L\ntQ."
    ),
    "bytes": lambda m, p: p.write_bytes(
        b"\x80\x04c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R."
    ),
    "bytes in an archive": _bytes,
    "text": lambda m, p: p.write_bytes(b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40)),
    "long": lambda m, p: p.write_bytes(b"\x80\x04\x8b" + struct.pack("<i", (1 << 31) - 1)),
    "meta": lambda m, p: saved({**honest(), "2.bias": torch.zeros(3, device="meta")}, p),
    "sparse": lambda m, p: saved({**honest(), "2.weight": torch.eye(3).to_sparse()}, p),
    "wide": lambda m, p: saved({**honest(), "2.bias": torch.zeros(1).expand(1 << 40)}, p),
    "number": lambda m, p: saved({**honest(), "2.bias": 7}, p),
    "quantised": lambda m, p: saved(
        {**honest(), "2.bias": torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8)}, p
    ),
    "cut off": lambda m, p: p.write_bytes(_archive(honest())[:-80]),
    "empty": lambda m, p: p.write_bytes(b""),
    "folder": lambda m, p: p.mkdir(),
    "pipe": lambda m, p: os.mkfifo(p),
    "device": lambda m, p: p.symlink_to("/dev/zero"),
}
"""Weights that would hang, fill the memory or raise an error of torch."""


def _archive(held: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(held, buffer)
    return buffer.getvalue()


def _tensors(head: object, data: bytes = bytes(48), length: int | None = None) -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _entry(shape: list[int], start: int = 0, end: int = 36, dtype: str = "F32") -> dict[str, Any]:
    return {"2.weight": {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}}


SAFETENSORS = {
    "no header": b"",
    "huge header": _tensors({}, length=1 << 62),
    "long header": _tensors({}, length=100_000_000),
    "no JSON": _tensors(b"{]"),
    "not UTF-8": _tensors(b'{"\xff\xfe": 1}'),
    "deep": _tensors(b'{"a":' * 100_000),
    "list": _tensors([1]),
    "huge shape": _tensors(_entry([1 << 40, 1 << 40])),
    "overflow": _tensors(_entry([1 << 62, 4])),
    "negative": _tensors(_entry([-3, -3])),
    "beyond": _tensors(_entry([3, 3], 0, 1 << 40)),
    "backwards": _tensors(_entry([3, 3], 36, 0)),
    "odd type": _tensors(_entry([3, 3], dtype="PY")),
    "overlap": _tensors({**_entry([3, 3]), "2.bias": _entry([3], 12, 24)["2.weight"]}, bytes(36)),
    "pickle": pickle.dumps(Runs(os.mkdir, "ran")),
}


class Saves(nn.Module):
    """Writes a file when it is run."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        torch.save(images, self.path)
        return images.mean(dim=(2, 3))


def refused(path: Path, marker: Path, spec: str = "", error: type[Exception] = ModelError) -> str:
    """Return the words with which a file of weights, or a program, is refused."""
    factory = path.parent / "make.py"
    factory.write_text(FACTORY)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(error) as caught:
        if spec:
            load(spec, classes=["a", "b", "c"])
        else:
            load(f"{factory}:build", weights=path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert not marker.exists() and grown * 1024 < LARGEST
    return str(caught.value)


def test_the_honest_weights_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "make.py").write_text(FACTORY)
    saved({"state_dict": honest()}, tmp_path / "w.pt")
    model = load(f"{tmp_path / 'make.py'}:build", weights=tmp_path / "w.pt")
    assert model.predict_batch(torch.ones(1, 3, 8, 8)).tolist() == [[1.0, 1.0, 1.0]]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", PICKLES)
def test_weights_that_would_run_code_are_refused(kind: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / "w.pt"
    PICKLES[kind](marker, path)
    refused(path, marker)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", FILLS)
def test_weights_that_would_hang_or_fill_the_memory_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    FILLS[kind](tmp_path / "ran", path)
    refused(path, tmp_path / "ran")


@pytest.mark.parametrize("kind", SAFETENSORS)
def test_safetensors_that_lie_are_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.safetensors").write_bytes(SAFETENSORS[kind])
    refused(tmp_path / "w.safetensors", tmp_path / "ran")


SCRIPTS = {
    "called": ("torch.save(images, path)", "torch.save"),
    "another name": ("t = torch\n    t.save(images, path)", "names torch,"),
    "asked for": ('getattr(torch, "save")(images, path)', "names torch,"),
    "on two lines": ("torch\\\n.save(images, path)", "torch.save"),
    "mapped": ("_0 = torch.from_file(path, True, 8)", "torch.from_file"),
    "operator": ("ops.aten.save(images, path)", "ops.aten.save"),
    "picture": ("ops.image.write_file(path, images)", "ops.image.write_file"),
    "operators": ("o = ops\n    o.aten.save(images, path)", "names ops,"),
    "unreadable": ("torch.save(images path", "cannot be read"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", SCRIPTS)
def test_scripts_that_reach_for_files_are_refused(kind: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / "net.ts"
    torch.jit.script(Saves(str(marker))).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    call, words = SCRIPTS[kind]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data.replace(b"torch.save(images, path)", call.encode()))
    assert words in refused(path, marker, str(path))


@pytest.mark.filterwarnings("ignore")
def test_a_script_with_parts_loops_and_quantised_layers_is_opened(tmp_path: Path) -> None:
    class Loops(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList([nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3), nn.ReLU())])

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            rows, n = images.mean(dim=(2, 3)), 0
            while n < 2:
                for part in self.parts:
                    rows = part(rows)
                n += 1
            return torch.softmax(rows, 1) * float("inf") if n > 2 else torch.softmax(rows, 1)

    quantised = torch.ao.quantization.quantize_dynamic(Loops(), {nn.Linear})
    for n, net in enumerate((Loops(), quantised)):
        torch.jit.script(net).save(tmp_path / f"{n}.ts")
        model = load(str(tmp_path / f"{n}.ts"), classes=["a", "b", "c"])
        assert model.predict_batch(torch.zeros(2, 3, 8, 8)).shape == (2, 3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".pt2", ".ts", ".onnx"])
@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x80\x02c__builtin__\neval\n.", bytes(1000), b"\x08" * 1000]
)
def test_programs_that_are_none_are_refused(suffix: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / f"net{suffix}").write_bytes(content)
    refused(tmp_path / "w.pt", tmp_path / "ran", str(tmp_path / f"net{suffix}"))


def _onnx(path: Path, location: str | None, offset: int = 0, length: int = 36) -> None:
    """Write a net whose weights lie in another file."""
    onnx = pytest.importorskip("onnx", reason="the files are written with onnx")
    pytest.importorskip("onnxruntime", reason="the files are opened with onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    given = helper.make_tensor_value_info("x", kind, ["n", 3, 8, 8])
    made = helper.make_tensor_value_info("y", kind, ["n", 3])
    weights = onnx.numpy_helper.from_array(torch.eye(3).numpy(), "w")
    if location is not None:
        weights.ClearField("raw_data")
        weights.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", offset), ("length", length)):
            weights.external_data.add(key=key, value=str(value))
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "net", [given], [made], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())


LOCATIONS: dict[str, tuple[str, int, int]] = {
    "above": ("../outside.bin", 0, 36),
    "absolute": ("ROOT/outside.bin", 0, 36),
    "link to above": ("link.bin", 0, 36),
    "link to a device": ("zero", 0, 36),
    "device": ("/dev/zero", 0, 36),
    "pipe": ("pipe", 0, 36),
    "too long": ("inside.bin", 0, 1 << 40),
    "before": ("inside.bin", -5, 36),
    "past the end": ("inside.bin", 30, 36),
    "missing": ("none.bin", 0, 36),
    "address": ("http://127.0.0.1:9/w", 0, 36),
}


@pytest.mark.parametrize("kind", LOCATIONS)
def test_onnx_reads_nothing_outside_of_its_folder(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    for file in (tmp_path / "outside.bin", folder / "inside.bin"):
        file.write_bytes(torch.eye(3).numpy().tobytes())
    (folder / "link.bin").symlink_to("../outside.bin")
    (folder / "zero").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe")
    location, offset, length = LOCATIONS[kind]
    path = folder / "net.onnx"
    _onnx(path, location.replace("ROOT", str(tmp_path)), offset, length)
    refused(folder / "w.pt", tmp_path / "ran", str(path))


@pytest.mark.parametrize("location", [None, "inside.bin"])
def test_an_honest_onnx_file_is_opened(location: str | None, tmp_path: Path) -> None:
    (tmp_path / "inside.bin").write_bytes(torch.eye(3).numpy().tobytes())
    _onnx(tmp_path / "net.onnx", location)
    model = load(str(tmp_path / "net.onnx"), classes=["a", "b", "c"])
    assert model.preprocessing.size == (8, 8)
    assert model.predict_batch(torch.ones(2, 3, 8, 8)).tolist() == [[1.0] * 3] * 2


@pytest.mark.parametrize("kind", ["eval", "bomb"])
def test_an_encoder_with_such_weights_is_refused(kind: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "ran", tmp_path / "clip.pt"
    {**PICKLES, **FILLS}[kind](marker, path)
    with pytest.raises((EmbeddingError, ModelError)):
        open_encoder("RN50", str(path), torch.device("cpu"))
    assert not marker.exists()


# --- databases from elsewhere -------------------------------------------------------------------


def _elsewhere(root: Path, row: dict[str, Any]) -> Models:
    """The models of a database that was not written here."""
    store = Store.open(root / "food.slicedb")
    store.create(MODELS, MODELS_SCHEMA)
    plain = {"id": "net", "spec": "", "classes": ["a", "b", "c"], "details": "{}"}
    store.upsert(MODELS, pa.Table.from_pylist([{**plain, **row}], schema=MODELS_SCHEMA))
    return Models(store)


ROWS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "elsewhere": lambda root: {"spec": f"{root}/make.py:build"},
    "inside": lambda root: {"spec": f"{root}/food.slicedb/make.py:build"},
    "dotted": lambda root: {"spec": f"{root}/x/../food.slicedb/make.py:build"},
    "linked": lambda root: {"spec": f"{root}/link/make.py:build"},
    "relative": lambda root: {"spec": "make.py:build"},
    "relative inside": lambda root: {"spec": "food.slicedb/make.py:build"},
    "home": lambda root: {"spec": "~/make.py:build"},
    "home inside": lambda root: {"spec": "~/food.slicedb/make.py:build"},
    "pickle elsewhere": lambda root: _pickled(f"{root}/w.pt"),
    "pickle inside": lambda root: _pickled(f"{root}/food.slicedb/w.pt"),
    "pickle relative": lambda root: _pickled("w.pt"),
    "pickle home": lambda root: _pickled("~/w.pt"),
    "program": lambda root: {"spec": f"{root}/w.pt", "details": '{"allow_pickle": true}'},
    "program relative": lambda root: {"spec": "w.pt", "details": '{"allow_pickle": 1}'},
    "factory and pickle": lambda root: {**_pickled("w.pt"), "spec": f"{root}/make.py:build"},
}
"""What a database may say of its models."""


def _pickled(path: str) -> dict[str, Any]:
    return {"spec": "torchvision:resnet18", "weights": path, "details": '{"allow_pickle": true}'}


@pytest.mark.parametrize("kind", ROWS)
def test_a_database_from_elsewhere_runs_no_code(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    models, marker = _elsewhere(tmp_path, ROWS[kind](tmp_path)), tmp_path / "ran"
    (tmp_path / "link").symlink_to(tmp_path / "food.slicedb")
    for folder in (tmp_path, tmp_path / "food.slicedb"):
        (folder / "make.py").write_text(f"import os\nos.mkdir({str(marker)!r})\n" + FACTORY)
        saved(makes(marker), folder / "w.pt")
    with pytest.raises(ModelError, match=r"came with the database|registered by somebody else"):
        models.get("net")
    assert not marker.exists()


def test_a_model_from_elsewhere_runs_once_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLICEDB_CONFIG", str(tmp_path / "settings"))
    (tmp_path / "make.py").write_text(FACTORY)
    row = {"spec": f"{tmp_path}/make.py:build"}
    with pytest.raises(ModelError, match="slicedb model trust net"):
        _elsewhere(tmp_path, row).get("net")
    assert _elsewhere(tmp_path, row).trust("net").spec == row["spec"]
    with pytest.raises(ModelError, match="is not what was registered"):  # it has been run
        _elsewhere(tmp_path, row).get("net")


def test_what_was_registered_here_is_trusted_and_everything_where_the_user_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLICEDB_CONFIG", str(tmp_path / "settings"))
    (tmp_path / "make.py").write_text(FACTORY)
    store = Store.open(tmp_path / "food.slicedb")
    Models(store).add("net", f"{tmp_path}/make.py:build")
    assert Models(store).get("net").classes == ("a", "b", "c")
    monkeypatch.setenv("SLICEDB_CONFIG", str(tmp_path / "another user"))
    with pytest.raises(ModelError, match="registered by somebody else"):
        Models(store).get("net")
    monkeypatch.setenv("SLICEDB_TRUST", "1")
    assert Models(store).get("net").classes == ("a", "b", "c")


def test_a_list_that_others_may_write_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "settings"
    monkeypatch.setenv("SLICEDB_CONFIG", str(settings))
    (tmp_path / "make.py").write_text(FACTORY)
    store = Store.open(tmp_path / "food.slicedb")
    Models(store).add("net", f"{tmp_path}/make.py:build")
    (settings / "trusted").chmod(0o666)
    with pytest.raises(ModelError, match="registered by somebody else"):
        Models(store).get("net")
