"""Fetch the JavaScript tools that check the page, and run the type checker over its modules.

Run as a script, it prints what the checker finds in `slicedb/web/static`, or why it did not run.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "slicedb" / "web" / "static"
VENDOR = STATIC / "vendor"

_OFFLINE = ("ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT", "ECONNRESET", "ENETUNREACH")
"""What npm says when it reaches no registry; anything else is a fault of the lock file."""


class NoTools(Exception):
    """Says why the tools are not at hand."""


def cache() -> Path:
    """Return the folder of this user that holds the tools, outside the checkout."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "slicedb" / "page-tools"


def node_modules() -> Path:
    """Return a folder `node_modules` as the lock file says, fetched once for each lock file.

    Raises:
        NoTools: node or npm is missing, or there is no network.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NoTools("node and npm are not installed")
    lock = (VENDOR / "package-lock.json").read_bytes()
    folder = cache() / hashlib.sha256(lock).hexdigest()[:16]
    if not folder.exists():
        _install(npm, folder)
    return folder / "node_modules"


def _install(npm: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(VENDOR / name, scratch)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True)
        if done.returncode and any(word in done.stderr for word in _OFFLINE):
            raise NoTools("npm reaches no registry")
        if done.returncode:
            raise RuntimeError(f"npm ci: {done.stderr[-2000:]}")
        try:
            Path(scratch).rename(folder)
        except OSError:  # another process was quicker
            assert folder.exists()
        Path(scratch).mkdir(exist_ok=True)


def fetched() -> Path:
    """Return `node_modules`, or skip the test with the reason."""
    try:
        return node_modules()
    except NoTools as reason:
        pytest.skip(str(reason))


def type_errors(modules: Path, static: Path = STATIC) -> str:
    """Return what `tsc --checkJs` finds in the modules of the page; empty where all is well.

    Args:
        modules: the folder `node_modules` with TypeScript and the types of CodeMirror.
        static: the folder with the modules and their `tsconfig.json`.
    """
    settings = {
        "extends": str(static / "tsconfig.json"),
        "include": [str(static / "*.js")],
        "compilerOptions": {"paths": {"*": [str(modules / "*")]}},
    }
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "tsconfig.json"
        file.write_text(json.dumps(settings))
        checker = modules / "typescript" / "bin" / "tsc"
        command = ["node", str(checker), "--project", str(file), "--pretty", "false"]
        done = subprocess.run(command, cwd=static, capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


if __name__ == "__main__":
    try:
        errors = type_errors(node_modules())
    except NoTools as missing:
        sys.exit(print(f"skipped: {missing}"))
    print(errors or "The modules of the page have no type errors.")
    sys.exit(bool(errors))
