"""Bind the words about meaning: similarity, matches, nearest, and what stands inside them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicedb.errors import SandboxError, SliceError, did_you_mean
from slicedb.query.functions.words import TARGETS
from slicedb.query.language.parse import Node
from slicedb.vectors import Target, Term

if TYPE_CHECKING:
    from slicedb.query.functions.calls import Call

_NO_EMBEDDING = "`slicedb embed` makes them."


def _embedding(call: Call) -> str:
    found = call.binder.catalog.embeddings
    asked = call.named.get("using")
    if asked is not None:
        name = call.text(asked)
        if name.lower() not in found:
            hint = did_you_mean(name, found.values(), "embeddings") if found else _NO_EMBEDDING
            raise call.error(f"No embedding '{name}'.", asked, hint)
    elif not found:
        raise call.error(f"{call.word.name} needs embeddings, there are none.", None, _NO_EMBEDDING)
    elif "default" in found:
        name = "default"
    elif len(found) == 1:
        name = next(iter(found))
    else:
        hint = f"name one with using => '{sorted(found.values())[0]}'."
        raise call.error("There are several embeddings and none is named 'default'.", None, hint)
    call.binder.catalog.embedding(name)
    return found[name.lower()]


def _target(call: Call, value: Node) -> Target:
    if value["class"] != "FUNCTION":
        return Target("text", call.text(value), at=value["query_location"], source=_source(call))
    name = str(value["function_name"]).lower()
    if name not in TARGETS:
        raise call.error("A target is a text, image('file') or sample('id').", value)
    inner = type(call)(call.binder, value, call.scope)
    argument = inner.positional[0]
    if name in ("weighted", "without"):
        return _weighted(inner, name)
    text = inner.text(argument)
    if name == "image":
        _check_file(call, text, argument)
        return Target("image", text, at=argument["query_location"], source=_source(call))
    return Target("sample", text, at=argument["query_location"], source=_source(call))


def _source(call: Call) -> Any:
    return call.binder.source


def _weighted(inner: Call, name: str) -> Target:
    """Return the target inside `weighted(target, weight)` or `without(target)`."""
    target = _target(inner, inner.positional[0])
    if target.weight != 1:
        hint = "one weight a target, as in weighted('night', -0.5)."
        raise inner.error("A weight stands inside a weight.", inner.positional[0], hint)
    if name == "without":
        return replace(target, weight=-1.0)
    weight = inner.number(inner.positional[1])
    if not math.isfinite(weight) or weight == 0:
        raise inner.error(f"The weight {weight:g} does nothing.", inner.positional[1])
    return replace(target, weight=weight)


def _check_file(call: Call, path: str, argument: Node) -> None:
    if not call.binder.pool.files or call.binder.source.context:
        raise call.binder.error(
            SandboxError,
            "image() cannot read files here.",
            "ask from Python or the command line, or use sample('id').",
            argument,
        )
    if not Path(path).is_file():
        raise call.error(f"No image file '{path}'.", argument, "the path is from where you are.")


def _targets(call: Call, values: list[Node]) -> tuple[Target, ...]:
    """Return the targets, of which at least one is wanted and not only to be unlike."""
    found = tuple(_target(call, value) for value in values)
    if call.word.name != "similarity" and all(target.weight < 0 for target in found):
        hint = "name what is wanted too, or write NOT matches('...')."
        raise call.error(f"{call.word.name} is only told what to be unlike.", values[0], hint)
    return found


def _similarity(call: Call) -> None:
    term = Term("similarity", _targets(call, call.positional), _embedding(call))
    call.replace(call.scores(term))


def _matches(call: Call) -> None:
    values, minimum = call.positional, 0.5
    if _is_number(values[-1]) and len(values) > 1:
        minimum = call.number(values[-1])
        if not 0 <= minimum <= 1:
            raise call.error(f"The minimum {minimum:g} is not in [0, 1].", values[-1])
    texts = values[:-1] if _is_number(values[-1]) and len(values) > 1 else values
    targets = _targets(call, texts)
    for target, value in zip(targets, texts):
        if target.kind != "text":
            hint = "matches weighs texts against texts; pictures go into similarity and nearest."
            raise call.error(f"{target.kind}(...) is no target of matches.", value, hint)
    if "calibrated" in call.named:
        _calibrated(call, targets, len(texts) < len(values))
        return
    call.holds(Term("matches", targets, _embedding(call)), minimum)


def _calibrated(call: Call, targets: tuple[Target, ...], has_minimum: bool) -> None:
    """Write the cut that a slice was calibrated to."""
    asked = call.named["calibrated"]
    name = call.text(asked)
    if has_minimum or "using" in call.named:
        hint = "leave the minimum and using => out."
        raise call.error(f"Slice '{name}' brings its own cut and embedding.", asked, hint)
    try:
        found = call.binder.pool.calibration(name)
    except SliceError as error:
        raise call.error(error.message, asked, error.hint) from error
    term = Term("calibrated", targets, found.embedding, calibrated=found)
    if term.shown != found.shown:
        hint = f"write matches({found.shown}, calibrated => '{name}')."
        raise call.error(f"Slice '{name}' was calibrated for another text.", asked, hint)
    if found.embedding.lower() not in call.binder.catalog.embeddings:
        raise call.error(f"No embedding '{found.embedding}'.", asked, _NO_EMBEDDING)
    call.binder.catalog.embedding(found.embedding)
    call.holds(term, found.cut)


def _nearest(call: Call) -> None:
    *values, last = call.positional
    targets = _targets(call, values)
    k = call.number(last)
    if k < 1 or k != int(k):
        raise call.error(f"k is {k:g}, it must be a whole number from 1.", last)
    call.holds(Term("nearest", targets, _embedding(call), int(k)), 0.5)


def _is_number(value: Node) -> bool:
    return value["class"] == "CONSTANT" and value["literal"]["kind"] in ("INTEGER", "NUMERIC")


BINDERS: dict[str, Callable[[Call], None]] = {
    "similarity": _similarity,
    "matches": _matches,
    "nearest": _nearest,
}
