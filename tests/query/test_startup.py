"""What the first query of a process imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.query.world import build

CODE = """
import sys
from slicedb.cli import main
try:
    main(["--db", sys.argv[1], "label = 'red' AND m1.loss < 5", "--count"])
except SystemExit:
    pass
heavy = {"pandas", "torch", "torchvision", "open_clip", "scipy", "rich", "timm", "lancedb"}
print(sorted(heavy & set(sys.modules)), "slicedb.metrics" in sys.modules)
import slicedb
frame = slicedb.open(sys.argv[1]).query("ORDER BY id LIMIT 2").to_pandas()
import pandas as pd
import pyarrow as pa
print(type(frame) is pd.DataFrame, list(frame["id"]))
frame = pd.DataFrame({"x": [1]})
print(pa.Table.from_pandas(frame).to_pydict(), pa.array(pd.Series([2])).to_pylist())
"""


def test_a_plain_query_imports_nothing_heavy_and_frames_work_afterwards(tmp_path: Path) -> None:
    build(tmp_path / "db")
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "db")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "3",
        "[] False",
        "True ['a1', 'a2']",
        "{'x': [1]} [2]",
    ]
