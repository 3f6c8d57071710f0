"""What is built for users holds every file of the page."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import tools

ROOT = tools.STATIC.parents[2]


@pytest.mark.slow
def test_wheel_and_sdist_hold_every_file_of_the_page(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="hatchling, which builds the package, is not installed")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    room = ROOT / "slicedb" / "web"
    served = [f for f in room.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    names = {file.relative_to(ROOT).as_posix() for file in served}
    assert "slicedb/web/static/vendor/LICENSES.txt" in names
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        assert names - set(wheel.namelist()) == set()
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as sdist:
        assert names - {name.partition("/")[2] for name in sdist.getnames()} == set()
