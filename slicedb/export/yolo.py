"""Write YOLO: images/, labels/ and data.yaml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from slicedb.export.folder import file_name, write_images
from slicedb.export.outlines import outlines_of, polygon_of
from slicedb.export.tables import Row, metadata
from slicedb.keys import Keys

if TYPE_CHECKING:
    from slicedb.schema import Box
    from slicedb.store import Store

_COLUMNS = ["id", "width", "height", "split", "objects", "format"]


def write_yolo(store: Store, keys: Keys, path: Path) -> int:
    """Write one text file per image, with lines of `class cx cy w h` as fractions of it.

    Where every box has one polygon for an outline, lines are polygons, and where every box has the
    same number of key points, they follow its box (`kpt_shape`). A sample whose objects are NULL,
    or whose size is unknown, gets no file. Attributes and scores have no place in the format.
    """
    outlines = outlines_of(store, keys)
    taken: set[str] = set()
    names: dict[str, int] = {}
    splits: dict[str, None] = {}
    for chunk, table in metadata(store, keys):
        rows = table.select(_COLUMNS).to_pylist()
        flat = [file_name(row["id"], row["format"]).replace("/", "_") for row in rows]
        wanted = [f"{row['split'] or 'all'}/{name}" for row, name in zip(rows, flat)]
        written = write_images(store, chunk, wanted, path / "images", taken, by_stem=True)
        for name, row in zip(written, rows, strict=True):
            splits[name.split("/")[0]] = None
            if row["objects"] is None or not row["width"] or not row["height"]:
                continue
            file = (path / "labels" / name).with_suffix(".txt")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(
                "".join(_line(box, row, names, outlines.kind) for box in row["objects"])
            )
    lines = [f"{split}: images/{split}" for split in splits]
    if outlines.kind == "pose":
        lines.append(f"kpt_shape: [{outlines.most}, 3]")
    lines += ["names:", *(f"  {i}: {json.dumps(n)}" for n, i in names.items())]
    path.mkdir(parents=True, exist_ok=True)
    (path / "data.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(keys)


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
