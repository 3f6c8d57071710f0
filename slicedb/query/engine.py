"""The engine: parses, binds and runs the queries of one database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.query.bound.bound import CalibrationNamed
from slicedb.query.query import Overlays, Query, ToTorch
from slicedb.query.run.plan import Plan
from slicedb.query.run.planner import Planner
from slicedb.query.run.queue import Queue
from slicedb.query.run.request import Request, asking
from slicedb.query.run.session import Session
from slicedb.vectors.pictures import Picture

if TYPE_CHECKING:
    from slicedb.embedding import Encoder
    from slicedb.store import Store


class Engine:
    """Parses, binds and runs queries over one database.

    Args:
        store: the database.
        slice_named: gives a slice's query text (live) or its keys (frozen).
        encoder: gives the encoder that an embedding was made with; None opens the one on record.
        calibration_named: gives what a slice was calibrated to.
        timeout: seconds that one run may take, 0 is no limit; None takes SLICEDB_TIMEOUT, else 600.
        memory_limit: what one run may allocate, such as "4GB"; None takes SLICEDB_MEMORY, else
            half of all.
        result: what a result may take, such as "1GB"; None takes SLICEDB_RESULT, else all of that.
        queue: where runs wait for a place; several engines may share one.
        allow_files: whether image('file') may read files, where a call does not say.
        to_torch: makes a torch dataset of keys; `Query.to_torch` calls it.
        overlays: gives the pictures of keys with a model's maps laid over them, for a notebook.
    """

    def __init__(
        self,
        store: Store,
        *,
        slice_named: Callable[[str], str | np.ndarray],
        encoder: Callable[[str], Encoder] | None = None,
        calibration_named: CalibrationNamed | None = None,
        timeout: float | None = None,
        memory_limit: str | None = None,
        result: str | None = None,
        queue: Queue | None = None,
        allow_files: bool = False,
        to_torch: ToTorch | None = None,
        overlays: Overlays | None = None,
    ) -> None:
        self.store = store
        self.session = Session(
            store,
            encoder=encoder,
            timeout=timeout,
            memory_limit=memory_limit,
            result=result,
            queue=queue,
        )
        self.planner = Planner(self.session, slice_named, calibration_named)
        self.allow_files = allow_files
        self.to_torch = to_torch
        self.overlays = overlays

    def query(
        self,
        text: str | Query,
        *,
        at: dict[str, int] | None = None,
        files: bool | None = None,
        approximate: bool = False,
        request: Request | None = None,
        pictures: Sequence[Picture] = (),
    ) -> Query:
        """Return a query, parsed and bound; no row is read.

        Args:
            text: a predicate over samples or a SELECT; a query is taken as its text.
            at: versions of tables to ask; the others are asked at their latest, or at those of the
                moment that a request with a lag is answered from.
            files: whether image('file') may read files; None asks `allow_files`.
            approximate: whether `ORDER BY similarity(...) DESC LIMIT k` may take its rows from an
                approximate index, where there is one; nothing else ever does.
            request: what its runs belong to; None makes one of its own.
            pictures: those that the text speaks of by name, beside those that other queries hold.

        Raises:
            ParseError, BindError, SandboxError: as `slicedb.errors` says, with the place.
        """
        if isinstance(text, Query):
            request = request or text.request
            files, at, text = files or text.files, at if at is not None else text.at, text.text
        for each in asking(request):
            each.check()
        if at is None and (lagging := [each for each in asking(request) if each.lag]):
            at = dict(lagging[-1].moment(self.session.moments).versions)
        files = self.allow_files if files is None else files
        files = files and all(each.files for each in asking(request))
        query = Query(
            self,
            text,
            at=at,
            files=files,
            approximate=approximate,
            request=request,
            pictures=self.session.vectors.pictures.hold(pictures, text),
        )
        query.plan()
        return query

    def sql(self, text: str, *, at: dict[str, int] | None = None, files: bool = False) -> pa.Table:
        """Run any query and return its result."""
        return self.query(text, at=at, files=files).to_arrow()

    def turn(self) -> AbstractContextManager[None]:
        """Wait once for a place, and hold it for all queries that the thread runs inside `with`."""
        return self.session.turn()

    def renew(self) -> None:
        """Answer later queries from what is there now, whatever lag their requests allow."""
        self.session.moments.renew()

    def cancel(self) -> int:
        """Cancel every query that runs now, from another thread; returns how many there were."""
        return self.session.cancel()

    def plan(
        self,
        text: str,
        at: dict[str, int] | None = None,
        files: bool = False,
        approximate: bool = False,
        request: Request | None = None,
    ) -> Plan:
        """Return the plan of a text; see `query` for the arguments."""
        return self.planner.plan(text, at, files, approximate, request)
