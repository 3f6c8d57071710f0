"""The verbs that ask: queries, single samples, versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from slicedb.database.held import Held
from slicedb.errors import CheckError, QueryError, suggesting

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from slicedb.analysis.sheet import Sheet
    from slicedb.commits import Commit, Difference
    from slicedb.database.given import Path
    from slicedb.export import ExportReport
    from slicedb.query import Params, Query, Request
    from slicedb.query.editor.completion import Completions
    from slicedb.query.editor.names import Names as Nameable
    from slicedb.query.editor.problems import Problems
    from slicedb.selection import On, Selection
    from slicedb.show.html import Html
    from slicedb.slices import Applied
    from slicedb.store.thumbnails import Thumbnails
    from slicedb.vectors.pictures import Picture as HandedIn


@suggesting
class Asking(Held):
    """Ask: queries, single samples, versions."""

    def to_arrow(self) -> pa.Table:
        """Return the samples as an Arrow table, see `Query.to_arrow`."""
        return self.query().to_arrow()

    def to_pandas(self) -> pd.DataFrame:
        """Return the samples as a pandas frame, see `Query.to_pandas`."""
        return self.query().to_pandas()

    def request(
        self,
        *,
        timeout: float | None = None,
        memory: str | None = None,
        client: str = "",
        files: bool = True,
        lag: float = 0.0,
        patient: bool = False,
    ) -> Request:
        """Return what bounds the queries of one caller together, and cancels them together.

        `with db.request(timeout=5) as request:` holds for all that the thread asks inside, also
        for verbs that ask queries, such as `db.show`. `request.cancel()`, from any other thread,
        ends what runs of it, and the queries of others go on.

        Args:
            timeout: seconds from now until which everything has to be done, waiting included.
            memory: what one query may take, such as "1GB", or "25%" of what the database allows.
                It is what the process grows by while the query runs.
            client: who asks, such as the name of a session. A named client runs at most half of
                what may run at once, and has at most 32 queries waiting.
            files: False lets no text inside read a file by `image('file')`.
            lag: seconds for which answers may be behind what is written meanwhile. Above 0, all
                queries inside are answered from the same versions of all tables, and of a database
                of 100,000 samples or more these are the newest ones that are ready: while another
                process writes, nobody waits until its change is loaded. `request.behind` says by
                how many seconds they may be behind.
            patient: let the queries of everybody else go first.

        Raises:
            OptionError: a bound or the lag is no number of seconds, or no size.
        """
        from slicedb.query import Request

        return Request(
            timeout=timeout, memory=memory, client=client, files=files, lag=lag, patient=patient
        )

    def query(
        self,
        text: str = "",
        params: Params | None = None,
        *,
        at: str | None = None,
        approximate: bool = False,
        timeout: float | None = None,
        memory: str | None = None,
        files: bool | None = None,
    ) -> Query:
        """Parse and bind a query; no row is read until one is asked for.

        Args:
            text: a predicate or a SELECT. `AT 'commit'` at its end is the same as `at`.
            params: values of `$name` (a dictionary) or of `?` and `$1` (a list) in the text; in
                `image($name)` a picture: encoded bytes, a Pillow image, or uint8 (h, w, 3).
            at: query an earlier commit, tag or branch instead of the present state.
            approximate: let `ORDER BY similarity(...) DESC LIMIT k` without conditions use the
                approximate index, see `index`; everything else is exact.
            timeout: seconds that each verb of the query may take; 0 means no limit; by default as
                the database was opened.
            memory: memory that each verb of the query may use, such as "1GB", or "25%" of what the
                database allows.
            files: whether the text may read pictures by `image('file')`; by default as the database
                was opened; where that was files=False, True does not change it.

        Raises:
            QueryError: with the line, the column and the token.
            DatabaseError: there is no such commit.
            OptionError: `timeout` is negative, or `memory` is no size.
        """
        from slicedb.query import Request

        request = Request(seconds=timeout, memory=memory)
        allowed = self._settings["files"] and files is not False
        return self._asked(text, params, at, allowed, approximate=approximate, request=request)

    def sql(self, text: str, params: Params | None = None, *, at: str | None = None) -> pa.Table:
        """Answer any SELECT as an Arrow table.

        Args:
            text: a SELECT or a predicate; it may not name local files.
            params: values of `$name` or of `?` in the text, see `query`.
            at: query an earlier commit, tag or branch instead of the present state.
        """
        from slicedb.show.ipython import show_tables

        show_tables()
        return self._asked(text, params, at, files=False).to_arrow()

    def _asked(
        self,
        text: str,
        params: Params | None,
        at: str | None,
        files: bool | None = None,
        approximate: bool = False,
        request: Request | None = None,
    ) -> Query:
        from slicedb.query.language.parameters import Filled, filled
        from slicedb.query.language.text import split_at

        pictures: list[HandedIn] = []
        whole = Filled(text, text) if params is None else filled(text, params, pictures)
        asked, written = split_at(whole.text)
        if at and written and self.commits.get(at).id != self.commits.get(written).id:
            raise QueryError(
                f"The text asks AT '{written}', and at= is '{at}'.", "name one.", text=text
            )
        commit = written or at
        engine = (self.at(commit) if commit else self).engine
        try:
            return engine.query(
                asked, files=files, approximate=approximate, request=request, pictures=pictures
            )
        except QueryError as error:
            whole.place_back(error)  # and not at a value, or in a text that lacks its AT
            raise

    def check(self, text: str, params: Params | None = None, *, at: str | None = None) -> Problems:
        """Return what is wrong with a query text, with its places, instead of raising it.

        Nothing is read but names and types; what only a row can show is found when it runs.

        Args:
            text: a predicate or a SELECT, finished or not.
            params: values of `$name` or of `?` in the text, see `query`.
            at: the commit, tag or branch that it would ask, see `query`.

        Returns:
            Nothing in it where the text may be asked; it is then false.
        """
        from slicedb.query.editor.problems import problems

        return problems(text, lambda: self.query(text, params, at=at))

    def complete(self, text: str, place: int | None = None, *, most: int = 50) -> Completions:
        """Return what may stand at a place of a query text, the likeliest first.

        Columns with their types, models and their columns, functions with their signatures, slices,
        commits, the commonest values of a column behind `=` or `IN (`, and words of SQL. The text
        may be unfinished or wrong.

        Args:
            text: a predicate or a SELECT, as far as it is written.
            place: characters before the place; by default it is the end.
            most: how many are returned.

        Raises:
            CheckError: there is no such place, or `most` is below 1.
        """
        from slicedb.query.editor.completion import completions

        return completions(text, len(text) if place is None else place, self.names(), most)

    def names(self) -> Nameable:
        """Return what a query text may name: columns, models, slices, values of a column."""
        from slicedb.query.editor.names import Names

        def slices() -> list[tuple[str, str]]:
            return [(s.name, s.text) for s in self.slices.list()]

        def commits() -> list[tuple[str, str]]:
            listed = self.commits.history()
            tags = [(tag, commit.message) for commit in listed for tag in commit.tags]
            branches = [(branch, "branch") for branch in self.commits.branches()]
            return [*tags, *branches, *((commit.id, commit.message) for commit in listed)]

        return Names(self.engine, slices, commits)

    @cached_property
    def _selection(self) -> Selection:
        from slicedb.selection import Selection

        return Selection(self.store, self.slices, self.query)

    def keys(self, on: On = None) -> np.ndarray:
        """Return the int64 keys of what `on` names, in its order."""
        return self._selection.keys(on)

    def _predicted(self) -> list[str]:
        """Return the models that have predictions."""
        from slicedb.schema import PREDICTIONS

        tables = self.store.names()
        return [n.removeprefix(PREDICTIONS) for n in tables if n.startswith(PREDICTIONS)]

    def _embedding(self, name: str | None) -> str | None:
        """Return the embedding that is named, else the one that queries take, else None."""
        from slicedb.schema import EMBEDDINGS

        if name is not None:
            self.engine.session.vectors.table(name)  # a misspelt name is told
            return name
        names = [n.removeprefix(EMBEDDINGS) for n in self.store.names() if n.startswith(EMBEDDINGS)]
        return "default" if "default" in names else names[0] if len(names) == 1 else None

    def show(
        self,
        id: str,
        *,
        neighbours: int = 5,
        embedding: str | None = None,
        remote: bool = True,
    ) -> Sheet:
        """Gather everything that is known about one sample; what it gives shows itself.

        Its columns, annotated boxes and label map, what every model says of it, the slices that it
        is in, the nearest samples, and its edits. What cannot be told, such as the members of a
        broken slice, is noted.

        Args:
            id: the sample, which may be a broken one.
            neighbours: number of nearest samples, 0 for none.
            embedding: the embedding that decides which samples are nearest; by default the one that
                queries use.
            remote: also fetch a picture that lies in a bucket or on a web server; otherwise it
                counts as one that cannot be read.

        Raises:
            UnknownSampleError: there is no such sample.
        """
        from slicedb.analysis.sheet import sheet

        if neighbours < 0:
            raise CheckError(f"neighbours={neighbours} is negative.", "take 0 for none.")
        name = self._embedding(embedding)
        return sheet(self.store, id, self.query, self.slices, neighbours, name, remote=remote)

    def _cards(self, rows: pa.Table, models: Sequence[str]) -> Html:
        """Return the pictures of rows with ids, with what models say of them."""
        from slicedb.query import cards
        from slicedb.schema import keys_of

        return cards.cards(self.store, keys_of(rows["id"].to_pylist()), models)

    def thumbnails(self, on: On = None, *, side: int = 160, remote: bool = True) -> Thumbnails:
        """Return small JPEGs of samples, made once and kept in the cache folder of the database.

        They are displayed upright, and known by their picture's sha256. The cache takes at most 1
        GiB of disk, those used longest ago make room, and it may be deleted at any time. A broken
        picture gets a gray one with a cross, and is counted.

        Args:
            on: the samples, such as a query, a slice or their keys; by default all.
            side: pixels that the longer side has at most, from 8 to 2048.
            remote: also fetch pictures that lie in a bucket or on a web server; otherwise those
                that the cache lacks count as broken.

        Raises:
            CheckError: the side is out of range.
        """
        from slicedb.store.thumbnails import thumbnails

        return thumbnails(self.store, self.keys(on), side, remote=remote)

    def export(self, on: On, dest: Path, *, form: str | None = None) -> ExportReport:
        """Write samples and their metadata to files: all of them, or nothing at that place.

        Args:
            on: the samples; their order is kept.
            dest: a new folder, or a file ending in .csv, .parquet, .json (COCO) or .tar
                (WebDataset).
            form: format to write: folder, copy, csv, parquet, coco, voc, yolo, huggingface,
                label-studio, webdataset or masks; by default the ending of `dest` decides.

        Returns:
            How many were written, and notes on what the format has no room for.

        Raises:
            SliceDBError: an unknown format or ending, or a destination that exists already or
                cannot be written.
        """
        from slicedb.export import export

        return export(self.store, self.keys(on), dest, form=form)

    def apply(self, folder: Path, *, dry_run: bool = False) -> list[Applied]:
        """Register the slice files of a folder, and return what changed.

        Args:
            folder: a folder of .sql files, or one of them.
            dry_run: only report what would change.
        """
        return self.slices.apply(folder, dry_run=dry_run)

    def commit(self, message: str, *, tag: str | None = None) -> Commit:
        """Record the version of every table under one id.

        Where decisions are being applied (`apply_edits`), it waits for them, and it finishes those
        of a process that was killed: a commit holds all of them or none.

        Args:
            message: what changed.
            tag: a name for the commit.
        """
        return self.commits.commit(message, tag=tag)

    def diff(self, before: str | None = None, after: str | None = None) -> Difference:
        """Compare two commits: samples added, removed and relabelled, and the slices' members.

        Args:
            before: a commit; by default the last one.
            after: a commit; by default the present state.
        """
        from slicedb.slices.moves import moves

        difference = self.commits.diff(before, after)
        old = self.at(before if before is not None else "HEAD")
        new = self.at(after) if after is not None else self
        return replace(difference, slices=moves(new.store, old.slices, new.slices))
