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

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(FOLDER.rglob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_what_a_benchmark_imports_from_the_package_exists(script: Path) -> None:
    for node in ast.walk(ast.parse(script.read_text())):
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
import runpy, sys

class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("lance", "lancedb", "duckdb"):
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Forbidden())
import slicedb.cam.gradcam, slicedb.embedding, slicedb.inference, slicedb.models
sys.argv = sys.argv[1:]
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
