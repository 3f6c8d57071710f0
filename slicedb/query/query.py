"""A lazy query: a text over a database, run by the verb that asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, overload

import numpy as np
import pyarrow as pa

from slicedb.errors import BindError, CheckError, QueryError, did_you_mean, suggesting
from slicedb.keys import KeyIndex
from slicedb.query.derived import splits, texts
from slicedb.query.derived.shown import Shown
from slicedb.query.run.absent import absent
from slicedb.query.run.explain import Explanation, explain
from slicedb.query.run.kept import as_stored
from slicedb.query.run.plan import Plan
from slicedb.query.run.request import Request
from slicedb.query.run.runner import Runner
from slicedb.query.run.session import Session
from slicedb.schema import EMBEDDINGS, IS_SHOWN, SAMPLES, keys_of
from slicedb.sql import quoted
from slicedb.vectors.pictures import Picture

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

    from slicedb.models.model import Transform
    from slicedb.training import SliceDataset
    from slicedb.training.pictures import Dtype, Size
    from slicedb.training.pixels import Decoder

ToTorch: TypeAlias = "Callable[..., SliceDataset]"
"""Makes a torch dataset of int64 keys; see `slicedb.training.to_torch`."""
Overlays: TypeAlias = "Callable[[str, np.ndarray, int], Sequence[Image | None]]"
"""Gives the pictures of keys with a model's maps laid over them, `side` pixels wide."""


class Asker(Protocol):
    """What a query is asked of; see `slicedb.query.Engine`."""

    session: Session
    to_torch: ToTorch | None
    overlays: Overlays | None

    def query(
        self,
        text: str | Query,
        *,
        at: dict[str, int] | None = None,
        files: bool | None = None,
        request: Request | None = None,
    ) -> Query: ...

    def plan(
        self,
        text: str,
        at: dict[str, int] | None,
        files: bool,
        approximate: bool,
        request: Request | None,
    ) -> Plan: ...


class Referable(Protocol):
    """What can stand for a query, such as a slice."""

    def reference(self) -> str: ...


