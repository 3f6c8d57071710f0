"""The scripts of benchmarks/ still fit the package: what they import exists, wherever it moved."""

from __future__ import annotations

import ast
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


@pytest.mark.slow
def test_moves_counts_the_files_that_a_verb_enters() -> None:
    command = [sys.executable, str(FOLDER / "moves.py"), "--list"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    evaluate = done.stdout.partition("\nevaluate")[2].partition("\ntest")[0]
    assert "store/reading.py" in evaluate and "judge/evaluation.py" in evaluate
