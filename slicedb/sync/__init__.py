"""Follow a source: what a sync brought, what it changed, what runs after it, and when the next is.

The reading itself is `ingest.sync`.
"""

from __future__ import annotations

from slicedb.sync.loop import Loop, interval
from slicedb.sync.report import SyncReport, Turn, turned, verdicts_of
from slicedb.sync.steps import Step, grouped, steps_of

__all__ = [
    "Loop",
    "Step",
    "SyncReport",
    "Turn",
    "grouped",
    "interval",
    "steps_of",
    "turned",
    "verdicts_of",
]