@suggesting
class Query(Shown):
    """An ordered set of samples, or a table of figures, described by a text.

    Nothing is read until a verb asks, and each verb asks the database as it is then.
    `repr` gives the text; a notebook shows the pictures.
    """

    def __init__(
        self,
        asker: Asker,
        text: str,
        *,
        at: dict[str, int] | None = None,
        files: bool = False,
        approximate: bool = False,
        request: Request | None = None,
        pictures: Sequence[Picture] = (),
    ) -> None:
        self._asker = asker
        self.pictures = pictures
        """Those that were handed in; a query keeps them as long as it lives."""
        self.request = request or Request()
        self.text = text
        self.at = at
        self.files = files
        self.approximate = approximate

    @property
    def session(self) -> Session:
        """What is held open to answer it."""
        return self._asker.session

    @property
    def overlays(self) -> Overlays | None:
        """Gives pictures with a model's maps laid over them, for a notebook."""
        return self._asker.overlays

    def plan(self) -> Plan:
        """Return the plan, bound to the schema as it is now."""
        return self._asker.plan(self.text, self.at, self.files, self.approximate, self.request)

    def _run(self, plan: Plan) -> Runner:
        return Runner(self.session, plan, self.request)

    @property
    def is_rows(self) -> bool:
        """Whether the result is samples (it shows `id`), so that it can be a slice."""
        return self.plan().is_rows

    @property
    def is_star(self) -> bool:
        """Whether it shows samples with all their columns: a predicate, or SELECT *."""
        return self.plan().is_star

    @property
    def chance(self) -> str:
        """What makes the answer another one each time, such as `random`; else empty."""
        return self.plan().bound.chance

    def unseen(self) -> dict[str, int]:
        """Return how many samples have no vector, by embedding that the text asks.

        Those are NULL in every term of meaning. Only samples that are ok count, and only
        embeddings that lack some are named.
        """
        plan, store = self.plan(), self.session.store
        if self.at is not None or not plan.reads.embeddings:
            return {}
        ok = store.table(SAMPLES, ["key"], where=IS_SHOWN)["key"]
        missing = {}
        for name in sorted(plan.reads.embeddings):
            embedded = KeyIndex(store.table(EMBEDDINGS + name, ["key"])["key"].to_numpy())
            missing[name] = int(np.count_nonzero(~embedded.has(ok.to_numpy())))
        return {name: n for name, n in missing.items() if n}

    def absent(self) -> list[str]:
        """Return a sentence for each value that the text asks for and no sample has.

        A misspelt split, label or other plain value of a column of samples gives no error, and no
        sample.
        """
        return absent(self)

    def predicate(self) -> str:
        """Return a predicate over samples that holds for the members, whatever the text is."""
        return texts.predicate(self._rows("predicate"))

    @property
    def columns(self) -> list[str]:
        """Names of the columns of the result."""
        return [name for name, _ in self.plan().columns]

    # --- samples ------------------------------------------------------------------------------

    def count(self) -> int:
        """Return the number of samples."""
        plan = self._rows("count")
        if plan.bound.top is None or (plan.is_steady and plan in self.session.members):
            return len(self._kept_keys(plan))
        if not plan.is_steady:
            return self._run(plan).count()
        return self.session.counts.get(plan, lambda: self._counted(plan))

    def _counted(self, plan: Plan) -> int:
        """Return the number of samples of a text, which need not be sorted for that."""
        if plan.bound.tree.order and texts.is_condition(plan):
            plan = self.pinned(plan)._with(texts.predicate(plan)).plan()
        return self._run(plan).count()

    def pinned(self, *plans: Plan) -> Query:
        """Return the query at the versions that plans were bound to, those of the first before."""
        if self.at is not None:
            return self
        tables = [plan.pool.catalog.versions for plan in reversed(plans)]
        versions = {name: version for each in tables for name, version in each.items()}
        return self._asker.query(self.text, at=versions, files=self.files, request=self.request)

    def keys(self) -> np.ndarray:
        """Return int64 (n,): the keys of the samples, in order, each once."""
        return self._kept_keys(self._rows("keys")).copy()

    def _keys(self, plan: Plan) -> np.ndarray:
        if plan.bound.narrows:
            return np.asarray(self._run(plan).rows()["key"].to_numpy(), dtype=np.int64)
        return self._listed(plan)[1]

    def beside(self, text: str) -> Query:
        """Return another query of the same database at the same moment."""
        return self._with(text)

    def ids(self) -> list[str]:
        """Return the ids of the samples, in order, each once."""
        plan = self._rows("ids")
        return self._run(plan).ids() if plan.bound.narrows else self._listed(plan)[0]

    def _listed(self, plan: Plan) -> tuple[list[str], np.ndarray]:
        """Return ids and keys of a result that lists `id`: known samples, each once."""
        runner = self._run(plan)
        name = next(name for name, _ in plan.columns if name.lower() == "id")
        column = runner.fetch(f"{quoted(name)} AS id")["id"].drop_null()
        ids = list(dict.fromkeys(map(str, column.to_pylist())))
        keys = keys_of(ids)
        known = runner.is_known(keys)
        return [name for name, is_known in zip(ids, known) if is_known], keys[known]

    def scores(self) -> np.ndarray | None:
        """Return float32 (n,) in the order of `ids`: what similarity orders by, or the first term.

        None when the text has no term of meaning, or is a SELECT that lists its columns.
        """
        plan = self._rows("scores")
        if not plan.bound.narrows or plan.score_slot is None:
            return None
        column = self._run(plan).rows()[plan.score_slot]
        return np.asarray(column.to_numpy(), dtype=np.float32)

    def images(self, n: int | None = None) -> list[Image]:
        """Return the pictures of the first `n` samples, or of all of them, decoded."""
        from slicedb import media

        keys = (self if n is None else self.limit(n)).keys()
        return [media.decode(data) for _, data in self.session.store.read_images(keys)]

    def to_torch(
        self,
        keys: np.ndarray | None = None,
        *,
        transform: Transform | None = None,
        columns: Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
        decoder: Decoder | None = None,
        size: Size = None,
        dtype: Dtype | None = None,
    ) -> SliceDataset:
        """Return the samples as a torch dataset, in order; see `slicedb.training.to_torch`.

        Args:
            keys: int64 (n,): take these in place of all samples.
        """
        make = self._asker.to_torch
        if make is None:
            raise QueryError("This engine has no training code.", "open it with slicedb.open().")
        decoders = {} if decoder is None else {"decoder": decoder}
        return make(
            self.keys() if keys is None else keys,
            transform=transform,
            columns=columns,
            classes=classes,
            size=size,
            dtype=dtype,
            **decoders,
        )

    def _rows(self, verb: str) -> Plan:
        plan = self.plan()
        if not plan.is_rows:
            raise QueryError(
                f"{verb}() needs samples, and this query gives {', '.join(self.columns)}.",
                "select id, or read the result with to_arrow().",
                text=self.text,
            )
        return plan

    def cancel(self) -> int:
        """Cancel what runs of this query now, from another thread; returns how many runs it had.

        What was made of it (`q & other`, `q[:9]`, its facets and pages) is cancelled too; the same
        text that somebody else asks is another query, and goes on.
        """
        return self.request.stop()

    # --- tables -------------------------------------------------------------------------------

    def to_arrow(self, columns: list[str] | None = None) -> pa.Table:
        """Return the result as an Arrow table.

        Args:
            columns: the columns of the result to keep; of a predicate also expressions over
                samples, such as `v3.loss`. None keeps all.
        """
        plan = self.plan()
        if columns and plan.bound.source.is_predicate and not all(map(str.isidentifier, columns)):
            return self._with(texts.listing(plan, columns)).to_arrow()
        runner = self._run(plan)
        table = runner.whole() if plan.bound.narrows else None
        if table is None:
            table = runner.fetch()
        table = as_stored(table, plan.pool.catalog.samples.types)
        if columns is None:
            return table
        missing = [c for c in columns if c not in table.column_names]
        if missing:
            hint = did_you_mean(missing[0], table.column_names, "columns")
            raise BindError(f"No column '{missing[0]}' in the result.", hint, text=self.text)
        return table.select(columns)

    def to_pandas(self) -> pd.DataFrame:
        """Return the result as a pandas frame; a TIME loses its nanoseconds."""
        table = self.to_arrow()
        for number, field in enumerate(table.schema):
            if field.type == pa.time64("ns"):
                column = table.column(number).cast(pa.time64("us"), safe=False)
                table = table.set_column(number, field.name, column)
        return table.to_pandas()

    def explain(self, run: bool = True) -> Explanation:
        """Return the plan: tables and columns read, terms, and what each step took.

        Args:
            run: False binds only, and shows no figures.
        """
        return explain(self.session, self.plan(), run, self.request)

    # --- algebra ------------------------------------------------------------------------------

    def _with(self, text: str, other: Query | None = None) -> Query:
        """Return a query made of this one; it is exact, since it decides who is in it."""
        files = self.files or (other is not None and other.files)
        return self._asker.query(text, at=self.at, files=files, request=self.request)

    def exact(self) -> Query:
        """Return the query without an approximate index; verbs that work on samples ask it so."""
        return self._with(self.text) if self.approximate else self

    def limit(self, n: int) -> Query:
        """Return the first `n` of this query."""
        if n < 0:
            raise QueryError(f"limit({n}) is negative.", text=self.text)
        return self[:n]

    def take(self, n: int, seed: int = 0) -> Query:
        """Return `n` samples drawn at random from this query, the same ones for the same seed.

        They are drawn by a hash of the id, so that the text draws them again anywhere.
        """
        if n < 0:
            raise QueryError(f"take({n}) is negative.", text=self.text)
        chosen = texts.predicate(self._rows("take"))
        return self._with(f"{chosen} ORDER BY hash(id || ' {int(seed)}') LIMIT {n}")

    def sorted(self, by: str) -> Query:
        """Return the same samples in another order.

        Args:
            by: a column of samples, or an expression such as `v3.loss`; with `-` before it the
                largest values come first. NULL comes last.

        Raises:
            QueryError: it is not one column.
        """
        from slicedb.query.derived import inside

        column, direction = (by[1:], "DESC") if by.startswith("-") else (by, "ASC")
        inside.kind_of(self, column)
        order = f"{inside.enclosed(column)} {direction} NULLS LAST"
        return self._with(texts.ordered(self._rows("sorted"), order))

    def split(
        self, valid: float | str | Query | Referable = 0.2, *, seed: int = 0, group: str = ""
    ) -> tuple[Query, Query]:
        """Return two queries, what to train on and what to validate on, without a common sample.

        Args:
            valid: a fraction, drawn by a hash of the ids; a column with names of splits, such as
                `split` (samples of other splits are in neither); or what is validated on: a
                predicate, a slice or a query.
            seed: of the hash.
            group: a column whose groups are not divided by a fraction, such as `patient`.

        Raises:
            CheckError: the fraction is not between 0 and 1, or there is no such group column.
        """
        columns = self._asker.query("").columns if group else []
        if group and group.lower() not in {name.lower() for name in columns}:
            raise CheckError(f"No column '{group}' to group by.", did_you_mean(group, columns))
        if isinstance(valid, str) and valid.lower() in {name.lower() for name in self.columns}:
            train, held = (splits.named(valid, names) for names in splits.NAMES)
            return self & train, self & held
        if isinstance(valid, int | float):
            valid = splits.drawn(float(valid), seed, group)
        return self - valid, self & valid

    def where(self, text: str) -> Query:
        """Return the samples of this query that a further predicate holds for, in its order."""
        other = self._asker.query(text, at=self.at, files=self.files)
        plan, condition = self._rows("where"), texts.condition(other._rows("where"))
        return self._with(texts.narrowed(plan, condition), other)

    def __and__(self, other: Query | Referable | str) -> Query:
        return self._joined("AND", other)

    def __or__(self, other: Query | Referable | str) -> Query:
        return self._joined("OR", other)

    def __sub__(self, other: Query | Referable | str) -> Query:
        return self & ~self._other(other)

    def __invert__(self) -> Query:
        return self._with(f"{texts.predicate(self._rows('~'))} IS NOT TRUE")

    def _joined(self, word: Literal["AND", "OR"], other: Query | Referable | str) -> Query:
        right = self._other(other)
        plans = (query._rows("&, | and ~") for query in (self, right))
        return self._with(f" {word} ".join(map(texts.predicate, plans)), right)

    def _other(self, other: Query | Referable | str) -> Query:
        """Return the other side: a query, a text, or a slice by its name."""
        if isinstance(other, Query):
            return other
        text = other if isinstance(other, str) else other.reference()
        return self._asker.query(text, at=self.at)

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
        ids = self[at : at + 1].ids()
        if not ids:
            raise IndexError(f"There is no sample {at}: the query gives {self.count()}.")
        return ids[0]

    def _range(self, at: slice) -> Query:
        start, stop = at.start or 0, at.stop
        if at.step not in (None, 1) or start < 0 or (stop is not None and stop < 0):
            hint = "turn ORDER BY around to count from the end, or take a range of ids()."
            raise QueryError(f"A query has no range {at.start}:{at.stop}:{at.step}.", hint)
        size = None if stop is None else max(stop - start, 0)
        return self._with(texts.part(self.plan(), size, start))

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        shown = self.text or "SELECT * FROM samples"
        title = self.session.store.title
        return f"{shown.rstrip()} AT '{title}'" if title else shown

    def _repr_html_(self) -> str:
        from slicedb.query import notebook

        return notebook.page(self)
