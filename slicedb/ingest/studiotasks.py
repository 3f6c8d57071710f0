"""The tasks of a Label Studio export: each a picture, and the annotation of it that counts.

[{"data": {"image": ...}, "annotations": [{"result": [...]}]}]     JSON
[{"image": ..., "label": [{"x": ..., "rectanglelabels": [...]}]}]  JSON-MIN
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlparse

from slicedb import media
from slicedb.errors import SourceError
from slicedb.ingest import jsonfile
from slicedb.ingest.columns import GUESSES
from slicedb.ingest.source import Row
from slicedb.show.numbers import count, verb
from slicedb.sources import Location

_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the name of an uploaded file."""


@dataclass
class Task:
    """One task: a picture, and what the chosen annotation says of it."""

    image: str
    data: Row
    results: list[Row] | None
    """None where it was never annotated."""


@dataclass
class Counts:
    """What is told at the end."""

    several: int = 0
    skipped: int = 0
    predicted: int = 0
    rotated: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def notes(self) -> list[str]:
        """Return a sentence on each."""
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in self.left_out.most_common())
        told = (
            (
                self.several,
                ("task has", "tasks have"),
                "several annotations: the one that is marked as ground truth was taken, else the "
                "newest.",
            ),
            (
                self.skipped,
                ("task was skipped by its", "tasks were skipped by their"),
                f"annotator: {verb(self.skipped, 'its', 'their')} objects are NULL.",
            ),
            (
                self.predicted,
                ("prediction of models was", "predictions of models were"),
                f"left out: log-predictions takes {verb(self.predicted, 'it', 'them')}.",
            ),
            (
                self.rotated,
                ("task was", "tasks were"),
                "annotated with the picture turned (image_rotation); "
                f"{verb(self.rotated, 'its', 'their')} boxes are kept as they are.",
            ),
            (
                self.left_out.total(),
                ("result was left out, which is", "results were left out, which are"),
                f"neither: {kinds}.",
            ),
        )
        return [f"{count(n, *begins)} {rest}" for n, begins, rest in told if n]


def tasks_of(file: Location, counts: Counts) -> list[Task]:
    """Return the tasks of a file.

    Raises:
        SourceError: it is broken, or a task names no picture.
    """
    return [_task(file, number, row, counts) for number, row in enumerate(_load(file))]


def _load(file: Location) -> list[object]:
    data = jsonfile.load(file)
    if not isinstance(data, list):
        raise SourceError(
            f"'{file}' is no list of tasks, so it is no export of Label Studio.",
            "export it as JSON or JSON-MIN.",
        )
    return data


def _task(file: Location, number: int, row: object, counts: Counts) -> Task:
    """Return one task of either form.

    Raises:
        SourceError: it is none, or names no picture.
    """
    if not isinstance(row, dict):
        raise SourceError(
            f"'{file}', task {number + 1:,} is no object.", "correct it; nothing was written."
        )
    data = row.get("data")
    is_whole = isinstance(data, dict)
    data = data if isinstance(data, dict) else row
    key = _picture_key(data)
    if key is None:
        raise SourceError(
            f"'{file}', task {number + 1:,} names no picture: its data has "
            f"{', '.join(map(repr, data)) or 'nothing'}.",
            "only projects about images can be ingested.",
        )
    results = _chosen(row, counts) if is_whole else _min_results(row, key)
    rest = {name: value for name, value in data.items() if name != key}
    if not is_whole:
        rest = {name: value for name, value in rest.items() if not _is_control(value)}
    image = _tidied(str(data[key]))
    return Task(image, {k: v for k, v in rest.items() if v is not None}, results)


def _picture_key(data: Row) -> str | None:
    """Return the key of a task whose value is the address of its picture."""
    texts = [name for name, value in data.items() if isinstance(value, str) and value]
    likely = [n for n in texts if n.lower() in GUESSES["path"] or n.lower() == "url"]
    shown = [n for n in texts if PurePosixPath(_tidied(data[n])).suffix.lower() in media.EXTENSIONS]
    return next((n for n in (*(n for n in likely if n in shown), *shown, *likely)), None)


def _tidied(text: str) -> str:
    r"""Return the name of a picture as Label Studio's address has it.

    >>> _tidied("/data/local-files/?d=photos/a%20b.jpg"), _tidied("/data/upload/3/9f0e1a2b-a.jpg")
    ('photos/a b.jpg', 'a.jpg')
    """
    if "/data/local-files/" in text:
        query = parse_qs(urlparse(text).query).get("d")
        return (query[0] if query else text).lstrip("/")
    if "/data/upload/" in text:
        name = unquote(text.rsplit("/", 1)[-1])
        return _UPLOADED.sub("", name)
    return text


def _chosen(row: Row, counts: Counts) -> list[Row] | None:
    """Return the results of the annotation of a task that counts; None where there is none."""
    given = row.get("annotations", row.get("completions"))
    annotations = [one for one in given or [] if isinstance(one, dict)]
    done = [one for one in annotations if not one.get("was_cancelled")]
    predictions = row.get("predictions")
    counts.predicted += len(predictions) if isinstance(predictions, list) else 0
    counts.skipped += bool(annotations) and not done
    counts.several += len(done) > 1
    if not done:
        return None
    best = max(
        enumerate(done),
        key=lambda pair: (
            bool(pair[1].get("ground_truth")),
            str(pair[1].get("updated_at") or pair[1].get("created_at") or ""),
            pair[0],
        ),
    )[1]
    results = best.get("result")
    return results if isinstance(results, list) else []


def _is_control(value: object) -> bool:
    """Return whether a value of JSON-MIN is what a control says: regions, or choices."""
    if isinstance(value, dict):
        return bool({"choices", "taxonomy"} & value.keys())
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _min_results(row: Row, picture: str) -> list[Row] | None:
    """Return what JSON-MIN says of a task, as the results of the whole form."""
    results: list[Row] = []
    for name, value in row.items():
        if isinstance(value, dict) and _is_control(value):
            kind = "choices" if "choices" in value else "taxonomy"
            results.append({"type": kind, "from_name": name, "value": value})
        elif name != picture and _is_control(value):
            results += [_min_region(name, one, len(results) + i) for i, one in enumerate(value)]
        elif name in ("choice", "choices") and isinstance(value, str):
            results.append({"type": "choices", "from_name": name, "value": {"choices": [value]}})
    if not results and "annotation_id" not in row:
        return None
    return results


def _min_region(name: str, value: Row, number: int) -> Row:
    kind = next((key for key in value if key.endswith("labels")), None)
    if kind is None or kind == "labels":
        shapes = (("points", "polygon"), ("rle", "brush"), ("radiusX", "ellipse"))
        shape = next((shape for key, shape in shapes if key in value), None)
        kind = shape or ("rectangle" if "height" in value else "keypoint")
    sides = {key: value.get(key) for key in ("original_width", "original_height")}
    return {"type": kind, "from_name": name, "id": f"{name}/{number}", "value": value, **sides}
