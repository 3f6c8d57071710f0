"""Share work between processes of this machine, or of a cluster by Ray.

The parent finds what is left to do and cuts it into shares (`store.shares`). A process opens the
database by its address and the model by its name, checks that both are what was meant, and writes
the rows of its shares itself. This room is the only door to Ray, and nothing else knows of it.

Ray Data hands out the shares, and that is all. The pictures are read through `store`, by row id,
and not by lance-ray, for two reasons. A share has to be whole batches of the model, so that the
same pictures come together on one machine and on ten and give the same bits; lance-ray hands out
blocks of its own. And where a few samples of a fragment are missing, lance-ray reads all of it. Its
`write_lance` loses rows when a write is tried again, so that every actor upserts its own rows.

A process elsewhere is told addresses, names, and what lets it into a bucket: the storage options
and the environment variables of AWS, Azure and Google, of which it takes none where it has its own.
They travel inside pickles, are in no process list, and no `repr` shows them. It refuses to work
with another version of SliceDB.
"""

from __future__ import annotations

from slicedb.scale.plan import crew_of

__all__ = ["crew_of"]
