"""The shape of the package: who imports whom, one door a heavy library, quick imports."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import slicedb

ROOT = Path(slicedb.__file__).parent

ROWS: tuple[tuple[str, ...], ...] = (
    ("errors", "blake", "schema", "keys", "sql", "cache", "plugins", "show", "progress"),
    ("stats", "media", "metrics", "tasks"),
    ("sources", "store", "models"),
    ("ingest", "inference", "embedding", "commits", "doctor"),
    ("vectors", "query", "predictions", "expectations", "tagging", "slices", "selection"),
    (
        "edits",
        "editing",
        "cam",
        "behaviour",
        "judge",
        "runs",
        "decide",
        "report",
        "analysis",
        "curate",
        "export",
        "sync",
        "merge",
    ),
    ("training", "scale", "web", "database"),
    ("pytest_plugin", "demo", "cli", "__main__"),
)
"""Words, numbers, means, data, asking, judgement, the handle, surfaces. A module imports from the
rows above its own, and from its left in the row."""

ORDER = {module: i for i, module in enumerate(module for row in ROWS for module in row)}

PENDING: set[str] = set()

PENDING_CIRCLES: set[str] = set()

DOORS = {
    "lance": {"store"},
    "lancedb": {"store"},
    "duckdb": {"query"},
    "open_clip": {"embedding", "demo"},
    "obstore": {"sources"},
    "ray": {"scale"},
    "pytorch_grad_cam": {"cam"},
    "openTSNE": {"vectors"},
    "fastapi": {"web"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "jinja2": {"web"},
}

MOST_ANY = 225
"""How often the package may write `Any`; a type that is known is written out."""

FOLDERS = ("tests", "benchmarks")

HEAVY = set(
    "torch torchvision lance lancedb duckdb pandas open_clip scipy pyarrow numpy rich timm".split()
)

STATEMENTS = (ast.stmt, ast.ExceptHandler, ast.match_case)
"""What imports stand in; no expression holds one."""


def modules() -> Iterator[tuple[str, Path]]:
    """Yield (name of the top module, file)."""
    for file in sorted(ROOT.rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        if parts != ("__init__",):
            yield parts[0], file


@cache
def imports(file: Path) -> list[tuple[str, int]]:
    """Return (imported module, line); those inside functions count, those for types do not."""
    names: list[tuple[str, int]] = []
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        waiting += (part for part in ast.iter_child_nodes(node) if isinstance(part, STATEMENTS))
        if isinstance(node, ast.Import):
            names += ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively"
            names += ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
    return names


@cache
def graph() -> dict[str, set[str]]:
    """Return which files of the package import which, both as dotted names."""
    files = {_dotted(file): file for file in ROOT.rglob("*.py")}

    def module_of(name: str) -> str | None:
        return next((m for m in (name, name.rpartition(".")[0]) if m in files), None)

    return {
        module: {m for name, _ in imports(file) if (m := module_of(name)) and m != module}
        for module, file in files.items()
    }


def _dotted(file: Path) -> str:
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of nodes that reach one another."""
    reach: dict[str, set[str]] = {}
    for start in arrows:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            new = arrows.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        reach[start] = seen
    inside = {node for node in arrows if node in reach[node]}
    return sorted(
        {tuple(sorted(m for m in inside if m in reach[n] and n in reach[m])) for n in inside}
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
            known = f"{module} imports {other}" in PENDING
            if other != module and ORDER.get(other, 99) >= ORDER[module] and not known:
                wrong.append(f"{file.relative_to(ROOT)}:{line} {module} imports {other}")
    assert wrong == []


def test_no_files_import_one_another_in_a_circle() -> None:
    assert [c for c in circles(graph()) if c[0].split(".")[1] not in PENDING_CIRCLES] == []


def test_no_rooms_of_a_package_import_one_another_in_a_circle() -> None:
    rooms: dict[str, set[str]] = {}
    for module, others in graph().items():
        room = ".".join(module.split(".")[:3])
        same = {
            ".".join(o.split(".")[:3]) for o in others if o.split(".")[:2] == module.split(".")[:2]
        }
        rooms.setdefault(room, set()).update(same - {room})
    packages = {p for p in rooms if p.count(".") < 2}
    inner = {room: others - packages for room, others in rooms.items() if room not in packages}
    assert [c for c in circles(inner) if c[0].split(".")[1] not in PENDING_CIRCLES] == []


def test_the_query_package_has_few_rooms() -> None:
    assert (
        len([p for p in (ROOT / "query").iterdir() if p.stem not in ("__pycache__", "__init__")])
        <= 12
    )


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


def test_the_formatter_lays_out_every_line() -> None:
    files = [
        f for folder in (ROOT, *map(ROOT.parent.joinpath, FOLDERS)) for f in folder.rglob("*.py")
    ]
    assert len(files) > 300
    marked = [f.name for f in files if re.search(r"# fmt: ?(off|on|skip)\b", f.read_text())]
    assert files and marked == []


def test_few_annotations_say_any() -> None:
    names = (node for file in ROOT.rglob("*.py") for node in ast.walk(ast.parse(file.read_text())))
    assert sum(isinstance(node, ast.Name) and node.id == "Any" for node in names) <= MOST_ANY


def test_all_names_of_the_package_exist_and_are_sorted() -> None:
    assert sorted(slicedb.__all__) == slicedb.__all__
    for name in slicedb.__all__:
        assert getattr(slicedb, name) is not None


def test_an_analysis_of_stored_predictions_loads_no_torch() -> None:
    code = (
        "import slicedb.analysis, slicedb.judge, slicedb.edits, sys; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
