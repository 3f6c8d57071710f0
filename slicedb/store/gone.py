"""Tell a bucket that is gone from a table that is damaged: Lance raises the same for both."""

from __future__ import annotations

from slicedb.errors import DatabaseError, SourceError, UnreachableError
from slicedb.sources import Files, unreachable


def gone(files: Files, error: BaseException) -> UnreachableError | None:
    """Return the error for a bucket that is gone; None where the bucket is there, or a folder.

    Args:
        files: of the database.
        error: what Lance raised. Where it does not say, the bucket is looked at for some seconds.
    """
    if files.is_local or isinstance(error, SourceError):
        return error if isinstance(error, UnreachableError) else None
    if said := unreachable(str(error), files.root):
        return said
    try:
        files.kind()
    except UnreachableError as unanswered:
        return unanswered
    except SourceError as refused:
        return UnreachableError(refused.message, refused.hint)
    return None


def as_database_error(error: SourceError) -> DatabaseError:
    """Return an error of a bucket as one of the database that lies in it."""
    if isinstance(error, DatabaseError):
        return error
    return DatabaseError(error.message, error.hint)
