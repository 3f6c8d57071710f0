"""The modules of the page pass the TypeScript checker, and it would tell."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tools

pytestmark = pytest.mark.slow


def test_the_modules_have_no_type_errors() -> None:
    assert tools.type_errors(tools.fetched()) == ""


def test_a_wrong_type_is_told(tmp_path: Path) -> None:
    modules = tools.fetched()
    shutil.copy(tools.STATIC / "tsconfig.json", tmp_path)
    (tmp_path / "wrong.js").write_text("/** @type {number} */\nexport const n = 'three';\n")
    assert "wrong.js(2,14): error TS2322" in tools.type_errors(modules, tmp_path)
