"""Offer what may stand at a place of a query text, the likeliest first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from slicedb import sql
from slicedb.errors import CheckError
from slicedb.query.editor.names import Names, has_values, own_functions, plain_functions
from slicedb.query.editor.place import Place, aliases, place_of
from slicedb.schema import PLUMBING
from slicedb.show import numbers
from slicedb.show.tabular import Grid, Part, Tabular

_STARTS = ("NOT", "SELECT", "FROM", "WITH", "ORDER BY", "LIMIT", "CASE WHEN", "EXISTS", "TRUE")
_INNER = ("NOT", "CASE WHEN", "EXISTS", "NULL", "TRUE", "FALSE", "DISTINCT")
_AFTER = "AND,OR,=,<>,>,<,>=,<=,IN (,NOT IN (,IS NULL,IS NOT NULL,LIKE,ILIKE,BETWEEN,ORDER BY,LIMIT"
_AFTER_SELECT = ",FROM,WHERE,GROUP BY,HAVING,QUALIFY,AS,JOIN,USING,UNION,EXCEPT,AT,THEN,ELSE,END"
_ORDERS = ("DESC", "ASC", "NULLS LAST", "NULLS FIRST", "LIMIT", "OFFSET", "AT")
_RAREST = 2
"""Characters from which DuckDB's own functions and far matches are offered."""
_COMMON = frozenset(
    "count avg sum min max lower upper len length round abs coalesce contains starts_with "
    "regexp_matches list_contains hash date_trunc year month hour median stddev".split()
)
_FIRST = "label labels split tags objects caption id".split()
"""Columns that are offered before the reader's own."""
_KINDS = "value slice class tag embedding map commit column model table function keyword".split()


@dataclass(frozen=True)
class Completion:
    """One text that may stand at the place."""

    label: str
    """What a list shows."""
    kind: str
    """column, model, function, slice, commit, value, class, embedding, map, table or keyword."""
    insert: str
    """What replaces the text from `start` to `end`, quoted as it has to be."""
    start: int
    """Characters before what is replaced."""
    end: int
    detail: str = ""
    """The type of a column, the signature of a function, the text of a slice, how many samples."""
    help: str = ""
    """One sentence on a function."""


@dataclass(frozen=True)
class Completions(Tabular):
    """What may stand at a place, the likeliest first."""

    text: str
    place: int
    options: tuple[Completion, ...]

    def __len__(self) -> int:
        return len(self.options)

    def __iter__(self) -> Iterator[Completion]:
        return iter(self.options)

    def to_arrow(self) -> pa.Table:
        """Return one row per option."""
        texts, counts = pa.string(), pa.int64()
        kinds = {"label": texts, "kind": texts, "insert": texts, "start": counts, "end": counts}
        kinds |= {"detail": texts, "help": texts}
        rows = [vars(option) for option in self.options]
        return pa.Table.from_pylist(rows, pa.schema(list(kinds.items())))

    def parts(self) -> Iterable[Part]:
        """Yield a table of the options."""
        rows = [(option.insert, option.kind, option.detail) for option in self.options]
        yield Grid(["insert", "kind", "detail"], rows, "<<<") if rows else "nothing to offer"


def completions(text: str, at: int, names: Names, most: int) -> Completions:
    """Return what may stand at a place; see `Database.complete`.

    Args:
        text: the text.
        at: characters before the place.
        names: what the database has.
        most: options returned.

    Raises:
        CheckError: there is no such place, or `most` is below 1.
    """
    if not 0 <= at <= len(text):
        raise CheckError(f"The text has no place {at}.", f"take 0 to {len(text)}.")
    if most < 1:
        raise CheckError(f"complete(most={most}) offers nothing.", "take 1 or more.")
    place = place_of(text, at)
    options = [replace(o, start=place.start, end=place.end) for o in _offered(text, place, names)]
    return Completions(text, at, tuple(_ranked(options, place)[:most]))


def _offered(text: str, place: Place, names: Names) -> list[Completion]:
    role = place.role
    if role in ("nothing", "number"):
        return []
    if role == "member":
        return _members(text, place, names)
    if role == "table":
        tables = ["samples", "objects"]
        return [_named(t, "table") for t in tables] + [_named(m, "model") for m in names.models()]
    if role == "after":
        return _following(place)
    if role in _QUOTED:
        return _texts(place, names)
    expression = _expression(place, names)
    if role == "value":
        values = _values(place, names, text)
        return values if place.is_quoted else [*values, *(expression if not place.is_list else ())]
    return expression


def _members(text: str, place: Place, names: Names) -> list[Completion]:
    """Offer the columns of what stands before a dot: a model, a table, or another name of one."""
    if not place.of:
        return []
    owner = aliases(text).get(place.of[-1], place.of[-1])
    options = [_column(name, kind) for name, kind in names.columns(owner).items()]
    if owner in {model.lower() for model in names.models()}:
        of_model = [row for row in own_functions() if row["name"] == "pixel_share"]
        options += map(_function, of_model)
    if not options and owner in ("o", "x", "object"):  # [o.label FOR o IN objects]
        options = [_column(name, kind) for name, kind in names.columns("objects").items()]
    return options


def _following(place: Place) -> list[Completion]:
    if place.clause == "order":
        return [_keyword(word) for word in _ORDERS]
    words = _AFTER.split(",")
    if place.clause in ("select", "from", "group", "having", "with", "on"):
        words += _AFTER_SELECT.strip(",").split(",")
    return [_keyword(word) for word in [*words, "AT"] if word]


