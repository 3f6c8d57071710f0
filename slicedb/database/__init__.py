"""The handle a user holds: `slicedb.open(path)` gives a `Database` with every verb.

Each verb is a signature, its documentation and a call into the room that does the work. What a
verb needs is imported when it is called, so that the command line reads signatures and
documentation from here without loading anything heavy.

One class would be a file of four thousand lines. Its verbs therefore stand in one file per family,
each a class derived from the one before, so that a verb may call those of the families before its
own and of no other:

| file | verbs |
| --- | --- |
| `held` | none: what stays open, such as the store, the query engine, slices, commits and models |
| `asking` | `query`, `sql`, `keys`, `show`, `export`, `commit`, `diff` |
| `upkeep` | `info`, `doctor`, `cleanup` |
| `editing` | `relabel`, `tag`, `edit`, `decide`, `undo`, `delete`, `clean` |
| `embedding` | `embed`, `log_embeddings`, `index`, `project` |
| `predicting` | `predict`, `log_predictions`, `tag_with` |
| `explaining` | `try_out`, `cam` |
| `judging` | `evaluate`, `compare`, `confusion`, `errors`, `cost`, `calibration`, `power` |
| `testing` | `test`, `behaviour`, `compose`, `corrupt` |
| `splitting` | `split`, `folds`, `leaks`, `drift`, `rollout` |
| `curating` | `duplicates`, `labels`, `quality`, `outliers`, `discover`, `sample`, `expected` |
| `feeding` | `ingest`, `sync`, `attach`, `attach_masks`, `verify` |
| `database` | `health`, `merge`, `app`; the `Database` itself, and `open` |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicedb.database.database import Database, open

if TYPE_CHECKING:
    from slicedb.selection import On

__all__ = ["Database", "On", "open"]


def __getattr__(name: str) -> object:
    if name == "On":
        from slicedb.selection import On

        return On
    raise AttributeError(f"module 'slicedb.database' has no attribute '{name}'")
