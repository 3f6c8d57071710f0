"""The shape of the package: who imports whom, one door a heavy library, quick imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import slicedb

ROOT = Path(slicedb.__file__).parent

ROWS: tuple[tuple[str, ...], ...] = (
    ("errors", "schema", "media", "stats", "metrics"),
    ("store", "models", "progress"),
    ("ingest", "embedding", "inference", "commits", "doctor"),
    ("query", "slices", "predictions"),
    ("evaluate", "cam", "behaviour", "curate", "report", "suite", "export"),
    ("training", "scale", "database"),
    ("demo", "web", "cli", "pytest_plugin"),
)
"""A module imports from the rows above its own, and from its left in the row."""

ORDER = {module: i for i, module in enumerate(module for row in ROWS for module in row)}

DOORS = {
    "lance": {"store"},
    "lancedb": {"store"},
    "duckdb": {"query"},
    "sqlglot": {"query"},
    "open_clip": {"embedding", "demo"},
    "ray": {"scale"},
    "pytorch_grad_cam": {"cam"},
}

HEAVY = {
    "torch",
    "torchvision",
    "lance",
    "lancedb",
    "duckdb",
    "pandas",
    "open_clip",
    "scipy",
    "sqlglot",
    "pyarrow",
    "numpy",
    "rich",
    "timm",
}


def modules() -> Iterator[tuple[str, Path]]:
    """Yield (name of the top module, file)."""
    for file in sorted(ROOT.rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        if parts != ("__init__",):
            yield parts[0], file


def imports(file: Path) -> Iterator[tuple[str, int]]:
    """Yield (imported module, line), those inside functions and type checks included."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively"
            names = (alias.name for alias in node.names)
            base = node.module or ""
            yield from (
                (f"{base}.{name}" if base == "slicedb" else base, node.lineno) for name in names
            )


def test_every_module_stands_in_a_row() -> None:
    assert {name for name, _ in modules()} <= set(ORDER)


def test_modules_import_only_from_rows_above_and_from_their_left() -> None:
    wrong = []
    for module, file in modules():
        for name, line in imports(file):
            parts = name.split(".")
            if parts[0] != "slicedb" or len(parts) < 2 or parts[1] == "__version__":
                continue
            other = parts[1]
            if other != module and ORDER.get(other, 99) >= ORDER[module]:
                wrong.append(f"{file.relative_to(ROOT)}:{line} {module} imports {other}")
    assert wrong == []


def test_heavy_libraries_have_one_door_each() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for module, file in modules()
        for name, line in imports(file)
        if (doors := DOORS.get(name.split(".")[0])) and module not in doors
    ]
    assert wrong == []


def test_import_and_help_load_nothing_heavy() -> None:
    code = (
        "import sys, slicedb\n"
        "from slicedb.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted(m for m in sys.modules if '.' not in m), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ingest" in done.stdout
    assert set(ast.literal_eval(done.stderr)) & HEAVY == set()


def test_all_names_of_the_package_exist_and_are_sorted() -> None:
    assert sorted(slicedb.__all__) == slicedb.__all__
    for name in slicedb.__all__:
        assert getattr(slicedb, name) is not None
