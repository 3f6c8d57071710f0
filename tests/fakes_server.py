"""Processes that cost no start: forked from a server that has imported everything."""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

import pytest

_IMPORTED = """fakes_verbs fakes_judge torch lance lancedb duckdb slicedb.query slicedb.ingest
slicedb.commits slicedb.predictions slicedb.inference slicedb.judge slicedb.slices
slicedb.doctor""".split()


def server() -> ForkServerContext:
    """Return how to start processes; the server has opened nothing, so that forks are safe."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    with pytest.MonkeyPatch.context() as patch:  # what the server, started here, imports with
        patch.setenv("PYTHONWARNINGS", "ignore")  # Lance warns of forks
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        forkserver.ensure_running()
    return context
