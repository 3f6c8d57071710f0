"""A package of its own, installed by pip, that brings a format, a function and a metric."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import slicedb
from slicedb.ingest import FORMATS
from slicedb.metrics import METRICS
from slicedb.plugins import Registry
from slicedb.query.functions.registry import FUNCTIONS

REGISTRIES: tuple[Registry[object], ...] = (FORMATS, METRICS, FUNCTIONS)  # type: ignore[assignment]

NAME = "slicedb_shots"

CODE = '''
"""What a camera club adds to SliceDB: a list of shots, one `file camera` per line."""

import pyarrow as pa

from slicedb.ingest import Format, Source
from slicedb.metrics import Metric, PerSample, mean, mean_state
from slicedb.query import Call, Function, Parameter


def _open_shots(location, options):
    rows = [line.split() for line in location.read_text().splitlines()]
    batch = {
        "id": [options.id_of(file) for file, _ in rows],
        "uri": [location.parent.join(file).path for file, _ in rows],
        "label": [options.label] * len(rows),
        "camera": [camera for _, camera in rows],
    }
    fields = [pa.field(name, pa.string()) for name in ("label", "camera")]
    batches = [pa.RecordBatch.from_pydict(batch)]
    return Source(location.path, fields, batches, len(rows))


SHOTS = Format(
    "shots", "a list of shots", lambda location: location.suffix == ".shots", _open_shots
)


def _is_square(call: Call) -> str:
    return f"abs({call.column('width')} - {call.column('height')}) <= {call.number('slack')}"


IS_SQUARE = Function(
    "is_square",
    "is_square([slack])",
    "BOOLEAN",
    "Whether the picture is as wide as it is high, but for `slack` pixels (default 0).",
    "is_square(10)",
    _is_square,
    (Parameter("slack", default=0.0),),
)

_doubt = PerSample("doubt", lambda outcomes: 1 - outcomes.confidence)

DOUBT = Metric(
    "doubt",
    mean_state(_doubt, needs=("confidence",)),
    mean,
    "mean",
    "no sample is judged",
    rises=False,
    sample=_doubt,
)
'''

ENTRIES = {
    "slicedb.formats": f"shots = {NAME}:SHOTS",
    "slicedb.metrics": f"doubt = {NAME}:DOUBT",
    "slicedb.functions": f"is_square = {NAME}:IS_SQUARE",
}


def wheel(folder: Path) -> Path:
    """Write the package as the wheel that a build backend would make of it."""
    info = f"{NAME}-1.0.dist-info"
    points = "\n".join(f"[{group}]\n{entry}\n" for group, entry in ENTRIES.items())
    files = {
        f"{NAME}.py": CODE,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": points,
    }
    record = ""
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
        record += f"{name},sha256={digest.rstrip('=')},{len(text.encode())}\n"
    path = folder / f"{NAME}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that the package is installed in."""
    folder = tmp_path_factory.mktemp("package")
    pip = "-m pip install -q --no-deps --no-index --disable-pip-version-check --target"
    subprocess.run(
        [sys.executable, *pip.split(), str(folder / "site"), str(wheel(folder))], check=True
    )
    return folder / "site"


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process find the package, and forget it afterwards."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    for registry in REGISTRIES:
        registry.forget()
    yield
    for registry in REGISTRIES:
        registry.forget()
    sys.modules.pop(NAME, None)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with a list of three shots, and what a model predicts for them."""
    for name, size in {"a": (8, 8), "b": (8, 9), "c": (30, 8)}.items():
        Image.new("RGB", size, "red").save(tmp_path / f"{name}.png")
    (tmp_path / "list.shots").write_text("a.png leica\nb.png nikon\nc.png nikon\n")
    (tmp_path / "m.csv").write_text(
        "id,prediction,confidence\na.png,red,0.9\nb.png,red,0.7\nc.png,red,0.2\n"
    )
    return tmp_path


def test_format_function_and_metric_go_through_the_verbs(installed: None, place: Path) -> None:
    db = slicedb.open(place / "data.slicedb")
    assert db.ingest(place / "list.shots", label="red").added == 3
    assert db.query("camera = 'nikon'").ids() == ["b.png", "c.png"]
    db.log_predictions("m", place / "m.csv")
    assert db.query("is_square()").ids() == ["a.png"]
    assert db.query("is_square(1)").ids() == ["a.png", "b.png"]
    db.slices.add("square", "is_square(1)", expect=["doubt <= 0.5"])
    table = db.evaluate("m", slices=["square"], metrics=["doubt", "accuracy"]).to_arrow()
    values = dict(zip(table["metric"].to_pylist(), table["value"].to_pylist()))
    assert values == {"doubt": pytest.approx(0.2), "accuracy": 1.0}
    report = db.test(["square"], model="m")
    assert [str(r.check) for r in report.results] == ["doubt <= 0.5"]
    assert report.results[0].value == pytest.approx(0.2)


RUN = """
import contextlib, io, json, sys
from slicedb.cli import main
answers = []
for words in json.loads(sys.argv[1]):
    said, status = io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main(words)
        except SystemExit as end:
            status = end.code or 0
    answers.append([status, said.getvalue()])
print(json.dumps(answers))
"""


@pytest.mark.slow
def test_the_command_line_knows_it(site: Path, place: Path) -> None:
    expected = [
        (["ingest", str(place / "list.shots"), "--as", "shots", "--label", "red"], 0, "3 added"),
        (["log-predictions", "m", str(place / "m.csv")], 0, ""),
        (["functions"], 0, "is_square([slack])"),
        (["metrics"], 0, "doubt"),
        (["ingest", "--help"], 0, "Installed packages add: shots."),
        (["evaluate", "--help"], 0, "Installed packages add: doubt."),
        (["is_square(1)", "-f", "csv", "--columns", "id"], 0, "id a.png b.png"),
        (["slice", "add", "square", "is_square(1)", "--expect", "doubt <= 0.9"], 0, ""),
        (["evaluate", "m", "--on", "square", "--metric", "doubt"], 0, "0.200"),
        (["test", "--model", "m"], 0, "doubt <= 0.9"),
        (["ingest", ".", "--as", "shot"], 1, "did you mean 'shots'?"),
        (["evaluate", "m", "--metric", "doubts"], 1, "did you mean 'doubt'?"),
    ]
    paths = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": paths, "SLICEDB_DB": str(place / "data.slicedb")}
    command = [sys.executable, "-c", RUN, json.dumps([words for words, _, _ in expected])]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    for (words, status, piece), answer in zip(expected, json.loads(done.stdout), strict=True):
        assert answer[0] == status, answer
        assert piece in " ".join(answer[1].split()), (words, answer)
