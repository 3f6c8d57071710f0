"""The bundled editor: its bytes, where they come from, and the licences beside them."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import tools

BUNDLE = tools.VENDOR / "codemirror.js"


def test_the_bundle_is_the_one_that_was_built() -> None:
    stated = (tools.VENDOR / "codemirror.js.sha256").read_text().split()
    assert stated == [hashlib.sha256(BUNDLE.read_bytes()).hexdigest(), "codemirror.js"]


def test_the_bundle_is_small_enough_to_load_when_needed() -> None:
    assert len(gzip.compress(BUNDLE.read_bytes(), 9)) < 130_000


def test_nothing_else_is_vendored() -> None:
    assert [file.name for file in tools.VENDOR.glob("*.js")] == ["codemirror.js", "entry.js"] or [
        file.name for file in tools.VENDOR.glob("*.js")
    ] == ["entry.js", "codemirror.js"]


def test_every_bundled_package_has_its_licence() -> None:
    packages = json.loads((tools.VENDOR / "package-lock.json").read_text())["packages"]
    bundled = {
        f"{path.removeprefix('node_modules/')} {package['version']}"
        for path, package in packages.items()
        if path and not package.get("dev")
    }
    licences = {
        packages[path]["license"] for path in packages if path and not packages[path].get("dev")
    }
    assert licences == {"MIT"}
    assert bundled <= set((tools.VENDOR / "LICENSES.txt").read_text().splitlines())


@pytest.mark.slow
def test_the_lock_file_gives_the_same_bytes(tmp_path: Path) -> None:
    modules = tools.fetched()
    for name in ("entry.js", "package.json"):
        shutil.copy(tools.VENDOR / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(modules)
    subprocess.run(["npm", "run", "build"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "codemirror.js").read_bytes() == BUNDLE.read_bytes()
