"""Write tasks for Label Studio: tasks.json, config.xml and images/ (https://labelstud.io/guide).

The pictures are named as local files (`/data/local-files/?d=images/1.jpg`), for a server whose
LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT is the folder. `data.sample_id` is the sample's id, so that
an export of Label Studio that is ingested changes the same samples.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from slicedb.export.about import about, as_text, said
from slicedb.export.boxes import contents_of
from slicedb.export.folder import file_name, write_images
from slicedb.export.studioresults import Controls, results_of
from slicedb.export.tables import Row, metadata
from slicedb.ingest.format import Written
from slicedb.keys import Keys
from slicedb.schema import SAMPLES
from slicedb.show import numbers

if TYPE_CHECKING:
    from slicedb.store import Store

_COLUMNS = ["id", "width", "height", "split", "label", "labels", "objects", "format", "uri"]
_FILES = "/data/local-files/?d="


def write_label_studio(store: Store, keys: Keys, path: Path) -> Written:
    """Write one task per sample, with its label, its boxes, and its metadata in `data`.

    A path that ends in .json is the tasks alone, whose pictures are named by where they lie. A
    sample whose objects are NULL, and without a label, has no annotation.
    """
    alone = path.suffix.lower() == ".json"
    schema = store.schema(SAMPLES)
    columns = said(schema, "label", "labels")
    taken: set[str] = set()
    controls = Controls()
    tasks: list[Row] = []
    for chunk, table in metadata(store, keys):
        rows = table.select(_COLUMNS).to_pylist()
        names = [row["uri"] or row["id"] for row in rows]
        if not alone:
            wanted = [file_name(row["id"], row["format"]) for row in rows]
            written = write_images(store, chunk, wanted, path / "images", taken)
            names = [f"{_FILES}{quote(f'images/{name}')}" for name in written]
        for name, row, more in zip(names, rows, about(table, columns), strict=True):
            data = {"image": name, "sample_id": row["id"], **more}
            data |= {"split": row["split"]} if row["split"] else {}
            data |= {"annotated": False} if row["objects"] is None and _labels(row) else {}
            tasks.append(_task(data, row, controls))
    file = path if alone else path / "tasks.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(tasks, ensure_ascii=False), encoding="utf-8")
    if not alone:
        (path / "config.xml").write_text(_config(controls), encoding="utf-8")
    notes = as_text(schema, columns)
    if unseen := contents_of(store, keys).unseen:
        notes.append(
            f"Boxes of {numbers.count(unseen, 'sample')} left out: the size of the picture is "
            "unknown, and Label Studio has percent of it. To see them: width IS NULL"
        )
    return Written(len(keys), tuple(notes))


def _labels(row: Row) -> list[str]:
    """Return the labels of a picture."""
    return row["labels"] or ([row["label"]] if row["label"] is not None else [])


def _task(data: Row, row: Row, controls: Controls) -> Row:
    is_sized = bool(row["width"] and row["height"])
    boxes = row["objects"] if is_sized else None
    labels = _labels(row)
    if boxes is None and not labels:
        return {"data": data, "annotations": []}
    results = results_of(boxes or [], (row["width"], row["height"]), controls)
    if labels:
        controls.choices.update(dict.fromkeys(labels))
        controls.several |= bool(row["labels"])
        results.append(
            {
                "id": "class",
                "type": "choices",
                "from_name": "class",
                "to_name": "image",
                "value": {"choices": labels},
            }
        )
    return {"data": data, "annotations": [{"result": results}]}


def _config(controls: Controls) -> str:
    """Return the labelling interface that shows the tasks."""
    lines = ["<View>", '  <Image name="image" value="$image"/>']
    for tag, name in (
        ("RectangleLabels", "box"),
        ("PolygonLabels", "polygon"),
        ("BrushLabels", "mask"),
        ("KeyPointLabels", "point"),
    ):
        values = controls.labels.get(name)
        if values:
            lines.append(f'  <{tag} name="{name}" toName="image">')
            lines += [f"    <Label value={quoteattr(value)}/>" for value in values]
            lines.append(f"  </{tag}>")
    if controls.choices:
        how = "multiple" if controls.several else "single"
        lines.append(f'  <Choices name="class" toName="image" choice="{how}">')
        lines += [f"    <Choice value={quoteattr(value)}/>" for value in controls.choices]
        lines.append("  </Choices>")
    return "\n".join([*lines, "</View>", ""])
