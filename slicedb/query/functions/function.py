"""One function of the query language, and one call of it: built-in or of a package.

A package adds a function with an entry point in the group `slicedb.functions` that names a
`Function`, or a list of them. What it needs is the function's row: how it is written, which
arguments it takes, and the SQL that a call becomes.

    from slicedb.query import Call, Function, Parameter

    def is_bright(call: Call) -> str:
        return f"({call.column('lux')} >= {call.number('at_least')})"

    bright = Function(
        name="is_bright",
        signature="is_bright([at_least])",
        returns="BOOLEAN",
        help="Whether the picture is brighter than `at_least` (default 100).",
        example="is_bright(500)",
        bind=is_bright,
        parameters=(Parameter("at_least", default=100.0),),
    )
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from slicedb.errors import BindError, did_you_mean
from slicedb.query.bound.binding import Binding
from slicedb.query.bound.bound import Part, Score
from slicedb.query.bound.relation import ModelColumn, Relation
from slicedb.query.bound.scope import Scope
from slicedb.query.language.text import Span
from slicedb.query.language.tree import Node
from slicedb.schema import SAMPLES
from slicedb.show.numbers import count

ANY = 1_000_000
"""As many arguments as one likes."""

Sql: TypeAlias = "str | tuple[Part, ...]"
"""What a call becomes: SQL, or pieces of it of which some are places of the user's text."""


@dataclass(frozen=True)
class Parameter:
    """One argument that a function takes."""

    name: str
    default: str | float | bool | None = None
    """Its value where none is given; None makes it required, unless it is an option."""
    option: bool = False
    """Whether it is only given by name, as in `at_least => 3`."""


