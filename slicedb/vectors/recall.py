"""Find approximate indexes whose recall is lower than they were built for."""

from __future__ import annotations

from slicedb import schema
from slicedb.doctor import Finding
from slicedb.store import Store
from slicedb.vectors.approximate import Approximate


def poor_indexes(store: Store, indexes: Approximate, *, mend: bool = False) -> list[Finding]:
    """Measure every approximate index against a scan.

    Args:
        indexes: its approximate indexes.
        mend: build the poor ones anew.
    """
    poor = []
    for table in store.names():
        embedding = table.removeprefix(schema.EMBEDDINGS)
        measured = indexes.check(embedding) if embedding != table else None
        if measured is None or not measured.is_poor:
            continue
        if mend:
            indexes.build(embedding, measured.wanted)
        missed = round(100 * (1 - measured.recall))
        problem = f"% of the {measured.k} nearest missed by the index"
        advice = f"`slicedb index --embedding {embedding}` builds it anew"
        poor.append(Finding(table, problem, missed, advice, mended=mend))
    return poor
