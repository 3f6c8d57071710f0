"""The verbs that look after a database: info, doctor, cleanup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicedb.database.asking import Asking
from slicedb.errors import suggesting

if TYPE_CHECKING:
    from slicedb.doctor import Finding
    from slicedb.show.info import Info


@suggesting
class Upkeep(Asking):
    """Look after the database."""

    def info(self) -> Info:
        """Return what is in the database: samples by status, columns, models, slices, tables.

        `metadata` has the columns that the user brought, with their Arrow types; `written` says
        which of them a model wrote; `stale` counts the predictions, by table, of pictures that have
        changed since.
        """
        from slicedb import schema
        from slicedb.predictions.superseded import superseded
        from slicedb.show.info import Info
        from slicedb.tagging import tags_of, written

        counts = self.sql("SELECT status, count(*) AS n FROM samples GROUP BY ALL ORDER BY status")
        names, columns = self.store.names(), self.store.schema(schema.SAMPLES)
        own = [f for f in columns if f.name not in schema.SAMPLES_SCHEMA.names]

        def behind(prefix: str) -> list[str]:
            return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]

        facts = {
            "path": self.path,
            "format": int(self.store.metadata(schema.SAMPLES)["slicedb:format"]),
            "samples": self.store.count(schema.SAMPLES),
            "status": dict(zip(counts["status"].to_pylist(), counts["n"].to_pylist())),
            "columns": columns.names,
            "metadata": {f.name: str(f.type) for f in own},
            "written": [written(self.store, tag) for tag in tags_of(self.store)],
            "embeddings": behind(schema.EMBEDDINGS),
            "maps": behind(schema.MAPS),
            "predictions": behind(schema.PREDICTIONS),
            "stale": superseded(self.store),
            "slices": [s.name for s in self.slices.list()],
            "tables": self.store.describe(),
        }
        return Info(facts)

    def doctor(self, *, mend: bool = False, deep: bool = False) -> list[Finding]:
        """Look for fragmented, orphaned, doubled, lost and left-over data, and for poor indexes.

        Args:
            mend: repair what can be repaired without loss.
            deep: also read every file and compare it with the checksum it had when it was written.
        """
        from slicedb.doctor import DAMAGE, examine
        from slicedb.judge.aligned import forget
        from slicedb.predictions.stale import stale_truths
        from slicedb.predictions.superseded import stale_pictures
        from slicedb.vectors.recall import poor_indexes

        forget(self.store)  # what evaluations keep would double what this takes
        findings = examine(self.store, mend=mend, deep=deep)
        findings += stale_truths(self.store, mend=mend)
        findings += stale_pictures(self.store, mend=mend)
        if any(f.problem in DAMAGE for f in findings):
            return findings  # an index can only be measured against whole vectors
        return findings + poor_indexes(self.store, self.engine.session.approximate, mend=mend)

    def cleanup(self, days: float = 14, *, dry_run: bool = False) -> int:
        """Remove old versions that no commit and no frozen slice keeps; return the bytes freed.

        Args:
            days: keep versions younger than this; the newest version of each table always stays.
            dry_run: only report how much would be freed.
        """
        from datetime import timedelta

        return self.store.cleanup(timedelta(days=days), dry_run=dry_run)
