"""Write YOLO: images/, labels/ and data.yaml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from slicedb.export.about import Sidecar, about, as_text, said
from slicedb.export.boxes import Contents, contents_of, polygon_of
from slicedb.export.folder import file_name, write_images
from slicedb.export.tables import Row, metadata
from slicedb.ingest.format import Written
from slicedb.keys import Keys
from slicedb.schema import SAMPLES
from slicedb.show import numbers

if TYPE_CHECKING:
    from slicedb.schema import Box
    from slicedb.store import Store

_COLUMNS = ["id", "width", "height", "split", "objects", "format"]


def write_yolo(store: Store, keys: Keys, path: Path) -> Written:
    """Write one text file per image, with lines of `class cx cy w h` as fractions of it.

    Where every box has one polygon for an outline, lines are polygons (of four corners: oriented
    boxes), and where every box has the same number of key points, they follow its box
    (`kpt_shape`). A sample whose objects are NULL, or whose size is unknown, gets no file. What is
    said of a picture besides its split stands in metadata.jsonl.
    """
    contents = contents_of(store, keys)
    taken: set[str] = set()
    names: dict[str, int] = {}
    splits: dict[str, None] = {}
    columns = said(store.schema(SAMPLES), "split")
    with Sidecar(path) as sidecar:
        for chunk, table in metadata(store, keys):
            rows = table.select(_COLUMNS).to_pylist()
            flat = [file_name(row["id"], row["format"]).replace("/", "_") for row in rows]
            wanted = [f"{row['split'] or 'all'}/{name}" for row, name in zip(rows, flat)]
            written = write_images(store, chunk, wanted, path / "images", taken, by_stem=True)
            sidecar.add([f"images/{name}" for name in written], about(table, columns))
            for name, row in zip(written, rows, strict=True):
                splits[name.split("/")[0]] = None
                if row["objects"] is None or not row["width"] or not row["height"]:
                    continue
                file = (path / "labels" / name).with_suffix(".txt")
                file.parent.mkdir(parents=True, exist_ok=True)
                lines = [_line(box, row, names, contents.kind) for box in row["objects"]]
                file.write_text("".join(lines), encoding="utf-8")
    lines = [f"{split}: images/{split}" for split in splits]
    if contents.kind == "pose":
        lines.append(f"kpt_shape: [{contents.most}, 3]")
        if len(contents.point_names) == contents.most:
            lines.append(f"kpt_names: {{0: {json.dumps(contents.point_names)}}}")
    lines += ["names:", *(f"  {i}: {json.dumps(n)}" for n, i in names.items())]
    path.mkdir(parents=True, exist_ok=True)
    (path / "data.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Written(len(keys), (*_lost(contents), *as_text(store.schema(SAMPLES), columns)))


def _lost(contents: Contents) -> list[str]:
    why = "has room for them only where every box has one of one kind"
    notes = contents.lost_outlines("yolo", why, kind=contents.kind) + contents.lost_rest("yolo")
    if contents.unseen:
        notes.append(
            f"Boxes of {numbers.count(contents.unseen, 'sample')} left out: the size of the "
            "picture is unknown, and YOLO has fractions of it. To see them: width IS NULL"
        )
    if contents.unannotated and contents.n:
        text = numbers.count(contents.unannotated, "sample was", "samples were")
        notes.append(
            f"{text} never annotated: YOLO has no way to say so, and it comes back without boxes."
        )
    return notes


def _line(box: Box, row: Row, names: dict[str, int], kind: str = "detect") -> str:
    x, y, w, h = box["bbox"]
    size = row["width"], row["height"]
    wide, high = size
    code = names.setdefault(str(box["label"]), len(names))
    shares = [(x + w / 2) / wide, (y + h / 2) / high, w / wide, h / high]
    polygon = polygon_of(box) if kind == "segment" else None
    if polygon is not None:
        shares = [value / size[i % 2] for i, value in enumerate(polygon)]
    points = box.get("keypoints") if kind == "pose" else None
    for i, value in enumerate(points or []):
        shares.append(value if i % 3 == 2 else value / size[i % 3])
    return f"{code} " + " ".join(f"{share:.8f}" for share in shares) + "\n"
