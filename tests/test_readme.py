"""The README does what it says: every cell of its tables runs, in order, on real pictures."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

import slicedb
from slicedb.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

DOWNLOADS = ("ViT-B-32",)
"""Cells that fetch weights; the rest runs offline."""

MODEL = """
import torch
from slicedb.models import TorchClassifier

NAMES = ["cat", "dog"]


def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 2)
    )


def build():
    return TorchClassifier(net(), classes=NAMES, input_size=32)
"""


def cells(column: int) -> list[list[str]]:
    """Return the code spans of a column of the tour's tables, a list a cell."""
    rows = [row.strip("|").split(" | ") for row in README.splitlines() if row.startswith("| `")]
    found = [re.findall(r"`([^`]+)`", row[column]) for row in rows if len(row) == 2]
    return [spans for spans in found if not any(w in s for s in spans for w in DOWNLOADS)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the tour supposes it."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import torch
    from safetensors.torch import save_file

    from slicedb.demo.scenes import render

    light = []
    for i in range(24):
        label = "cat" if i % 2 else "dog"
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True, exist_ok=True)
        image, scene = render(i)
        image.save(folder / f"{i}.jpg")
        light.append(f"photos/{label}/{i}.jpg,{label}/{i}.jpg,{label},{scene['light']}\n")
    shutil.copy(tmp_path / "photos" / "cat" / "1.jpg", tmp_path / "example.jpg")
    (tmp_path / "photos.csv").write_text("path,id,label,light\n" + "".join(light))
    weather = [f"{row.split(',')[1]},rain\n" for row in light]
    (tmp_path / "weather.csv").write_text("id,weather\n" + "".join(weather))
    ids = [row.split(",")[1] for row in light]
    vectors = pa.table({"id": ids, "vector": [[1.0, float(i)] for i in range(len(ids))]})
    pq.write_table(vectors, tmp_path / "vectors.parquet")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "food.py").write_text(MODEL)
    torch.manual_seed(0)
    layer = torch.nn.Linear(12, 2)
    weights = {"2.weight": layer.weight.data, "2.bias": layer.bias.data}
    save_file(weights, tmp_path / "v3.safetensors")
    rows = [f"{row.split(',')[1]},cat,0.8\n" for row in light]
    (tmp_path / "v4.csv").write_text("id,prediction,confidence\n" + "".join(rows))
    week2 = slicedb.open(tmp_path / "week2.slicedb")
    week2.ingest(tmp_path / "photos" / "cat", prefix="week2", progress=False)
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "cats.sql").write_text(
        "/*\nslice: cats\nexpect:\n  - accuracy >= 1%\n  - accuracy no worse than baseline by 0.9\n"
        "*/\nlabel = 'cat'"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLICEDB_DB", raising=False)
    return tmp_path


@pytest.mark.slow
def test_the_shell_side_of_the_tour_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [span for spans in cells(0) for span in spans]
    assert len(lines) > 15
    for line in lines:
        try:
            main(shlex.split(line)[1:])
        except SystemExit as stop:
            assert not stop.code, f"{line}\n{capsys.readouterr().err}"


@pytest.mark.slow
def test_the_python_side_of_the_tour_runs(place: Path) -> None:
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    import slicedb

    pq.write_table(csv.read_csv("v4.csv"), "v4.parquet")
    names = ["cat", "dog"]
    scope: dict[str, object] = {"slicedb": slicedb, "names": names, "tf": None}
    exec((place / "models" / "food.py").read_text(), scope)
    scope["net"] = scope["net"]()  # type: ignore[operator]
    lines = [span for spans in cells(1) for span in spans]
    assert len(lines) > 15
    for line in lines:
        exec(compile(line, f"<README: {line}>", "exec"), scope)
    assert str(scope["report"].results[0].verdict)  # type: ignore[attr-defined]


def test_the_two_commands_are_what_ci_runs() -> None:
    blocks = re.findall(r"```bash\n(.+?)\n```", README, flags=re.S)
    assert [block.split(" ")[-1] for block in blocks] == ["demo", "loadfile"]
    assert all(block.startswith("python3 -m venv .venv && ") for block in blocks)
    assert "README.md" in (ROOT / ".ci" / "run").read_text()
