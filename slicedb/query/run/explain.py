"""Show what a query reads and does, as text."""

from __future__ import annotations

import time

from slicedb.query.bound.relation import Relation
from slicedb.query.run.plan import Plan
from slicedb.query.run.request import Request
from slicedb.query.run.runner import Runner, Step
from slicedb.query.run.session import Session
from slicedb.show import numbers


class Explanation(str):
    """A plan as text; `print` shows it."""

    def __repr__(self) -> str:
        return str(self)


def explain(session: Session, plan: Plan, run: bool, request: Request | None = None) -> Explanation:
    """Return the plan of a query, with the figures of one run."""
    lines = ["query", *(f"  {line}" for line in plan.text.splitlines() or ["(all samples)"])]
    lines += ["reads"]
    lines += [f"  {_reads(relation, plan)}" for relation in plan.bound.everywhere()]
    if plan.pool.slices:
        lines += ["slices"]
        for name, definition in plan.pool.slices.items():
            is_live = isinstance(definition, str)
            kind = "live" if is_live else f"frozen, {numbers.count(len(definition), 'sample')}"
            lines.append(f"  {name} ({kind})")
    if plan.terms:
        lines += ["meaning", *(f"  {term}  on {term.embedding}" for term in plan.terms)]
        lines += [f"  {_strategy(session, plan)}"]
    if run:
        started = time.perf_counter()
        runner = Runner(session, plan, request)
        runner.rows() if plan.bound.narrows else runner.fetch()
        total = time.perf_counter() - started
        lines += ["steps", *(_step(step) for step in runner.steps)]
        lines += [f"  {'total':<52}{'':>12} {total * 1000:9.1f} ms"]
    return Explanation("\n".join(lines))


def _reads(relation: Relation, plan: Plan) -> str:
    assert relation.table is not None
    narrow = relation is not plan.bound.top or plan.bound.narrows
    columns = [name for name in relation.wanted(narrow) if name not in ("id", "key")]
    columns += [extra.shown for extra in relation.extras] + list(relation.matched)
    seen = "" if relation.unfiltered or relation.kind != "samples" else " where status is ok"
    late = "; the rest of * by key" if relation.star else ""
    shown = ", ".join(columns) or "id"
    return f"{relation.table.name} @ {relation.table.version}{seen}: {shown}{late}"


def _strategy(session: Session, plan: Plan) -> str:
    if plan.approximate:
        return _index(session, plan)
    order = ["the SQL part first"] if plan.prunes and plan.conditions else []
    if plan.prunes and plan.cuts:
        order.append("cuts of scores, the one that leaves fewest first")
    if plan.top_k is not None:
        order.append(f"the best {plan.top_k.k:,} of {plan.top_k.term}")
    elif not order:
        return "scores for all samples in one pass, exact"
    return f"{', then '.join(order)}; scores for the rows left, exact"


def _index(session: Session, plan: Plan) -> str:
    term = plan.indexed
    if term is None:
        return "exact: an index names the best k alone, without conditions"
    info = plan.pool.catalog.embedding(term.embedding)
    about = session.approximate.about(term.embedding, info.version)
    if about is None:
        return "exact: there is no index of this version; `slicedb index --embedding` builds it"
    assert plan.top_k is not None
    return f"about the best {plan.top_k.k:,} by an index, recall@{about.k} {about.recall:.3f}"


def _step(step: Step) -> str:
    rows = "" if step.rows is None else f"{numbers.count(step.rows, 'row')}"
    return f"  {step.what:<52}{rows:>12} {step.seconds * 1000:9.1f} ms"
