"""Share work between processes of this machine, or of a cluster by Ray.

The parent finds what is left to do and cuts it into shares (`store.shares`). A process opens the
database by its address and the model by its name, checks that both are what was meant, and writes
the rows of its shares itself. This room is the only door to Ray, and nothing else knows of it.
"""

from __future__ import annotations

from slicedb.scale.plan import crew_of

__all__ = ["crew_of"]
