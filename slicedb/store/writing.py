"""Write tables: make, replace and drop them, append rows, add columns, keep versions."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TypeAlias

import pyarrow as pa

from slicedb import sql
from slicedb.errors import ConflictError, DatabaseError, SliceDBError
from slicedb.schema import spoken
from slicedb.store import absent
from slicedb.store.committing import Batches, changed_since, hint_for, is_conflict
from slicedb.store.door import passing
from slicedb.store.dropped import FRAGMENT_ROWS, LAYOUT, make_anew
from slicedb.store.files import first_sentence
from slicedb.store.joining import Joiner
from slicedb.store.upkeep import next_fragment, pins_of, tags_of

Rows: TypeAlias = pa.Table | Iterable[pa.Table]

_PRIMARY_KEY = {b"lance-schema:unenforced-primary-key": b"true"}
_IDS = {b"lance-encoding:compression": b"lz4"}
"""How ids are stored: Lance's own choice for texts, FSST, takes twice as long to write and a third
more to read, for the same size."""


def lacking(schema: pa.Schema, field: pa.Field) -> pa.Field | None:
    """Return what a table lacks of a column: all of it, fields of its structures, or nothing.

    >>> boxes = lambda *names: pa.list_(pa.struct([(name, pa.int64()) for name in names]))
    >>> lacking(pa.schema([("o", boxes("x"))]), pa.field("o", boxes("x", "y"))).type
    ListType(list<item: struct<y: int64>>)
    """
    if field.name not in schema.names:
        return field
    kind, present = field.type, schema.field(field.name).type
    if not (pa.types.is_list(kind) and pa.types.is_list(present)):
        return None
    kind, present = kind.value_type, present.value_type
    if not (pa.types.is_struct(kind) and pa.types.is_struct(present)):
        return None
    new = [part for part in kind if present.get_field_index(part.name) < 0]
    return pa.field(field.name, pa.list_(pa.struct(new))) if new else None


class Writer(Joiner):
    """What can be written to a database's tables."""

    def create(self, name: str, schema: pa.Schema, rows: Rows | None = None) -> bool:
        """Create a table, and return whether it was not there; an existing one stays as it is.

        Args:
            name: of the table.
            schema: its columns and metadata.
            rows: what it holds from its first version on, a table or several one after the
                other; None makes it empty. What they raise as they come leaves no table.

        Raises:
            DatabaseError: there is a table whose name differs by case only.
        """
        import lance

        if self.has(name):
            return False
        if (twin := sql.twin_of(name, self.names())) is not None:
            new, old = (n.partition("__")[2] or n for n in (name, twin))
            raise DatabaseError(
                f"'{new}' differs from '{old}', which is there, by case only: queries read both as "
                "one name.",
                f"use '{old}', or take another name.",
            )
        if name in self.names(absent=True):
            return self._create_again(name, schema, rows)
        first = _First(schema, rows)
        with passing("create", name):
            try:
                made = self.is_local and make_anew(self._root, name, first.reader())
                if not made:
                    lance.write_dataset(
                        first.reader(),
                        self._uri(name),
                        mode="create",
                        storage_options=self.files.options,
                        **LAYOUT,
                    )
            except (OSError, ValueError, RuntimeError, SliceDBError) as error:
                if not first.error and (self.has(name) or "already exists" in str(error)):
                    return False
                if self.is_local and not self.has(name):  # LanceDB would list what is left of it
                    shutil.rmtree(self._uri(name), ignore_errors=True)
                if first.error:
                    raise first.error from None
                raise DatabaseError(
                    f"Cannot create table '{spoken(name)}': {first_sentence(error)}",
                    hint_for(error),
                ) from error
        self._dirty.add(name)
        if rows is not None:
            self.tend(name)
        return True

    def _create_again(self, name: str, schema: pa.Schema, rows: Rows | None) -> bool:
        """Create a table of which commits keep versions; its version numbers go on."""
        absent.unmark(self.files, name)
        try:
            self.replace(name, schema, rows, expected_version=self.version(name))
        except ConflictError:  # another process was faster
            return False
        except SliceDBError:  # of the rows, as they came
            absent.mark(self.files, name)
            raise
        return True

    def replace(
        self,
        name: str,
        schema: pa.Schema,
        rows: Rows | None = None,
        *,
        expected_version: int,
    ) -> int:
        """Give a table other columns, metadata and rows in one commit; returns the version.

        The versions before stay, and so do their pins. A writer that is killed or fails leaves
        the table as it was.

        Args:
            name: the table.
            schema: its columns and metadata from now on.
            rows: its rows from now on, a table or several one after the other; None leaves none.
            expected_version: the version that is replaced; Lance commits the next one or nothing.
                0 says that there was no table.

        Raises:
            ConflictError: the table has changed since that version, or has been created since.
        """
        import lance

        if not expected_version:
            raise changed_since(name, expected_version)
        first, uri = _First(schema, rows), self._uri(name)
        version = LAYOUT["data_storage_version"]
        with passing("replace", name):
            try:
                parts = lance.fragment.write_fragments(
                    first.reader(),
                    uri,
                    mode="overwrite",
                    data_storage_version=version,
                    max_rows_per_file=FRAGMENT_ROWS,
                    storage_options=self.files.options,
                )
                # With no retries an overwrite is strict: it is never moved behind another commit.
                done = lance.LanceDataset.commit(
                    uri,
                    lance.LanceOperation.Overwrite(first.schema, parts),
                    read_version=expected_version,
                    max_retries=0,
                    storage_options=self.files.options,
                )
            except (OSError, ValueError, RuntimeError, SliceDBError) as error:
                if first.error:
                    raise first.error from None
                if is_conflict(error):
                    raise changed_since(name, expected_version) from error
                raise DatabaseError(
                    f"Writing table '{spoken(name)}' failed: {first_sentence(error)}",
                    hint_for(error),
                ) from error
        self._dirty.add(name)
        self.tend(name)
        return int(done.version)

    def rewrite(self, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
        """Read a small table, change it and write it whole, again where another was faster.

        Args:
            name: the table.
            change: from the rows, with the metadata of their schema, to those that replace them;
                raises where they may not be changed.
        """

        def write() -> None:
            version = self.version(name)
            rows = change(self.table(name, version=version).cast(self.schema(name, version)))
            self.replace(name, rows.schema, rows, expected_version=version)

        self._persist(name, write, again=True)

    def append(self, name: str, batches: Batches, *, expected_version: int | None = None) -> int:
        """Add rows whose ids are known to be new; returns the version written.

        Columns that are left out become null.

        Args:
            name: the table.
            batches: the rows.
            expected_version: the version at which the ids were seen to be new; the rows are not
                added where another writer has changed the table since. The table is then not
                tended either: who appends in parts calls `tend` behind the last.

        Raises:
            ConflictError: the table has changed since that version.
        """
        import lance

        rows = self._fitted(name, batches)
        if expected_version is not None:
            return self.attempt(
                name, lambda: self._append_at(name, rows, expected_version), "append"
            )

        def write() -> int:
            written = lance.write_dataset(
                rows,
                self._uri(name),
                mode="append",
                max_rows_per_file=FRAGMENT_ROWS,
                storage_options=self.files.options,
            )
            return int(written.version)

        version = self.attempt(name, write, "append")
        self.tend(name)
        return version

    def _append_at(self, name: str, rows: pa.Table, version: int) -> int:
        """Append to one version, or not at all.

        Lance moves an append behind whatever was committed meanwhile, rows of the same ids among
        it, and to take it back afterwards is too late: others have seen it, or this process is
        killed in between. A `Merge`, which states all fragments of the table, is never moved.
        """
        import lance

        uri, data_version = self._uri(name), LAYOUT["data_storage_version"]
        dataset = self.dataset(name)
        if dataset.version != version:
            raise changed_since(name, version)
        parts = lance.fragment.write_fragments(
            rows,
            uri,
            mode="append",
            data_storage_version=data_version,
            max_rows_per_file=FRAGMENT_ROWS,
            storage_options=self.files.options,
        )
        for number, part in enumerate(parts, next_fragment(dataset)):
            part.id = number
        before = [fragment.metadata for fragment in dataset.get_fragments()]
        whole = lance.LanceOperation.Merge([*before, *parts], dataset.lance_schema)
        try:
            written = lance.LanceDataset.commit(
                uri,
                whole,
                read_version=version,
                max_retries=0,
                storage_options=self.files.options,
            )
        except (OSError, ValueError, RuntimeError) as error:
            if is_conflict(error):
                raise changed_since(name, version) from error
            raise
        return int(written.version)

    def add_columns(self, name: str, fields: Sequence[pa.Field]) -> None:
        """Add columns, null in every row; existing ones are left alone.

        A list of structures that is there already gets the fields that it lacks.
        """

        def write() -> None:
            dataset = self.dataset(name)
            new = [part for field in fields if (part := lacking(dataset.schema, field))]
            if new:
                dataset.add_columns(new)

        self.attempt(name, write, "add columns")

    def add_values(self, name: str, values: pa.Table, version: int) -> None:
        """Add columns with a value for every row; nothing else is written.

        Args:
            name: the table.
            values: the new columns, their rows in stored order.
            version: the version whose rows they follow.

        Raises:
            ConflictError: the table has changed since.
        """

        def write() -> None:
            dataset = self.dataset(name)
            if dataset.version != version:
                raise changed_since(name, version)
            batches = values.combine_chunks().to_batches(max_chunksize=FRAGMENT_ROWS)
            dataset.add_columns(pa.RecordBatchReader.from_batches(values.schema, batches))

        self.attempt(name, write, "add columns")

    def drop_columns(self, name: str, columns: Sequence[str]) -> None:
        """Remove columns; earlier versions of the table keep them."""
        self.attempt(name, lambda: self.dataset(name).drop_columns(list(columns)), "drop columns")

    def set_metadata(self, name: str, values: dict[str, str]) -> None:
        """Store text in the metadata of a table's schema, which adds a version."""
        self.attempt(name, lambda: self.dataset(name).update_schema_metadata(values), "metadata")

    def change_metadata(self, name: str, key: str, change: Callable[[str | None], str]) -> None:
        """Change a stored text without losing what others write meanwhile.

        Args:
            name: the table.
            key: of the text.
            change: from the present text, None where there is none, to the new one; called
                again when another writer was faster.
        """

        def write() -> None:
            dataset = self.dataset(name)
            text = (dataset.schema.metadata or {}).get(key.encode())
            dataset.update_schema_metadata({key: change(None if text is None else text.decode())})

        self.attempt(name, write, "metadata")

    def pin(self, name: str, version: int, tag: str) -> None:
        """Keep a version through every cleanup, under a tag (letters, digits, `_`, `-`, `.`)."""
        with self._reading(name):
            tags = tags_of(self.dataset(name))
        if tag in tags:
            return

        def write() -> None:
            dataset = self.dataset(name)
            if tag not in tags_of(dataset):  # another process may have been faster
                dataset.tags.create(tag, version)

        self.attempt(name, write, "pin")

    def unpin(self, name: str, tag: str) -> None:
        """Release a pinned version; an unknown tag is ignored."""
        dataset = self.dataset(name)
        with self._reading(name):
            tags = tags_of(dataset)
        if tag in tags:
            with passing("unpin", name), contextlib.suppress(ValueError, OSError):
                dataset.tags.delete(tag)  # another process may have been faster

    def pins(self, name: str, older_than: timedelta | None = None) -> dict[str, int]:
        """Return the pinned versions of a table, by tag; only those made so long ago, if given."""
        dataset = self.dataset(name)
        with self._reading(name):
            return pins_of(dataset, older_than)


def _as_key(field: pa.Field) -> pa.Field:
    # Lance then refuses that two writers insert the same new id at once.
    return field.with_nullable(False).with_metadata(_PRIMARY_KEY | _IDS)


class _First:
    """The rows of a table's first version, in its types and with `id` as the key.

    Args:
        schema: the columns; those that the rows lack are null.
        rows: a table, or several one after the other.
    """

    def __init__(self, schema: pa.Schema, rows: Rows | None) -> None:
        fields = [_as_key(field) if field.name == "id" else field for field in schema]
        self.schema = pa.schema(fields, metadata=schema.metadata)
        self.error: Exception | None = None
        """What the rows raised as they came, of which Lance leaves the text only."""
        self._rows = rows if rows is not None else self.schema.empty_table()

    def reader(self) -> pa.RecordBatchReader | pa.Table:
        """Return the rows; where they are several tables, they can be read once."""
        if isinstance(self._rows, pa.Table):
            return self._fitted(self._rows)
        return pa.RecordBatchReader.from_batches(self.schema, self._batches(self._rows))

    def _batches(self, tables: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
        try:
            for table in tables:
                yield from self._fitted(table).to_batches()
        except Exception as error:
            self.error = error
            raise

    def _fitted(self, rows: pa.Table) -> pa.Table:
        for field in self.schema:
            if field.name not in rows.column_names:
                rows = rows.append_column(field, pa.nulls(len(rows), field.type))
        try:
            return rows.select(self.schema.names).cast(self.schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
            raise DatabaseError(f"Rows do not fit the table: {first_sentence(error)}") from error
