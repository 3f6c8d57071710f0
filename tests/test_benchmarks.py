"""The scripts of benchmarks/ still fit the package: what they import exists, wherever it moved."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fakes_gpu import Log, fake_gpu, fake_nvjpeg

from slicedb.models import TorchClassifier

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(FOLDER.rglob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_what_a_benchmark_imports_from_the_package_exists(script: Path) -> None:
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "slicedb":
            module = import_module(str(node.module))
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                assert hasattr(module, alias.name) or find_spec(name), f"{script.name}: {name}"


def test_every_benchmark_is_in_the_table_of_what_was_measured() -> None:
    page = (FOLDER / "README.md").read_text()
    assert [s.name for s in SCRIPTS if s.name not in page] == []


def test_the_derived_table_of_scale_is_the_one_that_its_script_derives() -> None:
    command = [sys.executable, str(FOLDER / "scale_table.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "SCALE.md: the table is as derived\n")


@pytest.mark.slow
def test_moves_counts_the_files_that_a_verb_enters() -> None:
    command = [sys.executable, str(FOLDER / "moves.py"), "--list"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    evaluate = done.stdout.partition("\nevaluate")[2].partition("\ntest")[0]
    assert "store/reading.py" in evaluate and "judge/evaluation.py" in evaluate


_WITHOUT = """
import os, runpy, sys

class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("lance", "lancedb", "duckdb"):
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Forbidden())
import slicedb.cam.gradcam, slicedb.embedding, slicedb.inference, slicedb.models
sys.argv = sys.argv[1:]
sys.modules["open_clip"] = None
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_the_benchmark_of_gpus_runs_on_a_cpu_without_lance_and_duckdb(tmp_path: Path) -> None:
    options = ["--device", "cpu", "--small", "--only", "memory", "decode", "cam"]
    command = [sys.executable, "-c", _WITHOUT, str(FOLDER / "gpu.py"), *options]
    environment = {**os.environ, "OUT": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    lines = {line["part"]: line for line in json.loads((tmp_path / "gpu.json").read_text())}
    assert (lines["memory"]["asked"], lines["memory"]["fits"]) == (8, 2)  # 8, 4, 2; 3 fit
    assert lines["memory"]["bar"] == "met" and lines["memory"]["rows"] == 16
    assert lines["end"]["failed"] == 0
    assert [line.split()[0] for line in done.stdout.splitlines()][:2] == ["machine", "memory"]


@pytest.mark.slow
def test_the_benchmark_of_gpus_runs_what_only_a_gpu_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setenv("OUT", str(tmp_path))
    gpu = import_module("gpu")
    monkeypatch.setattr(gpu, "network", lambda name, bench: small_network())
    monkeypatch.setattr(gpu, "usual_size", lambda model, bench: 8)
    options = ["--device", "cuda:0", "--small", "--minutes", "9", "--only", "decode", "nvjpeg"]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *options, "memory"])
    with fake_gpu(monkeypatch, gradients=True) as log, pytest.raises(SystemExit) as end:
        fake_nvjpeg(monkeypatch, log, shift=1)
        fakes = {
            "synchronize": lambda device=None: None,
            "get_device_name": lambda device: "a fake",
            "get_device_properties": lambda device: SimpleNamespace(total_memory=10**11),
            "set_per_process_memory_fraction": lambda share, _: _limit(log, share),
        }
        for name, fake in fakes.items():
            monkeypatch.setattr(torch.cuda, name, fake)
        gpu.main()
    assert end.value.code == 0
    lines = json.loads((tmp_path / "gpu.json").read_text())
    held = {line["what"]: line["value"] for line in lines if "value" in line}
    assert 0.9 < held["levels to the CPU's pixels on average"] < 1.5
    assert held["distance of logits of one picture in 3 places, decoded by gpu"] < 0.02
    (memory,) = (line for line in lines if line["part"] == "memory")
    assert (memory["asked"], memory["fits"], memory["bar"]) == (1024, 2, "met")
    (faster, _) = (line for line in lines if "gpu_over_cpu" in line)
    assert faster["gpu_over_cpu"] > 0


def _limit(log: Log, share: float) -> None:
    log.limit = 3 if share < 1 else None


def small_network() -> TorchClassifier:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, 4), torch.nn.Flatten(), torch.nn.Linear(4 * 16, 9)
    )
    return TorchClassifier(net, classes=[f"class {i}" for i in range(9)], input_size=16)


@pytest.mark.filterwarnings("ignore:The image decoding")
def test_torchvision_stands_in_for_simplejpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    import simplejpeg

    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setitem(sys.modules, "simplejpeg", simplejpeg)  # which is put back at the end
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    bench = import_module("gpubench")
    assert bench.stand_in().startswith("torchvision")
    data = bench.Bench(torch.device("cpu"), True, 1).pictures[0]
    other = sys.modules["simplejpeg"]
    assert other is not simplejpeg
    assert other.decode_jpeg_header(data) == simplejpeg.decode_jpeg_header(data)
    pixels, expected = other.decode_jpeg(data, "RGB"), simplejpeg.decode_jpeg(data, "RGB")
    assert pixels.shape == expected.shape == (375, 500, 3)
    assert np.abs(pixels.astype(int) - expected).max() <= 1
    for call in (other.decode_jpeg_header, other.decode_jpeg):
        with pytest.raises(ValueError):
            call(b"\xff\xd8\xff junk")
