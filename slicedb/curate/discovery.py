"""Discover where a model errs: over columns, over meanings, over vectors, and over all of them.

Every condition is a cell: a value or range of a column, a word of a text, a phrase that is
matched, a region around some samples. The conjunction of cells with most evidence of more errors is
taken, then the one with most evidence among the samples that are left, and so on, on one half of
the samples. The other half tells which of them hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from slicedb import schema, sql, stats
from slicedb.analysis.shares import check_scope
from slicedb.curate.cells import Cells
from slicedb.curate.conditions import PLAIN, Conditions, conditions
from slicedb.curate.findings import Discovery, Finding, name_of
from slicedb.curate.judged import Samples, Wanted
from slicedb.curate.phrases import Space, likest
from slicedb.curate.proof import Proof, half_of
from slicedb.curate.sliceline import Evidence, SliceLine, conjunctions, mask_of
from slicedb.curate.units import Ints
from slicedb.progress import Bar, Watch, bar
from slicedb.show import numbers
from slicedb.store import Store

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_SMALLEST = 20
"""Samples of the smallest finding, in both halves."""
_SHARE = 0.001
"""The same as a share of all samples."""
_OVERLAP = 0.8
"""Share of a finding's samples that earlier ones may have."""


def discover(
    store: Store,
    model: str,
    samples: Samples,
    wanted: Wanted,
    *,
    scope: str = "",
    space: Space | None = None,
    phrases: Sequence[str] = (),
    notes: Sequence[str] = (),
    progress: Watch = None,
) -> Discovery:
    """Find on one half of the samples where the model errs most, and test it on the other half.

    Args:
        store: the database.
        model: whose errors.
        samples: what is judged.
        wanted: what to look for.
        scope: the predicate of the samples, "" for all of them; findings begin with it.
        space: the embedding whose vectors are searched.
        phrases: texts that are compared with them.
        notes: more to say.
        progress: see `slicedb.progress.Watch`.

    Raises:
        CheckError: there is no such column, or the scope is no predicate.
    """
    check_scope(scope)
    n = len(samples.keys)
    group = samples.groups(store, wanted.group)
    half = half_of(samples.keys, group, wanted.seed)
    least = max(2, (wanted.least or max(_SMALLEST, round(_SHARE * n))) // 2)
    where = conditions(
        store,
        samples,
        wanted.by,
        half,
        least,
        space=space,
        phrases=phrases,
        group=group,
        seed=wanted.seed,
        progress=progress,
    )
    with bar(wanted.most, "search", progress, unit="finding", keeps=False) as shown:
        found = search(where, samples.error, half, wanted, least, shown)
    findings = tested(where, found, samples.error, half, group, wanted, scope)
    dropped = len(found) - len(findings)
    if space is not None:
        findings = [
            (replace(f, like=likest(space, phrases, mask)) if "vectors" in f.kind else f, mask)
            for f, mask in findings
        ]
    explained = np.zeros(n, bool)
    for finding, mask in findings:
        if finding.confirmed:
            explained |= mask
    confirmed = [finding.query for finding, _ in findings if finding.confirmed]
    total = float(samples.error.sum())
    return Discovery(
        model,
        samples.measure,
        n,
        total,
        samples.left_out,
        int(half.sum()),
        tuple(finding for finding, _ in findings),
        float(samples.error[~explained].sum()) / total,
        _unexplained(store, samples, scope, confirmed),
        where.columns,
        where.phrases,
        where.embedding,
        wanted.confidence,
        notes=(*notes, *_left_out(samples, dropped, where.useless)),
    )


def _left_out(samples: Samples, dropped: int, useless: Sequence[str]) -> list[str]:
    """Return sentences on the samples, findings and columns that were not looked at."""
    notes = []
    n = len(samples.keys)
    if samples.drawn_from > n:
        judged = f"the {numbers.count(samples.drawn_from, 'sample')} that can be judged"
        notes.append(f"{n:,} of {judged} {numbers.verb(n, 'was', 'were')} drawn.")
    if dropped:
        notes.append(
            f"{numbers.count(dropped, 'finding')} dropped: more than {_OVERLAP:.0%} of the samples "
            "are in earlier ones."
        )
    if useless:
        notes.append(
            f"Of one value, or with one of its own for most samples: {', '.join(useless)}."
        )
    return notes


def search(
    where: Conditions, error: Floats, half: Bools, wanted: Wanted, least: int, shown: Bar
) -> list[tuple[tuple[int, ...], str, Bools]]:
    """Return findings as cells, the predicate and bool (n,), the one with most evidence first.

    Each is sought among the samples that those before it leave, so that what is left of a part or a
    whole of an earlier one is found for its own sake alone. `shown` counts them.
    """
    left = half.copy()
    found: list[tuple[tuple[int, ...], str, Bools]] = []
    for _ in range(wanted.most):
        if int(left.sum()) < 2 * least or not error[left].any():
            break
        best = _best(where, error, left, wanted, least)
        if best is None:
            break
        predicate, mask = _widened(where.cells, best, error, left)
        left &= ~mask
        found.append((best, predicate, mask))
        shown.advance()
    return found


def _best(
    where: Conditions, error: Floats, left: Bools, wanted: Wanted, least: int
) -> tuple[int, ...] | None:
    """Return the conjunction with most evidence, of plain conditions if these say about as much.

    A region of the vectors may hold two faults at once, with more evidence than either; SliceLine's
    score, which asks how much worse a slice is, tells which of the best of each kind is meant.
    """
    score = SliceLine(error[left])
    candidates: list[tuple[float, tuple[int, ...]]] = []
    for kinds in where.levels():
        for best in conjunctions(
            where.fair,
            error,
            left,
            least=least,
            depth=wanted.depth,
            most=1,
            score=Evidence,
            price=where.price(kinds),
        ):
            value = float(score(np.array([best.n]), np.array([best.error]))[0])
            plain = min(PLAIN[kind] for kind in where.kinds_of(best.cells))
            candidates.append((value * plain if value > 0 else value, best.cells))
    return max(candidates, key=lambda c: c[0])[1] if candidates else None


def _widened(
    cells: Cells, chosen: tuple[int, ...], error: Floats, left: Bools
) -> tuple[str, Bools]:
    """Return the predicate and mask of a conjunction, its ranges widened where that is better."""
    n = len(error)
    queries = [cells.queries[cell] for cell in chosen]
    masks = [mask_of(cells, (cell,), n) for cell in chosen]
    evidence = Evidence(error[left])

    def gain(parts: Sequence[Bools]) -> float:
        inside = np.logical_and.reduce(parts)[left]
        return float(evidence(np.array([inside.sum()]), np.array([error[left] @ inside]))[0])

    for k, cell in enumerate(chosen):
        column = int(cells.column[cell])
        if not cells.ordered[column]:
            continue
        own = np.flatnonzero(cells.column == column)
        own = own[[" IS NULL" not in cells.queries[c] for c in own]]
        at = int(np.flatnonzero(own == cell)[0]) if cell in own else -1
        best = gain(masks)
        for first in range(at + 1):
            for last in range(at, len(own)):
                if at < 0 or last - first + 1 >= len(own):
                    continue
                wide = np.zeros(n, bool)
                wide[cells.sample[np.isin(cells.cell, own[first : last + 1])]] = True
                value = gain([*masks[:k], wide, *masks[k + 1 :]])
                if value > best + 1e-9:
                    best, masks[k] = value, wide
                    queries[k] = _range(cells.queries[own[first]], cells.queries[own[last]])
    return sql.conjunction(*queries), np.logical_and.reduce(masks)


def _range(first: str, last: str) -> str:
    """Return the predicate from the lower end of one range to the upper end of another.

    >>> _range("x >= 1 AND x < 2", "x >= 4 AND x < 5"), _range("x < 1", "x >= 1 AND x < 2")
    ('x >= 1 AND x < 5', 'x < 2')
    """
    lower = first.partition(" AND ")[0]
    _, between, after = last.partition(" AND ")
    upper = after if between else last
    ends = [lower if ">=" in lower else "", upper if ">=" not in upper else ""]
    return sql.conjunction(*ends)


def tested(
    where: Conditions,
    found: Sequence[tuple[tuple[int, ...], str, Bools]],
    error: Floats,
    half: Bools,
    group: Ints | None,
    wanted: Wanted,
    scope: str = "",
) -> list[tuple[Finding, Bools]]:
    """Return each finding with what the half that nothing was chosen on says of it."""
    other = ~half
    proof = Proof(error[other], None if group is None else group[other], wanted.confidence)
    score = SliceLine(error[half])
    total = float(error.sum())
    before = np.zeros(len(error), bool)
    results: list[tuple[Finding, Bools]] = []
    raw = []
    for chosen, query, mask in found:
        overlap = float((mask & before).sum() / max(mask.sum(), 1))
        if overlap > _OVERLAP or not mask[half].any():
            continue
        inside, own = mask[other], (mask & ~before)[other]
        # Both must hold: a part of an earlier finding would pass the first alone.
        raw.append(max(proof.p(inside, ~inside), proof.p(own, ~(mask | before)[other])))
        rate, rest = proof.rate(inside), proof.rate(~inside)
        n_half, sum_half = mask[half].sum(), error[half] @ mask[half]
        finding = Finding(
            sql.conjunction(scope, query),
            ", ".join(where.kinds_of(chosen)),
            False,
            int(mask.sum()),
            float(error @ mask),
            float(error @ mask) / total,
            rate.n,
            rate.value,
            rate.low,
            rate.high,
            rest.value,
            rest.low,
            rest.high,
            1.0,
            float(sum_half / n_half),
            float(score(np.array([n_half]), np.array([sum_half]))[0]),
            overlap,
            name_of(query.split(" AND ")),
        )
        results.append((finding, mask))
        before |= mask
    level = 1 - wanted.confidence
    return [
        (replace(finding, p=float(p), confirmed=bool(p <= level)), mask)
        for (finding, mask), p in zip(results, stats.holm(raw))
    ]


def _unexplained(store: Store, samples: Samples, scope: str, confirmed: Sequence[str]) -> str:
    """Return the errors that no confirmed finding has; "" where no predicate tells an error."""
    aligned = samples.aligned
    has_column = "correct" in store.schema(schema.PREDICTIONS + aligned.model).names
    is_plain = aligned.truth is None or aligned.task.name == "classification"
    if samples.measure == "loss" or not has_column or not is_plain:
        return ""
    rest = [f"NOT coalesce({query}, false)" for query in confirmed]
    return sql.conjunction(scope, aligned.wrong, *rest)
