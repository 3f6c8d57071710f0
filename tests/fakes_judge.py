"""A small database of labelled samples and a stand-in for the query engine."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from slicedb import schema
from slicedb.errors import BindError, ParseError
from slicedb.schema import keys_of
from slicedb.slices import Slices
from slicedb.store import Store
from slicedb.tasks import TASKS

CLASSES = ("bird", "cat", "dog")


@dataclass
class FakeQuery:
    """Answers with DuckDB at once."""

    text: str
    is_rows: bool
    rows: pa.Table
    chance: str = ""

    def count(self) -> int:
        return self.rows.num_rows

    def ids(self) -> list[str]:
        found: list[str] = self.rows["id"].to_pylist()
        return found

    def keys(self) -> np.ndarray:
        return np.asarray(self.rows["key"].to_numpy(), np.int64)


class FakeAsk:
    """Knows predicates over samples, `in_slice` of live slices, and two kinds of error."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.slices = Slices(store, self)

    def __call__(self, text: str, **_: Any) -> FakeQuery:
        import duckdb

        if "count(" in text:
            return FakeQuery(text, False, pa.table({"n": [1]}))
        if "lable" in text:
            line = text[: text.index("lable")].count("\n") + 1
            column = text.index("lable") - text.rfind("\n", 0, text.index("lable"))
            raise BindError(
                "No column 'lable'.",
                "did you mean 'label'?",
                text=text,
                line=line,
                column=column,
                token="lable",
            )
        con = duckdb.connect()
        con.register("samples", self.store.table("samples", ["id", "key", "label", "split"]))
        where = self._expand(text)
        try:
            rows = con.sql(f"SELECT id, key FROM samples WHERE {where}").to_arrow_table()
        except duckdb.ParserException as error:
            raise ParseError(str(error), text=text, line=1, column=1, token=text[:1]) from None
        return FakeQuery(text, True, rows)

    def _expand(self, text: str) -> str:
        def member(found: re.Match[str]) -> str:
            inside = self.slices.definitions.text_or_keys(found[1])
            if isinstance(inside, str):
                return f"({self._expand(inside)})"
            return f"(key IN ({', '.join(map(str, inside)) or 'NULL'}))"

        return re.sub(r"in_slice\('([^']+)'\)", member, text)


def add_samples(
    store: Store, ids: Sequence[str], labels: Sequence[str | None], split: str = "test"
) -> None:
    """Add samples that are ok."""
    n = len(ids)
    store.create(schema.SAMPLES, schema.SAMPLES_SCHEMA)
    store.upsert(
        schema.SAMPLES,
        pa.table(
            {
                "id": pa.array(ids, pa.string()),
                "key": keys_of(ids),
                "label": pa.array(labels, pa.string()),
                "split": [split] * n,
                "status": [schema.OK] * n,
            }
        ),
    )


def add_predictions(
    store: Store,
    model: str,
    ids: Sequence[str],
    predictions: Sequence[str | None],
    probabilities: np.ndarray | None = None,
    classes: Sequence[str] = CLASSES,
) -> None:
    """Add a model's predictions, sure of themselves unless probabilities are given."""
    name = schema.PREDICTIONS + model
    if probabilities is None:
        code = {c: i for i, c in enumerate(classes)}
        probabilities = np.full((len(ids), len(classes)), 0.05, np.float32)
        for row, label in zip(probabilities, predictions):
            if label in code:
                row[code[label]] = 1 - 0.05 * (len(classes) - 1)
    width = len(classes)
    table = (
        TASKS["classification"]
        .schema(width)
        .with_metadata(
            {"slicedb:classes": json.dumps(list(classes)), "slicedb:fingerprint": "f" * 8}
        )
    )
    store.create(name, table)
    store.upsert(
        name,
        pa.table(
            {
                "id": pa.array(ids, pa.string()),
                "key": keys_of(ids),
                "prediction": pa.array(predictions, pa.string()),
                "confidence": probabilities.max(axis=1),
                "probabilities": pa.FixedSizeListArray.from_arrays(
                    pa.array(probabilities.astype(np.float32).ravel()), width
                ),
            }
        ),
    )


def small_store(path: Path) -> tuple[Store, Slices]:
    """Return a database of 12 samples: four birds, cats and dogs each."""
    store = Store.open(str(path / "small.slicedb"))
    ids = [f"{label}/{i}.jpg" for label in CLASSES for i in range(4)]
    add_samples(store, ids, [i.split("/")[0] for i in ids])
    return store, FakeAsk(store).slices


def write(folder: Path, **files: str) -> Path:
    """Write slice files, one a keyword."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)
    return folder
