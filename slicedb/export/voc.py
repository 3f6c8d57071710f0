"""Write Pascal VOC: Annotations/*.xml, JPEGImages/ and ImageSets/Main/."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from slicedb.export.about import Sidecar, about, as_text, said
from slicedb.export.boxes import contents_of
from slicedb.export.folder import file_name, write_images
from slicedb.export.tables import Row, metadata
from slicedb.ingest.format import Written
from slicedb.keys import Keys
from slicedb.schema import SAMPLES

if TYPE_CHECKING:
    from slicedb.store import Store

_COLUMNS = ["id", "width", "height", "split", "objects", "format"]


def write_voc(store: Store, keys: Keys, path: Path) -> Written:
    """Write one XML file per image; `slicedb ingest` reads them back.

    A sample whose objects are NULL gets none. Attributes become elements of the object; what is
    said of a picture besides its split stands in metadata.jsonl.
    """
    taken: set[str] = set()
    sets: dict[str, list[str]] = defaultdict(list)
    columns = said(store.schema(SAMPLES), "split")
    (path / "Annotations").mkdir(parents=True)
    with Sidecar(path) as sidecar:
        for chunk, table in metadata(store, keys):
            rows = table.select(_COLUMNS).to_pylist()
            flat = [file_name(row["id"], row["format"]).replace("/", "_") for row in rows]
            names = write_images(store, chunk, flat, path / "JPEGImages", taken, by_stem=True)
            sidecar.add([f"JPEGImages/{name}" for name in names], about(table, columns))
            for name, row in zip(names, rows, strict=True):
                stem = Path(name).stem
                if row["split"]:
                    sets[row["split"]].append(stem)
                if row["objects"] is not None:
                    tree = ElementTree.ElementTree(_annotation(name, row))
                    ElementTree.indent(tree, "\t")
                    tree.write(path / "Annotations" / f"{stem}.xml", encoding="utf-8")
    for split, stems in sets.items():
        file = path / "ImageSets" / "Main" / f"{split.replace('/', '_')}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{stem}\n" for stem in stems), encoding="utf-8")
    contents = contents_of(store, keys)
    notes = contents.lost_outlines("voc", "has no room for them")
    notes += contents.lost_rest("voc", filter(_is_element, contents.attributes))
    notes += as_text(store.schema(SAMPLES), columns)
    return Written(len(keys), tuple(notes))


def _is_element(name: str) -> bool:
    return name.isidentifier() and name not in ("name", "bndbox")


def _annotation(name: str, row: Row) -> ElementTree.Element:
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = name
    size = ElementTree.SubElement(root, "size")
    for side in ("width", "height"):
        ElementTree.SubElement(size, side).text = str(row[side] or 0)
    for box in row["objects"]:
        item = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(item, "name").text = str(box["label"])
        for key, value in (json.loads(box["attributes"] or "{}")).items():
            if _is_element(key) and not isinstance(value, list | dict):
                text = int(value) if isinstance(value, bool) else value
                ElementTree.SubElement(item, key).text = str(text)
        x, y, w, h = box["bbox"]
        corners = ElementTree.SubElement(item, "bndbox")
        for corner, number in zip(("xmin", "ymin", "xmax", "ymax"), (x, y, x + w, y + h)):
            ElementTree.SubElement(corners, corner).text = f"{number:.12g}"
    return root
