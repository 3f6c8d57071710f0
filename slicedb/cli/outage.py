"""End a verb whose database lies in a bucket that is gone, whatever library waits for it.

Lance asks a store that does not answer again and again, for three quarters of a minute at a time,
and so may the calls behind it. While a verb runs, a thread therefore looks at the bucket now and
then. After twenty seconds without any answer it says so and ends the process. Nothing is lost by
that: what was written is whole, and the same command goes on from there, as after a `kill -9`.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time

import click

from slicedb.errors import SourceError, UnreachableError

_BETWEEN = 5.0
"""Seconds between two looks; verbs that end before the first cost no request."""
_SOON = 1.0
"""Seconds until the next look at a bucket that did not answer the last one."""
_LONG = 20.0
"""Seconds without an answer after which the bucket counts as gone."""


def watch(address: str) -> None:
    """Look at the bucket of a database until the command that runs now has ended."""
    over = threading.Event()
    thread = threading.Thread(target=_look, args=(address, over), daemon=True)
    thread.start()
    click.get_current_context().call_on_close(over.set)


def _look(address: str, over: threading.Event) -> None:
    silent_since: float | None = None
    while not over.wait(_BETWEEN if silent_since is None else _SOON):
        began = time.monotonic()
        if answers(address):
            silent_since = None
            continue
        silent_since = silent_since or began
        silent = time.monotonic() - silent_since
        if silent > _LONG and not over.is_set():
            _end(address, silent)


def answers(address: str) -> bool:
    """Return whether anybody answers at an address, if only that he is busy; takes four seconds."""
    from slicedb.sources import files_of

    try:
        files_of(address).kind()
    except UnreachableError as error:
        return not error.is_silent
    except SourceError:
        return True
    return True


def _end(address: str, silent: float) -> None:
    line = (
        f"Error: '{address}' has not answered for {silent:.0f} seconds. Hint: check the network; "
        "what was written is kept, and the same command goes on from there."
    )
    start = "\r\x1b[K" if sys.stderr.isatty() else ""
    os.write(2, f"{start}{line}\n".encode())
    os._exit(1)  # no other end: what is being waited for hears no exception


def in_words(error: Exception) -> str:
    """Return what a library raised in words of ours, where it is that a store is gone; else ""."""
    from slicedb.sources import unreachable

    text = str(error)
    server = re.search(r"https?://[^/\s]+", text)
    gone = unreachable(text, server.group(0) if server else "the object store")
    return str(gone) if gone is not None and "LanceError" in text else ""
