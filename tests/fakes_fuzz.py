"""Files that are nearly right, and the verbs that read them."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from fakes_judge import CLASSES
from fakes_models import png

from slicedb.database import Database
from slicedb.errors import SliceDBError
from slicedb.expectations.grammar import parse_check
from slicedb.judge.settings import settings
from slicedb.slices.files import read_file

IDS = ["cat/0.jpg", "cat/1.jpg", "dog/0.jpg"]
TOKENS = [
    *(b"=1+1", b"1e400", b"-1e999", b"nan", b"NaN", b"null", b"None", b"true", b"-0", b"0x1F"),
    *(b"{}", b"[]", b'""', b"\0", b"\xff\xfe", b"[" * 400, b"]" * 9, b"{" * 400, b"9" * 400),
    *(
        b"../../x",
        b"'; DROP TABLE x; --",
        b"\x1b[31m",
        "\u202e".encode(),
        b"\\u0000",
        b"x" * 20_000,
    ),
    *(b"!!timestamp x", b"!!python/object:os.system a", b"&a [*a]", b'"', b"\n", b",", b":"),
    *(b"<", b"&", b"!!set {a}", b"!!binary x", b"- ", b"? [a]: b", b"/*", b"*/"),
]


def _parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def _arrow(table: pa.Table) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as file:
        file.write_table(table)
    return out.getvalue()


_PREDICTED = pa.table(
    {"id": IDS, "probabilities": [[0.2, 0.3, 0.5]] * 3, "weather": ["sun", "rain", None]}
)
_VECTORS = pa.table({"id": IDS, "vector": [[1.0, 2.0], [0.5, 1.0], [3.0, 1.0]]})
_COCO = {
    "images": [{"id": i, "file_name": name, "width": 9, "height": 9} for i, name in enumerate(IDS)],
    "annotations": [
        {"id": 1, "image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}
    ],
    "categories": [{"id": 1, "name": "cat"}],
}
_BOXES = [{"image_id": "cat/0.jpg", "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]
_VOC = (
    "<annotation><filename>0.jpg</filename><size><width>9</width><height>9</height></size><object>"
    "<name>cat</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"
    "</object></annotation>"
)

Read = Callable[[Database, Path], object]


def _log(db: Database, file: Path) -> object:
    return db.log_predictions("fuzz", file, classes=CLASSES, replace=True)


def _attach(db: Database, file: Path) -> object:
    return db.attach(file, partial=True, columns=["weather"])


def _ingest(db: Database, file: Path) -> object:
    return db.ingest(file, prefix="fuzz", replace=True, progress=False)


def _voc(db: Database, file: Path) -> object:
    root = file.with_suffix("")
    (root / "Annotations").mkdir(parents=True)
    (root / "JPEGImages").mkdir()
    (root / "Annotations" / "0.xml").write_bytes(file.read_bytes())
    (root / "JPEGImages" / "0.jpg").write_bytes(png((9, 9, 9)))
    return db.ingest(root, prefix="voc", replace=True, progress=False)


def _suite(db: Database, file: Path) -> object:
    folder = file.with_suffix("")
    folder.mkdir()
    (folder / "suite.toml").write_bytes(file.read_bytes())
    return settings(folder)


def _check(db: Database, file: Path) -> object:
    return parse_check(file.read_bytes().decode(errors="replace"))


def _name(db: Database, file: Path) -> object:
    name = file.read_bytes().decode(errors="replace")
    db.slices.add(name, "label = 'cat'", replace=True)
    return db.log_predictions(name, _PREDICTED, classes=CLASSES, replace=True)


SEEDS: dict[str, tuple[str, bytes, Read]] = {
    "predictions.csv": (
        ".csv",
        b"id,prediction,confidence\ncat/0.jpg,cat,0.5\ndog/0.jpg,dog,1\n",
        _log,
    ),
    "probabilities.csv": (".csv", b'id,probabilities\ncat/0.jpg,"[0.2, 0.3, 0.5]"\n', _log),
    "boxes.csv": (".csv", b"id,label,score,x,y,w,h\ncat/0.jpg,cat,0.5,1,2,3,4\n", _log),
    "predictions.parquet": (".parquet", _parquet(_PREDICTED), _log),
    "boxes.json": (".json", json.dumps(_BOXES).encode(), _log),
    "columns.csv": (".csv", b"id,weather\ncat/0.jpg,sun\ndog/0.jpg,rain\n", _attach),
    "columns.parquet": (".parquet", _parquet(_PREDICTED), _attach),
    "columns.arrow": (".arrow", _arrow(_PREDICTED), _attach),
    "vectors.parquet": (
        ".parquet",
        _parquet(_VECTORS),
        lambda db, file: db.log_embeddings("fuzz", file, replace=True),
    ),
    "pictures.csv": (".csv", b"id,file,label\na,0.png,cat\nb,1.png,dog\n", _ingest),
    "coco.json": (".json", json.dumps(_COCO).encode(), _ingest),
    "yolo.yaml": (".yaml", b"path: .\ntrain: images\nnames: {0: cat, 1: dog}\n", _ingest),
    "voc.xml": (".xml", _VOC.encode(), _voc),
    "slice.sql": (
        ".sql",
        b"/*\nslice: s\nexpect: accuracy >= 0.9\nholdout: 0.2\ndecide: point\n*/\nlabel = 'cat'\n",
        lambda db, file: read_file(file),
    ),
    "suite.toml": (".toml", b"model = 'm'\nconfidence = 0.9\nminimum = 10\n", _suite),
    "expectation": (".txt", b"recall of 'cat' no worse than baseline by 0.02", _check),
    "name": (".txt", b"night_1", _name),
}
"""Suffix, bytes that are right, and the verb that reads them."""


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with one to three changes: flipped, cut, doubled, or with a hostile token."""
    held = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(held) + 1)
        to = min(len(held), at + chance.randrange(1, 24))
        kind = chance.randrange(5)
        if kind == 0 and held:
            held[at % len(held)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del held[at:to]
        elif kind == 2:
            held[at:at] = held[at:to] * chance.randrange(1, 30)
        elif kind == 3:
            held[at:to] = chance.choice(TOKENS)
        else:
            held[at:at] = chance.choice(TOKENS)
    return bytes(held)


def faults(db: Database, folder: Path, kind: str, n: int, seed: int) -> Iterator[str]:
    """Let a verb read n mutated files, and yield what it raised that is not ours."""
    suffix, data, read = SEEDS[kind]
    chance = random.Random(f"{kind} {seed}")
    folder.mkdir(parents=True, exist_ok=True)
    for at in range(n):
        content = mutated(data, chance)
        file = folder / f"{at}{suffix}"
        file.write_bytes(content)
        try:
            read(db, file)
        except SliceDBError as error:
            if "please report it" in str(error):
                yield f"{kind} {seed}/{at}: {error}"
        except Exception as error:
            yield f"{kind} {seed}/{at}: {type(error).__name__}: {error}"
        file.unlink()
