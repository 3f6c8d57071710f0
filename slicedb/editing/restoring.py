"""Bring a deleted sample back from the versions of the tables that still have it."""

from __future__ import annotations

from slicedb import edits as samples
from slicedb.editing.entry import Edit
from slicedb.errors import CheckError, DatabaseError
from slicedb.schema import SAMPLES, keys_of
from slicedb.store import Store


def restore(store: Store, edit: Edit) -> None:
    """Bring back a sample that an edit has deleted, with all that was computed from it.

    Asked again after an interruption it goes on: the sample itself comes last.

    Raises:
        CheckError: the versions that have it were cleaned up, or never had it.
    """
    key = keys_of([edit.sample])
    if store.present(SAMPLES, key, ids=[edit.sample]).all():
        return
    for name, version in sorted((edit.tables or {}).items(), key=lambda item: item[0] == SAMPLES):
        if not store.has(name):  # the model or the embedding was dropped since
            continue
        try:
            rows, has_row = store.find(name, key, ids=[edit.sample], version=version)
        except DatabaseError as error:
            raise CheckError(
                f"'{edit.sample}' cannot be brought back: version {version} of {name} was cleaned "
                "up.",
                "`slicedb history` lists the commits that may have it: `slicedb reset COMMIT`.",
            ) from error
        if has_row.all():
            there = set(store.schema(name).names)
            store.insert(name, rows.select([c for c in rows.column_names if c in there]))
    if not store.present(SAMPLES, key, ids=[edit.sample]).all():
        raise CheckError(
            f"'{edit.sample}' cannot be brought back: it was not there when it was deleted.",
            "ingest its picture again.",
        )
    samples.labels_changed(store, [edit.sample])
    store.sync()
