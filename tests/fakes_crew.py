"""A model and a callable in a file, which every process can load, and that can be told to die."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from fakes_models import coloured_store
from numpy.typing import NDArray

import slicedb
from slicedb.database import Database

N = 300
"""Pictures: enough for several shares."""

CODE = '''
"""Exact answers: the mean of each channel, scaled. CREW_TROUBLE says where it goes wrong."""
import os
import signal
import time
from pathlib import Path

import numpy as np
from slicedb.models import Model
from slicedb.store import door


def trouble():
    """Do what a file asks for, in any process but that of the test."""
    parent, folder = os.environ.get("CREW_PARENT"), os.environ.get("CREW_TROUBLE")
    if not folder or parent == str(os.getpid()):
        return
    for word in ("kill", "kill2", "after", "raise", "sleep"):
        path = Path(folder) / word
        if word == "sleep" and path.exists():
            time.sleep(float(path.read_text()))
        elif path.exists():
            try:
                path.rename(path.with_name(f"{{word}}-done"))  # one process alone can
            except OSError:
                continue
            if word == "raise":
                raise RuntimeError("it was told to fail")
            if word == "after":
                door._watch = die_behind_a_write
            else:
                os.kill(os.getpid(), signal.SIGKILL)


def die_behind_a_write(when, change, table):
    """Let nobody know that rows were written."""
    if (when, change) == ("after", "upsert"):
        os.kill(os.getpid(), signal.SIGKILL)


class MeanColour(Model):
    classes = ("red", "green", "blue")
    input_size = 8
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    scale = {scale}

    def predict_batch(self, images):
        if len(images) > 2:
            trouble()
        return self.scale * images.mean((2, 3))


def build():
    return MeanColour()


def brightness(images):
    return [round(float(np.asarray(image).mean()), 3) for image in images]
'''


def crew_database(folder: Path, *, scale: float = 10.0) -> Database:
    """Return a database of pictures with a registered model `m`; trouble/ beside it is empty."""
    store = coloured_store(folder, N)
    (folder / "trouble").mkdir(exist_ok=True)
    write_model(folder, scale)
    db = slicedb.open(store.path)
    db.models.add("m", f"{folder / 'model.py'}:build")
    return db


def write_model(folder: Path, scale: float) -> None:
    """Write the file of the model."""
    (folder / "model.py").write_text(CODE.format(scale=scale))


def rows_of(db: Database, table: str) -> pa.Table:
    """Return a table's rows by id, without what tells when they were made."""
    rows = db.store.table(table)
    return rows.select([n for n in rows.column_names if n != "ingested_at"]).sort_by("id")


def assert_alike(rows: pa.Table, others: pa.Table) -> None:
    """Check that two tables agree by row and value, vectors and scores to rounding.

    Torch adds up in another order with another number of threads, and a share of the work has
    fewer of them than one process alone: which bits that changes is the processor's.
    """
    assert rows.schema == others.schema
    for name in rows.column_names:
        one, two = rows[name].combine_chunks(), others[name].combine_chunks()
        if pa.types.is_fixed_size_list(one.type) or pa.types.is_floating(one.type):
            assert one.is_valid().equals(two.is_valid()), name
            one, two = (numbers(column) for column in (one, two))
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6, err_msg=name)
        else:
            assert one.equals(two), name


def numbers(column: pa.Array) -> NDArray[np.floating[Any]]:
    flat = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
    return flat.to_numpy(zero_copy_only=False)
