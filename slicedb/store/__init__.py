"""The one door to Lance: tables, versions, retries, compaction, pins.

A database is a directory (or an object-store URI) with one Lance table a `<name>.lance` folder,
which is also what LanceDB lists and opens. Every write goes through here, so that every table has
stable row ids, a declared primary key on `id`, and the same answer to a commit conflict.
"""

from slicedb.store.committing import Batches
from slicedb.store.past import Past
from slicedb.store.software import software
from slicedb.store.tables import Store
from slicedb.store.textindex import TextIndex

__all__ = ["Batches", "Past", "Store", "TextIndex", "software"]