_QUOTED = ("slice", "commit", "embedding", "map", "tag", "split", "box", "class")


def _texts(place: Place, names: Names) -> list[Completion]:
    """Offer names that stand in quotes."""
    role = place.role
    if role == "slice":
        return [_text(name, "slice", about) for name, about in names.slices()]
    if role == "commit":
        return [_text(name, "commit", about) for name, about in names.commits()]
    if role == "embedding":
        return [_text(name, "embedding") for name in names.embeddings()]
    if role == "map":
        return [_text(name, "map") for name in names.maps()]
    if role == "class":
        return [_text(name, "class") for name in names.classes(*place.of[:1])]
    column = {"tag": "tags", "split": "split", "box": "objects"}[role]
    return [_value(value.sql, value.shown, value.n) for value in names.values(column)]


def _values(place: Place, names: Names, text: str) -> list[Completion]:
    column, kind = _resolved(place.of, names, text)
    if kind == "BOOLEAN":
        options = (Completion(word, "value", word, 0, 0) for word in ("true", "false"))
        return [] if place.is_quoted else list(options)
    if not column or not has_values(column, kind):
        return []
    values = names.values(column)
    if place.is_quoted:
        values = [value for value in values if value.sql.startswith("'")]
    return [_value(value.sql, value.shown, value.n) for value in values]


def _resolved(path: Sequence[str], names: Names, text: str) -> tuple[str, str]:
    """Return the column that a name in a text is, as an expression over samples, and its type."""
    if not path:
        return "", ""
    *owners, name = path
    owner = aliases(text).get(owners[-1], owners[-1]) if owners else "samples"
    models = {model.lower(): model for model in names.models()}
    for table in (owner, *(models if not owners and _speaks_of_model(text, models) else ())):
        known = {column.lower(): column for column in names.columns(table)}
        if name in known:
            real, kind = known[name], names.columns(table)[known[name]]
            if table == "objects":
                return ("objects", "VARCHAR") if real == "label" else ("", "")
            before = "" if table == "samples" else f"{sql.name(models.get(table, table))}."
            return f"{before}{sql.name(real)}", kind
    return "", ""


def _speaks_of_model(text: str, models: Iterable[str]) -> bool:
    """Return whether a text reads from a model's table, whose columns then need no owner."""
    return any(re.search(rf"\b(from|join)\s+\"?{re.escape(m)}\b", text, re.I) for m in models)


def _expression(place: Place, names: Names) -> list[Completion]:
    columns = sorted(names.columns().items(), key=lambda column: _place_of(column[0]))
    options = [_column(name, kind) for name, kind in columns]
    options += [_named(model, "model", insert=f"{sql.name(model)}.") for model in names.models()]
    options += [_function(row) for row in own_functions() if _fits(row, place)]
    common = [row for row in plain_functions() if row[0] in _COMMON]
    rest = [row for row in plain_functions() if row[0] not in _COMMON]
    for name, signature, about in [*common, *(rest if len(place.typed) >= _RAREST else ())]:
        options.append(Completion(name, "function", f"{name}(", 0, 0, signature, about))
    words = _INNER if place.clause or place.role != "expression" else _STARTS
    return [*options, *(_keyword(word) for word in words)]


def _place_of(column: str) -> int:
    """Return how early a column is offered: what pictures show, the reader's own, plumbing."""
    return _FIRST.index(column) if column in _FIRST else len(_FIRST) + (column in PLUMBING)


def _fits(row: dict[str, str], place: Place) -> bool:
    """Return whether a function stands by itself, and is not one that stands in another alone."""
    return row["returns"] != "target" or place.role != "expression"


def _column(name: str, kind: str) -> Completion:
    return Completion(name, "column", sql.name(name), 0, 0, kind)


def _named(name: str, kind: str, insert: str = "") -> Completion:
    return Completion(name, kind, insert or sql.name(name), 0, 0)


def _function(row: dict[str, str]) -> Completion:
    about = row["help"].split(". ")[0].rstrip(".") + "."
    return Completion(row["name"], "function", f"{row['name']}(", 0, 0, row["signature"], about)


def _text(name: str, kind: str, detail: str = "") -> Completion:
    return Completion(name, kind, sql.string(name), 0, 0, " ".join(detail.split())[:200])


def _value(written: str, shown: str, n: int) -> Completion:
    return Completion(shown, "value", written, 0, 0, numbers.count(n, "sample"))


def _keyword(word: str) -> Completion:
    return Completion(word, "keyword", word, 0, 0)


def _ranked(options: Sequence[Completion], place: Place) -> list[Completion]:
    """Return the options that fit what is typed, the best first; their own order decides ties."""
    fits = [(_fit(option.label, place.typed), option) for option in options]
    found = [(fit, option) for fit, option in fits if fit is not None]
    # A function of DuckDB that fits as well as a column still comes after it.
    order = sorted(found, key=lambda pair: (pair[0], _KINDS.index(pair[1].kind)))
    return [option for _, option in order]


def _fit(label: str, typed: str) -> int | None:
    """Return how well a name fits what is typed, 0 the best; None where it does not.

    >>> [_fit(name, "lab") for name in ("label", "my_label", "collab", "width")]
    [0, 1, 2, None]
    """
    name, wanted = label.lower(), typed.lower()
    if name.startswith(wanted):
        return 0
    if any(part.startswith(wanted) for part in re.split(r"[\W_]+", name)):
        return 1
    if wanted in name:
        return 2
    letters = iter(name)
    is_spread = len(wanted) > _RAREST and all(letter in letters for letter in wanted)
    return 3 if is_spread else None
