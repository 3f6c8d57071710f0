"""The query language: parse, bind, plan, run. The only door to DuckDB."""

from __future__ import annotations

from slicedb.query.engine import Engine
from slicedb.query.explain import Explanation
from slicedb.query.parameters import Params, fill
from slicedb.query.plan import Reads
from slicedb.query.query import Query
from slicedb.query.text import split_at
from slicedb.query.words import functions

__all__ = ["Engine", "Explanation", "Params", "Query", "Reads", "fill", "functions", "split_at"]
