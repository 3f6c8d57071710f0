"""From evidence to verdicts: all tests of the suite counted, each told in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slicedb import schema, stats
from slicedb.expectations import Check
from slicedb.judge.aligned import Judged, Keys
from slicedb.judge.evidence import Trial
from slicedb.judge.results import Result, Verdict
from slicedb.metrics import Membership
from slicedb.slices import Slice
from slicedb.store import Store

WORST = 5
"""Worst samples told a result."""

DROP = 0.02
"""The drop in accuracy whose sample size an undecided comparison tells."""

_FLIPS = 10_000


def correct(
    trials: Sequence[Trial],
    checked: Sequence[tuple[Slice, list[Check]]],
    correction: str,
    minimum: int,
    detect: float | None = None,
    alpha: float = 0.05,
) -> None:
    """Set the adjusted p of every trial that gates.

    Comparisons with one baseline and no margin go to max-T where they agree on what is right and
    on what is independent, the others to Holm; each family gets its share of the error rate
    (Bonferroni over the families).

    Args:
        trials: with their p.
        checked: the slices, for `decide`.
        correction: see `slicedb.judge.settings.CORRECTIONS`.
        minimum: samples below which a slice does not gate.
        detect: the drop that max-T spends the error rate on; None treats slices alike.
        alpha: the error rate.
    """
    gates = [
        t
        for t in trials
        if t.counted
        and not np.isnan(t.p)
        and not t.is_too_small(minimum)
        and checked[t.slice][0].decide == "interval"
    ]
    families: dict[str, list[Trial]] = {}
    for t in gates:
        exact = t.gains is not None and t.check.margin == 0
        together = exact and correction in ("auto", "max-t")
        name = f"{t.right_by}, {t.column}, {t.baseline}" if together else ""
        families.setdefault(name, []).append(t)
    for name, family in families.items():
        part = len(family) / len(gates)
        if name:
            found = _max_t(family, detect, alpha * part)
        else:
            found = _by_p([t.p for t in family], correction)
        for t, p in zip(family, found):
            t.p_adjusted = float(min(1.0, p / part))


def _by_p(p: Sequence[float], correction: str) -> np.ndarray:
    if correction == "none":
        return np.asarray(p)
    method = stats.benjamini_hochberg if correction == "benjamini-hochberg" else stats.holm
    return method(p)


def _max_t(family: Sequence[Trial], detect: float | None, alpha: float) -> np.ndarray:
    """Return step-down max-T p-values over comparisons with one baseline."""
    if len(family) == 1 and family[0].groups is None:
        return np.array([family[0].p])  # exact, without random flips
    union = np.unique(np.concatenate([t.rows for t in family]))
    positions = [np.searchsorted(union, t.rows) for t in family]
    d, groups = np.zeros(len(union)), np.arange(len(union))
    for t, at in zip(family, positions):
        assert t.gains is not None
        d[at] = t.gains
        if t.groups is not None:
            groups[at] = t.groups
    weights = None
    if detect is not None:
        discordant = [int(np.count_nonzero(t.gains)) for t in family if t.gains is not None]
        weights = stats.detection_weights([t.n for t in family], discordant, detect, alpha)
    p = stats.max_t(
        d,
        Membership(positions, len(union)).matrix,
        groups=None if family[0].groups is None else groups,
        weights=weights,
        replicates=_FLIPS,
    ).p
    return np.where(np.isnan(p), 1.0, p)


def decide(
    store: Store,
    trials: Sequence[Trial],
    checked: Sequence[tuple[Slice, list[Check]]],
    judged: dict[str, Judged],
    model: str,
    confidence: float,
    minimum: int,
) -> list[Result]:
    """Return the results in the order of the trials."""
    results = []
    for t in trials:
        s = checked[t.slice][0]
        verdict = t.verdict(1 - confidence, s.decide, minimum)
        needed = None
        if verdict == "INCONCLUSIVE" and t.needs is not None:
            needed = t.needs()
            needed = needed if needed is None else max(needed, t.least(minimum))
        plain = t.counted and t.check.change is None
        keys = _worst(t, judged, model) if plain else np.empty(0, np.int64)
        results.append(
            Result(
                s.title,
                str(t.check),
                model,
                verdict,
                t.value,
                t.low,
                t.high,
                t.n,
                t.left_out,
                needed,
                t.baseline,
                t.p,
                t.p_adjusted,
                _told(t, message(t, verdict, needed, s.decide, confidence, minimum)),
                t.worst or tuple(_ids(store, keys)),
                s.suite,
                s.path,
                t.bound,
                t.expectation,
            )
        )
    return results


def message(
    t: Trial, verdict: Verdict, needed: int | None, decide: str, confidence: float, minimum: int
) -> str:
    """Return one sentence that says what was found and what it means."""
    if np.isnan(t.value):
        return f"undefined: {t.reason}"
    if not t.counted:
        return f"{t.value:,.0f}" if t.check.metric == "count" else f"{t.value:.4f}"
    value = _signed(t.value) if t.check.baseline else f"{t.value:.4f}"
    spread = "" if np.isnan(t.low) else f" [{t.low:.4f}, {t.high:.4f}]"
    found = f"{value}{spread}, n = {t.n:,}"
    if t.basis:
        found += f", {t.basis}"
    if t.groups is not None:
        found += f" in {t.units:,} groups"
    if t.check.baseline and t.left_out:
        found += f" ({t.left_out:,} not seen by both models left out)"
    elif t.left_out:
        found += f" ({t.left_out:,} without label or prediction left out)"
    if decide == "point":
        return f"{found}; decided by the value alone"
    if verdict == "FAIL":
        return f"{found}; p = {t.p_adjusted:.2g} with all tests counted"
    if verdict == "PASS":
        return found
    if t.is_too_small(minimum):
        return f"{found}; below {t.least(minimum)} {_units(t)} a slice reports but does not gate"
    if needed is None:
        why = f"no number of samples settles it at {confidence:.0%}, leave a margin"
    elif needed <= t.n:
        why = "significant alone, not with all tests of the suite counted"
    else:
        why = f"about {needed:,} samples would settle it"
    return f"{found}; {why}{_drop_needs(t, confidence)}"


def _drop_needs(t: Trial, confidence: float) -> str:
    """Return the images that a drop of `DROP` takes, for comparisons of right and wrong."""
    if t.gains is None or t.groups is not None or not t.n:
        return ""
    differ = max(DROP, np.count_nonzero(t.gains) / t.n)
    n = stats.n_for_paired(differ, DROP, confidence)
    return f"; detecting a {100 * DROP:g}-point drop here needs {n:,} images"


def _told(t: Trial, found: str) -> str:
    return "; ".join(part for part in (found, t.evidence, t.note) if part)


def _units(t: Trial) -> str:
    return "samples" if t.groups is None else "groups"


def _signed(x: float) -> str:
    return f"{x:+.4f}"


def _worst(t: Trial, judged: dict[str, Judged], model: str) -> Keys:
    """Return the keys of wrong samples, highest loss first; regressions before others."""
    one = judged[model]
    rows = one.row_of[t.rows]
    rows = rows[rows >= 0]
    outcomes = one.outcomes.take(rows)
    known = t.check.of is not None and t.check.of in outcomes.classes
    wrong = outcomes.wrong(outcomes.classes.index(t.check.of) if known else None)
    loss = outcomes.losses()
    if t.baseline in judged:
        other = judged[t.baseline]
        seen = other.row_of[t.rows[one.row_of[t.rows] >= 0]]
        had_it = (seen >= 0) & other.outcomes.correct[seen]
        loss = loss + 1e6 * had_it
    candidates = np.flatnonzero(wrong)
    order = candidates[np.argsort(-loss[candidates], kind="stable")][:WORST]
    return one.keys[rows[order]]


def _ids(store: Store, keys: Keys) -> list[str]:
    if not len(keys):
        return []
    found: list[str] = store.take(schema.SAMPLES, keys, ["id"])["id"].to_pylist()
    return found
