"""The handle a user holds: `slicedb.open(path)` gives a `Database` with every verb.

Each verb is a signature, its documentation and a call into the room that does the work. What a
verb needs is imported when it is called, so that the command line reads signatures and
documentation from here without loading anything heavy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from slicedb.database.feeding import Feeding
from slicedb.errors import suggesting

if TYPE_CHECKING:
    from slicedb.curate.health import Health
    from slicedb.database.given import Path
    from slicedb.database.held import Settings
    from slicedb.merge import MergeReport
    from slicedb.progress import Watch
    from slicedb.web.serve import Server


def open(
    path: Path = "data.slicedb",
    *,
    create: bool = True,
    timeout: float | None = None,
    memory: str | None = None,
    result: str | None = None,
    at_once: int | None = None,
    files: bool = True,
    storage_options: Mapping[str, str] | None = None,
) -> Database:
    """Open a database, and create it when it is missing.

    Args:
        path: a directory, or an object-store URI.
        create: False refuses to create.
        timeout: seconds that one query may take, 0 is no limit; by default SLICEDB_TIMEOUT, or
            600.
        memory: what one query may take, such as "4GB" or "50%"; by default SLICEDB_MEMORY, or half
            of the machine's.
        result: what the result of one query may take, such as "1GB"; by default SLICEDB_RESULT, or
            as much as the query.
        at_once: how many queries may run at once, the others wait; by default SLICEDB_AT_ONCE, or
            one per core and at least four.
        files: False lets no query text read a file, wherever the text comes from: not even
            `image('file')`, which is the one way there is.
        storage_options: settings of the object store, in the words of object_store and Lance, for
            example endpoint or region; for this process.

    Raises:
        DatabaseNotFoundError: there is none and `create` is False.
        DatabaseError: the address cannot be reached, or its store does not refuse a second write
            of a new file, which commits rest on.
        FormatError: it was written by a newer SliceDB.
    """
    from slicedb.store import Store

    store = Store.open(path, create=create, storage_options=storage_options)
    database = Database(
        store, timeout=timeout, memory=memory, result=result, at_once=at_once, files=files
    )
    _finish(database)
    return database


def _finish(database: Database) -> None:
    """Finish the edits that a process was applying when it was killed."""
    from slicedb.commits import batch

    begun = batch.begun(database.store)
    if begun is not None and not begun.is_at_work():
        from slicedb import editing

        editing.finish(database.store, database.commits)


def _reopened(
    path: str,
    title: str,
    settings: Settings,
    options: Mapping[str, str] | None = None,
) -> Database:
    """Return the database that was pickled."""
    there = open(path, create=False, storage_options=options, **settings)
    return there.at(title) if title else there


@suggesting
class Database(Feeding):
    """Images, labels, embeddings and every model's predictions, and the slices over them.

    Args:
        store: its tables; `slicedb.open(path)` opens them.
        timeout: see `open`.
        memory: see `open`.
        result: see `open`.
        at_once: see `open`.
        files: see `open`.
    """

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the path alone: another process opens the database again, at the same commit.

        Settings of an object store go along, and with them what secrets they hold.
        """
        options = self.store.files.options
        return _reopened, (self.path, self.store.title, self._settings, options)

    def _repr_html_(self) -> str:
        return self.info()._repr_html_()

    def merge(
        self,
        other: Path | Database,
        *,
        on_conflict: Literal["ours", "theirs"] | None = None,
        prefix: str = "",
        rename: Mapping[str, str] | Sequence[str] = (),
        message: str | None = None,
        progress: Watch = None,
    ) -> MergeReport:
        """Merge another database: samples, labels, tags, predictions, vectors, models and slices.

        New samples are added with their pictures; of one that is here already, values that only
        the other has are filled in, and tags of both are kept. Predictions and vectors are merged
        where the same model or encoder made them. Everything is checked before a row is written,
        and committed once at the end; a call that was cut off goes on when it is made again.
        Commits, runs and Grad-CAM maps of the other stay there, which is counted and said.

        Args:
            other: the other database, or its path; it is only read.
            on_conflict: whose value holds where samples, predictions or vectors differ: ours or
                theirs; by default a difference is refused.
            prefix: text to put before every id of the other, which keeps all samples apart.
            rename: new names for models, embeddings and slices of the other: a mapping, or texts
                old=new.
            message: message of the commit; by default "merge" and the path of the other.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            DatabaseError: a sample or a prediction differs and `on_conflict` is not given; or a
                model is another one in the other database, or a column has another type.
            FingerprintError: vectors of one name were made by different encoders.
            SliceError: a slice is another one in the other database.
        """
        from slicedb.merge import Pair, merge, names_of

        theirs = other if isinstance(other, Database) else open(other, create=False)
        pair = Pair(self.store, theirs.store, on_conflict, prefix.strip("/"), names_of(rename))
        report = merge(pair, message or f"merge {theirs.path}", self.columns.refresh, progress)
        for name in report.embeddings:
            self.engine.session.approximate.extend(name, replaced=False)
        return report

    def health(
        self, bounds: Path | None = None, *, model: str | None = None, progress: Watch = None
    ) -> Health:
        """Look at everything that can be wrong with a collection: one line each, with its query.

        Quarantined and unlabelled samples, duplicates and their labels, leaks between splits, poor
        pictures, likely label errors, drift since the last commit, stale and broken slices, looks
        at held-out slices, and what the doctor finds. What cannot be looked at is said.

        Args:
            bounds: a file such as `health.toml`, or its folder: `duplicates = 0.02` and so on; by
                default that of the working directory, else the bounds of `slicedb.curate.bounds`.
            model: the model whose predictions find label errors; it must not have seen the labels.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            CheckError: the file is missing, or names an unknown line or a bound that is none.
        """
        from slicedb.curate.bounds import bounds as read
        from slicedb.curate.health import health

        return health(self, read(bounds), model, progress)

    def app(
        self,
        *,
        port: int | None = None,
        host: str = "127.0.0.1",
        browser: bool = True,
        read_only: bool = False,
        allow_host: Sequence[str] = (),
        root_path: str = "",
        wait: bool = False,
    ) -> Server:
        """Show the database in a browser: explore, name, judge and clean.

        Only this machine can reach it unless `host` says otherwise, and a browser gets in by a link
        that works once. A notebook shows the page in the cell where Jupyter has a proxy
        (`jupyter-server-proxy`, JupyterHub), and else a link to it.

        Args:
            port: the port to listen on; by default 8421, or the next one that is free.
            host: the address to listen on, such as 0.0.0.0 to let other machines in.
            browser: open the page in the machine's browser.
            read_only: let readers look at everything and change nothing.
            allow_host: a further name by which the page may be called, such as that of a proxy.
            root_path: the prefix under which a proxy shows the page, such as `/slicedb`; `{port}`
                in it stands for the port.
            wait: return when Ctrl-C ends it; otherwise it runs until `stop()` or the end of the
                process.

        Returns:
            The server: `url`, `link()` for another browser, `stop()`. A notebook shows it.

        Raises:
            PluginError: the packages that it needs are missing.
            CheckError: the port is taken, the address is none of this machine, or a name is none.
        """
        from slicedb.web import server

        made = server(
            self,
            port=port,
            host=host,
            read_only=read_only,
            allow_host=allow_host,
            root_path=root_path,
        )
        if wait:
            made.run(browser=browser)
        else:
            made.start(browser=browser)
        return made