@dataclass(frozen=True)
class Function:
    """One function of the query language."""

    name: str
    """In lower case."""
    signature: str
    """How it is called, as errors and the reference show it."""
    returns: str
    """DuckDB's type; "target" of a function that stands only inside `similarity` and its like."""
    help: str
    example: str
    """A predicate that runs."""
    bind: Callable[[Call], Sql] | None = None
    """Gives the SQL of a call; None for targets."""
    parameters: tuple[Parameter, ...] = ()
    """The arguments, unless their number is open: then the three fields below say what is taken."""
    least: int = 0
    """Fewest positional arguments."""
    most: int = 0
    """Most positional arguments."""
    named: tuple[str, ...] = ()
    """Names of the arguments written `name => value`."""
    ranks: bool = False
    """Whether it is a window function, which needs to see every row of the result."""
    is_score: bool = False
    """Whether it gives a number that is no condition by itself."""
    of_model: bool = False
    """Whether it may stand behind the name of a model, as in `v3.pixel_share('road')`."""

    @property
    def positions(self) -> tuple[int, int]:
        """The fewest and the most positional arguments."""
        positional = [p for p in self.parameters if not p.option]
        required = [p for p in positional if p.default is None]
        return max(self.least, len(required)), max(self.most, len(positional))

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the arguments written `name => value`."""
        return self.named + tuple(p.name for p in self.parameters if p.option)

    def row(self) -> dict[str, str]:
        """Return what users read of it."""
        fields = ("name", "signature", "returns", "help", "example")
        return {field: getattr(self, field) for field in fields}


class Call:
    """One call of a function, its arguments sorted into positional and named.

    Each method that reads an argument raises a `BindError` that points at it when it does not fit.
    """

    def __init__(self, function: Function, binding: Binding, node: Node, scope: Scope) -> None:
        self.function = function
        self.binding = binding
        self.node = node
        self.scope = scope
        self.place = binding.source.call_at(node.start)
        self.positional: list[Node] = []
        self.named: dict[str, Node] = {}
        for name, value in node.arguments:
            if not name:
                self.positional.append(value)
            elif name in function.options:
                self.named[name] = value
            else:
                hint = did_you_mean(name, function.options, "options")
                message = f"{function.name} has no option '{name}'."
                raise binding.error(BindError, message, hint, value)
        fewest, most = function.positions
        if not fewest <= len(self.positional) <= most:
            raise self.error(f"{function.name} is given {count(len(self.positional), 'argument')}.")

    def error(self, message: str, at: Node | None = None, hint: str = "") -> BindError:
        """Return an error that points at the call, or at one argument."""
        hint = hint or f"{self.function.signature}."
        return self.binding.error(BindError, message, hint, at or self.node)

    # --- arguments ----------------------------------------------------------------------------

    def given(self, name: str) -> Node | None:
        """Return the argument of a parameter, or None where it is left out."""
        if name in self.named:
            return self.named[name]
        positional = [p.name for p in self.function.parameters if not p.option]
        number = positional.index(name) if name in positional else ANY
        return self.positional[number] if number < len(self.positional) else None

    def _default(self, name: str) -> str | float | bool | None:
        return next((p.default for p in self.function.parameters if p.name == name), None)

    def text(self, value: Node | str) -> str:
        """Return an argument, or the one of a parameter, that must be a text written out."""
        if isinstance(value, str):
            node = self.given(value)
            return str(self._default(value) or "") if node is None else self.text(node)
        if value.constant != "STRING":
            hint = "text goes in single quotes."
            raise self.error(f"{self.function.name} needs a text written out here.", value, hint)
        if not value.value.strip():
            raise self.error(f"{self.function.name} is given an empty text.", value)
        return value.value

    def number(self, value: Node | str) -> float:
        """Return an argument, or the one of a parameter, that must be a number written out."""
        if isinstance(value, str):
            node = self.given(value)
            return float(self._default(value) or 0) if node is None else self.number(node)
        try:
            if value.is_number:
                return float(value.value)
        except ValueError:
            pass
        raise self.error(f"{self.function.name} needs a number written out here.", value)

    def flag(self, name: str, default: bool) -> bool:
        """Return the argument of a parameter that must be true or false, written out."""
        value = self.given(name)
        if value is None:
            return default
        if value.constant == "BOOLEAN":
            return value.value.lower() == "true"
        raise self.error(f"{name} is true or false.", value)

    def sql(self, value: Node | str) -> Span:
        """Return the place of an argument of any kind; what stands there is bound too."""
        node = self.given(value) if isinstance(value, str) else value
        if node is None:
            raise self.error(f"{self.function.name} needs {value}.")
        self.binding.visit(self.binding, node, self.scope)
        number = next(n for n, v in enumerate(self.node.values) if v is node)
        return self.place.arguments[number]

    @property
    def model(self) -> str:
        """The model whose name stands before the call, "" where none does.

        Raises:
            BindError: there is no such model.
        """
        names, models = self.node.method_of, self.binding.catalog.models
        if not names:
            return ""
        if len(names) > 1 or names[0].lower() not in models:
            hint = did_you_mean(names[0], models.values(), "models")
            raise self.error(f"No model '{'.'.join(names)}'.", None, hint)
        return models[names[0].lower()]

    # --- samples ------------------------------------------------------------------------------

    def anchor(self) -> Relation:
        """Return the relation whose samples the call speaks of."""
        return self.binding.anchor(self.node, self.scope)

    def column(self, name: str, at: Node | None = None) -> str:
        """Return the SQL of a column of the samples."""
        anchor, samples = self.anchor(), self.binding.catalog.samples
        real = samples.column(name)
        if real is None:
            hint = did_you_mean(name, samples.types, "columns")
            raise self.error(f"No column '{name}' in {SAMPLES}.", at, hint)
        anchor.sample.columns.add(real)
        return anchor.of_sample(real, f"{SAMPLES}.{real}" if anchor.owner else "")

    def model_column(self, model: str, name: str, at: Node | None = None) -> str:
        """Return the SQL of a column of a model's predictions, NULL where there is none."""
        catalog, anchor = self.binding.catalog, self.anchor()
        if model.lower() not in catalog.models:
            hint = did_you_mean(model, catalog.models.values(), "models")
            raise self.error(f"No model '{model}'.", at, hint)
        info = catalog.model(model)
        real = info.column(name)
        if real is None:
            hint = did_you_mean(name, info.types, "columns")
            raise self.error(f"No column '{name}' in {model}.", at, hint)
        extra = ModelColumn(catalog.models[model.lower()], real)
        anchor.sample.extras[extra] = info
        return anchor.of_sample(extra.shown)

    def scores(self, term: Score) -> str:
        """Return the SQL of a term's column of scores, which is then computed."""
        anchor, pool = self.anchor(), self.binding.pool
        self.binding.bound.meanings[self.node.start] = term
        slot = pool.terms.setdefault(term, f"~t{len(pool.terms)}")
        if slot not in anchor.sample.slots:
            anchor.sample.slots.append(slot)
        return anchor.of_sample(slot)

    def holds(self, term: Score, least: float) -> str:
        """Return the SQL of whether a term is at least a number, which is rounded to float32."""
        rounded = float(np.float32(least))
        column = self.scores(term)
        self.binding.bound.least[self.node.start] = rounded
        return f"({column} >= '{rounded!r}'::FLOAT)"  # a text is rounded once, a DECIMAL twice
