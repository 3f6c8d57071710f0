"""The query language: parse, bind, plan, run. The only door to DuckDB."""

from __future__ import annotations

from slicedb.query.engine import Engine
from slicedb.query.functions.function import Call, Function, Parameter
from slicedb.query.functions.registry import functions
from slicedb.query.language.parameters import Params, fill
from slicedb.query.language.text import split_at
from slicedb.query.query import Query
from slicedb.query.run.explain import Explanation
from slicedb.query.run.plan import Reads
from slicedb.query.run.request import Request

__all__ = [
    "Call",
    "Engine",
    "Explanation",
    "Function",
    "Parameter",
    "Params",
    "Query",
    "Reads",
    "Request",
    "fill",
    "functions",
    "split_at",
]
