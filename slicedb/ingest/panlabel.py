"""Read the long tail of box formats through panlabel, an optional converter (MIT, one binary).

    --as panlabel            it finds the format out
    --as panlabel:labelme    LabelMe, KITTI, BDD100K, VIA, Supervisely, Datumaro, ...

`pip install panlabel` brings it, and `panlabel list-formats` names what it reads: boxes, of the
formats that are not read here. It writes COCO to a folder of its own, which is read as such.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

from slicedb.errors import IngestError, SourceError
from slicedb.ingest.coco import read_files
from slicedb.ingest.format import Format
from slicedb.ingest.source import Options, Row, Source
from slicedb.sources import Location

NAME = "panlabel"
_SECONDS = 600


def read(location: Location, options: Options, kind: str = "auto") -> Source:
    """Convert a folder or a file to COCO, and open that.

    Raises:
        SourceError: it lies in a bucket, or the converter cannot read it.
        IngestError: panlabel is not installed.
    """
    if location.is_remote:
        raise SourceError(
            f"panlabel reads no address such as '{location}'.", "copy the folder to this machine."
        )
    program = _program()
    with tempfile.TemporaryDirectory(prefix="slicedb-") as folder:
        made = Path(folder) / "annotations.json"
        words = ["convert", "--from", kind, "--to", "coco", "--input", location.path]
        words += ["--output", str(made), "--allow-lossy", "--output-format", "json"]
        try:
            done = subprocess.run(
                [program, *words], capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SourceError(f"panlabel failed: {error}.", "run it by hand.") from error
        if done.returncode or not made.is_file():
            said = (done.stderr or done.stdout).strip().splitlines() or ["it says nothing"]
            raise SourceError(
                f"panlabel cannot read '{location}' as {kind}: {said[-1].removeprefix('Error: ')}.",
                "`panlabel list-formats` names its formats: --as panlabel:FORMAT.",
            )
        source = read_files([Location(str(made))], location, options)
    source.notes += _warnings(done.stdout)
    return source


def of_kind(form: Format, kind: str) -> Format:
    """Return the format of one of panlabel's own formats."""
    return replace(form, open=partial(read, kind=kind))


def _program() -> str:
    """Return the path of the converter.

    Raises:
        IngestError: it is not installed.
    """
    here = (Path(sysconfig.get_path("scripts")) / NAME, Path(sys.executable).parent / NAME)
    found = next((str(path) for path in here if path.is_file()), shutil.which(NAME))
    if found is None:
        raise IngestError("panlabel is not installed.", "pip install panlabel")
    return found


def _warnings(report: str) -> list[str]:
    """Return what the converter warns of, such as what COCO cannot hold."""
    try:
        said: Row = json.loads(report)
    except ValueError:
        return []
    issues = said.get("issues") or (said.get("report") or {}).get("issues") or []
    return [
        f"panlabel: {one.get('message')}"
        for one in issues
        if isinstance(one, dict) and one.get("severity") == "warning"
    ]


PANLABEL = Format(
    NAME,
    "what panlabel reads",
    lambda location: False,
    read,
    takes=frozenset({"images"}),
)
