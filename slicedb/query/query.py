"""A lazy query: a text over a database, run by the verb that asks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pyarrow as pa

from slicedb.errors import QueryError
from slicedb.query.bound.relation import ROW
from slicedb.query.language.text import read
from slicedb.query.run.plan import Plan
from slicedb.schema import EMBEDDINGS, OK, SAMPLES, keys_of
from slicedb.sql import quoted

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

    from slicedb.query.engine import Engine
    from slicedb.query.run.explain import Explanation


class Query:
    """An ordered set of samples, or a table of figures, described by a text.

    Nothing is read until a verb asks, and each verb asks the database as it is then.
    `repr` gives the text; a notebook shows the pictures.
    """

    def __init__(
        self,
        engine: Engine,
        text: str,
        *,
        at: dict[str, int] | None = None,
        files: bool = False,
        approximate: bool = False,
    ) -> None:
        self._engine = engine
        self.text = text
        self.at = at
        self.files = files
        self.approximate = approximate

    @property
    def engine(self) -> Engine:
        """The engine that answers it."""
        return self._engine

    def plan(self) -> Plan:
        """Return the plan, bound to the schema as it is now."""
        return self._engine.plan(self.text, self.at, self.files, self.approximate)

    @property
    def is_rows(self) -> bool:
        """Whether the result is samples (it shows `id`), so that it can be a slice."""
        return self.plan().is_rows

    @property
    def is_star(self) -> bool:
        """Whether it shows all columns: a predicate, or SELECT *."""
        return "key" in self.plan().hidden

    @property
    def chance(self) -> str:
        """What makes the answer another one each time, such as `random`; else empty."""
        return self.plan().bound.chance

    def unseen(self) -> dict[str, int]:
        """Return, by embedding that the text asks, how many samples have no vector in it.

        Those are NULL in every term of meaning. Only samples that are ok count, and only
        embeddings that lack some are named.
        """
        plan, store = self.plan(), self._engine.store
        if self.at is not None or not plan.reads.embeddings:
            return {}
        ok = store.table(SAMPLES, ["key"], where=f"status IS NULL OR status = '{OK}'")["key"]
        found = {}
        for name in sorted(plan.reads.embeddings):
            known = store.table(EMBEDDINGS + name, ["key"])["key"]
            found[name] = int((~np.isin(ok.to_numpy(), known.to_numpy())).sum())
        return {name: n for name, n in found.items() if n}

    def predicate(self) -> str:
        """Return a predicate over samples that holds for the members, whatever the text is."""
        return _predicate(self)

    @property
    def columns(self) -> list[str]:
        """Names of the columns of the result."""
        plan = self.plan()
        return [name for name, _ in plan.columns if name not in plan.hidden]

    # --- samples ------------------------------------------------------------------------------

    def count(self) -> int:
        """Return the number of samples."""
        plan = self._rows("count")
        if plan.bound.top is None:
            return len(self.keys())
        return self._engine.run(plan).count()

    def keys(self) -> np.ndarray:
        """Return int64 (n,): the keys of the samples, in order, each once."""
        plan = self._rows("keys")
        if plan.bound.narrows:
            return np.asarray(self._engine.run(plan).rows()["key"].to_numpy(), dtype=np.int64)
        return self._listed(plan)[1]

    def ids(self) -> list[str]:
        """Return the ids of the samples, in order, each once."""
        plan = self._rows("ids")
        if not plan.bound.narrows:
            return self._listed(plan)[0]
        found = self._engine.run(plan).rows()
        return list(self._engine.ids(plan, found["key"], found[ROW]).to_pylist())

    def _listed(self, plan: Plan) -> tuple[list[str], np.ndarray]:
        """Return ids and keys of a result that lists `id`: known samples, each once."""
        name = next(name for name, _ in plan.columns if name.lower() == "id")
        ids = self._engine.run(plan).fetch(f"{quoted(name)} AS id")["id"].drop_null()
        listed = list(dict.fromkeys(map(str, ids.to_pylist())))
        keys = keys_of(listed)
        known = self._engine.is_known(plan, keys)
        return [name for name, keep in zip(listed, known) if keep], keys[known]

    def scores(self) -> np.ndarray | None:
        """Return float32 (n,) in the order of `ids`: what similarity orders by, or the first term.

        None when the text has no term of meaning, or is a SELECT that lists its columns.
        """
        plan = self._rows("scores")
        if not plan.bound.narrows or plan.score_slot is None:
            return None
        column = self._engine.run(plan).rows()[plan.score_slot]
        return np.asarray(column.to_numpy(), dtype=np.float32)

    def images(self, n: int | None = None) -> list[Image]:
        """Return the pictures of the first `n` samples, or of all of them, decoded."""
        from slicedb import media

        keys = (self if n is None else self.limit(n)).keys()
        return [media.decode(data) for _, data in self._engine.store.read_images(keys)]

    def to_torch(self, keys: np.ndarray | None = None, **options: Any) -> Any:
        """Return the samples as a torch dataset, in order; see `slicedb.training.to_torch`.

        Args:
            keys: int64 (n,): take these in place of all samples.
            **options: transform, columns, classes, size, dtype.
        """
        if self._engine.to_torch is None:
            raise QueryError("This engine has no training code.", "open it with slicedb.open().")
        return self._engine.to_torch(self.keys() if keys is None else keys, **options)

    def _rows(self, verb: str) -> Plan:
        plan = self.plan()
        if not plan.is_rows:
            raise QueryError(
                f"{verb}() needs samples, and this query gives {', '.join(self.columns)}.",
                "select id, or read the result with to_arrow().",
                text=self.text,
            )
        return plan

    # --- tables -------------------------------------------------------------------------------

    def to_arrow(self, columns: list[str] | None = None) -> pa.Table:
        """Return the result as an Arrow table.

        Args:
            columns: the columns of the result to keep; of a predicate also expressions over
                samples, such as `v3.loss`. None keeps all.
        """
        plan = self.plan()
        if columns and plan.bound.source.is_predicate and not all(map(str.isidentifier, columns)):
            return self._with(_listing(self, columns)).to_arrow()
        table = self._late(plan) if plan.bound.narrows else None
        if table is None:
            table = self._engine.run(plan).fetch()
        shown = [n for n in table.column_names if n not in plan.hidden and not n.startswith("~")]
        if columns is not None:
            missing = [c for c in columns if c not in shown]
            if missing:
                from slicedb.errors import BindError, did_you_mean

                hint = did_you_mean(missing[0], shown, "columns")
                raise BindError(f"No column '{missing[0]}' in the result.", hint, text=self.text)
            shown = columns
        return table.select(shown)

    def _late(self, plan: Plan) -> pa.Table | None:
        """Return the result with the columns of `*` taken by key, or None when that costs more."""
        from slicedb.query.engine import LATE

        found = self._engine.run(plan).rows()
        names = [name for name, _ in plan.columns if name not in plan.hidden]
        assert plan.bound.top is not None and plan.bound.top.table is not None
        stored = plan.bound.top.table
        rest = [n for n in names if n not in found.column_names]
        if len(found) > LATE or any(n not in stored.types for n in rest):
            return None
        taken = (
            self._engine.store.take(SAMPLES, found["key"].to_numpy(), rest, version=stored.version)
            if rest
            else None
        )
        fields = {n: found[n] if taken is None or n not in rest else taken[n] for n in names}
        return pa.table(fields)

    def to_pandas(self) -> pd.DataFrame:
        """Return the result as a pandas frame."""
        return self.to_arrow().to_pandas()

    def explain(self, run: bool = True) -> Explanation:
        """Return the plan: tables and columns read, terms, and what each step took.

        Args:
            run: False binds only, and shows no figures.
        """
        from slicedb.query.run.explain import explain

        return explain(self._engine, self.plan(), run)

    # --- algebra ------------------------------------------------------------------------------

    def _with(self, text: str, other: Query | None = None) -> Query:
        """Return a query made of this one; it is exact, since it decides who is in it."""
        files = self.files or (other is not None and other.files)
        return self._engine.query(text, at=self.at, files=files)

    def exact(self) -> Query:
        """Return the query without an approximate index; verbs that work on samples ask it so."""
        return self._with(self.text) if self.approximate else self

    def limit(self, n: int) -> Query:
        """Return the first `n` of this query."""
        if n < 0:
            raise QueryError(f"limit({n}) is negative.", text=self.text)
        return self._limited(f"LIMIT {n}")

    def _limited(self, tail: str) -> Query:
        """Return some of this query, in its order."""
        plan = self.plan()
        if plan.bound.tree.limit is None:
            return self._with(f"{_bare(self.text)}\n{tail}")
        return self._with(f"SELECT * FROM (\n{_whole(self)}\n) {tail}")

    def take(self, n: int, seed: int = 0) -> Query:
        """Return `n` samples drawn at random from this query, the same ones for the same seed.

        They are drawn by a hash of the id, so that the text draws them again anywhere.
        """
        if n < 0:
            raise QueryError(f"take({n}) is negative.", text=self.text)
        return self._with(f"{_predicate(self)} ORDER BY hash(id || ' {int(seed)}') LIMIT {n}")

    def where(self, text: str) -> Query:
        """Return the samples of this query that a further predicate holds for."""
        return self & self._engine.query(text, at=self.at, files=self.files)

    def __and__(self, other: Query | str) -> Query:
        other = self._other(other)
        return self._with(f"{_predicate(self)} AND {_predicate(other)}", other)

    def __or__(self, other: Query | str) -> Query:
        other = self._other(other)
        return self._with(f"{_predicate(self)} OR {_predicate(other)}", other)

    def __sub__(self, other: Query | str) -> Query:
        return self & ~self._other(other)

    def __invert__(self) -> Query:
        return self._with(f"{_predicate(self)} IS NOT TRUE")

    def _other(self, other: Any) -> Query:
        """Return the other side: a query, a text, or a slice by its name."""
        found = other.reference() if hasattr(other, "reference") else other
        return found if isinstance(found, Query) else self._engine.query(found, at=self.at)

    # --- showing ------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.count()

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids())

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Query: ...
    def __getitem__(self, at: int | slice) -> str | Query:
        """Return the id at a place, or the query of a range of places.

        Raises:
            IndexError: there are not so many samples.
            QueryError: a range has a step, or counts from the end.
        """
        if isinstance(at, slice):
            return self._range(at)
        if at < 0:
            return self.ids()[at]
        found = self[at : at + 1].ids()
        if not found:
            raise IndexError(f"There is no sample {at}: the query gives {self.count()}.")
        return found[0]

    def _range(self, at: slice) -> Query:
        start, stop = at.start or 0, at.stop
        if at.step not in (None, 1) or start < 0 or (stop is not None and stop < 0):
            hint = "turn ORDER BY around to count from the end, or take a range of ids()."
            raise QueryError(f"A query has no range {at.start}:{at.stop}:{at.step}.", hint)
        if stop is None:
            return self._limited(f"OFFSET {start}")
        size = f"LIMIT {max(stop - start, 0)}"
        return self._limited(f"{size} OFFSET {start}" if start else size)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        shown = self.text or "SELECT * FROM samples"
        title = self._engine.store.title
        return f"{shown.rstrip()} AT '{title}'" if title else shown

    def _repr_html_(self) -> str:
        from slicedb.query.notebook import html

        return html(self)


def _bare(text: str) -> str:
    """Return the text without a last semicolon."""
    return re.sub(r";\s*$", "", text)


def _whole(query: Query) -> str:
    """Return the text as a whole SELECT."""
    source = read(query.text)
    if not source.is_predicate:
        return _bare(query.text)
    return source.sql.decode()


def _listing(query: Query, columns: Sequence[str]) -> str:
    """Return a predicate as a SELECT of some columns in place of all."""
    star, shown = "SELECT * ", ", ".join(columns)
    whole = _whole(query)
    assert whole.startswith(star)
    return f"SELECT {shown} {whole.removeprefix(star)}"


def _predicate(query: Query) -> str:
    """Return the text as a predicate: itself in parentheses, or membership in its rows."""
    plan = query.plan()
    source = plan.bound.source
    if source.is_predicate and not plan.is_ordered and not plan.bound.tree.qualify:
        return f"({_bare(query.text)}\n)" if source.tokens[4:] else "(true)"
    query._rows("&, | and ~")
    column = "key" if plan.bound.narrows else "id"
    return f"(samples.{column} IN (SELECT {column} FROM (\n{_whole(query)}\n)))"
