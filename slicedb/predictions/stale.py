"""Find predictions whose loss and correctness speak of a label of before."""

from __future__ import annotations

from slicedb.doctor import Finding
from slicedb.predictions.refresh import refresh, stale
from slicedb.predictions.tables import models_of, table_of
from slicedb.store import Store


def stale_truths(store: Store, *, mend: bool = False) -> list[Finding]:
    """Compare every prediction's ground truth with the present one.

    Args:
        store: the database.
        mend: derive the stale rows again.
    """
    findings = []
    for model in models_of(store):
        try:
            n = stale(store, model)
            if n and mend:
                refresh(store, model)
        except Exception:  # damaged, which `examine` reports: what is stored may be anything
            continue
        if n:
            advice = "`slicedb doctor --mend`"
            findings.append(Finding(table_of(model), "stale truths", n, advice, mended=mend))
    return findings
