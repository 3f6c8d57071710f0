"""Functions about meaning: similarity, matches, nearest, and the targets that stand inside them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

from slicedb.errors import SandboxError, SliceError, did_you_mean
from slicedb.query.functions.function import ANY, Call, Function, Parameter, Sql
from slicedb.query.language.tree import Node
from slicedb.vectors import Target, Term
from slicedb.vectors.directions import not_held
from slicedb.vectors.pictures import KEPT, is_name

_NO_EMBEDDING = "`slicedb embed` makes them."


def _embedding(call: Call) -> str:
    """Return the name of the embedding that a call asks, and note that the query reads it."""
    embeddings = call.binding.catalog.embeddings
    asked = call.named.get("using")
    if asked is not None:
        name = call.text(asked)
        if name.lower() not in embeddings:
            near = did_you_mean(name, embeddings.values(), "embeddings")
            hint = near if embeddings else _NO_EMBEDDING
            raise call.error(f"No embedding '{name}'.", asked, hint)
    elif not embeddings:
        message = f"{call.function.name} needs embeddings, there are none."
        raise call.error(message, None, _NO_EMBEDDING)
    elif "default" in embeddings:
        name = "default"
    elif len(embeddings) == 1:
        name = next(iter(embeddings))
    else:
        hint = f"name one with using => '{sorted(embeddings.values())[0]}'."
        raise call.error("There are several embeddings and none is named 'default'.", None, hint)
    call.binding.catalog.embedding(name)
    return embeddings[name.lower()]


def _target(call: Call, value: Node) -> Target:
    if value.kind != "FUNCTION":
        return _placed(call, "text", value)
    function = _TARGETS.get(value.name)
    if function is None:
        raise call.error("A target is a text, image('file') or sample('id').", value)
    inner = Call(function, call.binding, value, call.scope)
    argument = inner.positional[0]
    if function.name in ("weighted", "without"):
        return _weighted(inner)
    if function.name == "image":
        target = _placed(inner, "image", argument)
        if is_name(target.value):
            _check_picture(call, target, argument)
        else:
            _check_file(call, target.value, argument)
        return target
    return _placed(inner, "sample", argument)


def _placed(call: Call, kind: Literal["text", "image", "sample"], value: Node) -> Target:
    return Target(kind, call.text(value), at=value.start, source=call.binding.source)


def _weighted(inner: Call) -> Target:
    """Return the target inside `weighted(target, weight)` or `without(target)`."""
    target = _target(inner, inner.positional[0])
    if target.weight != 1:
        hint = "one weight a target, as in weighted('night', -0.5)."
        raise inner.error("A weight stands inside a weight.", inner.positional[0], hint)
    if inner.function.name == "without":
        return replace(target, weight=-1.0)
    weight = inner.number(inner.positional[1])
    if not math.isfinite(weight) or weight == 0:
        raise inner.error(f"The weight {weight:g} does nothing.", inner.positional[1])
    return replace(target, weight=weight)


def _check_picture(call: Call, target: Target, argument: Node) -> None:
    """Refuse a picture that was handed in where it is not held, or would not be for long."""
    pool = call.binding.pool
    if call.binding.source.context:
        raise call.error("A slice cannot compare with a picture that is not kept.", argument, KEPT)
    if pool.pictures.find(target.value) is None:
        raise not_held(target)
    pool.handed.add(target.value)


def _check_file(call: Call, path: str, argument: Node) -> None:
    if not call.binding.pool.files or call.binding.source.context:
        raise call.binding.error(
            SandboxError,
            "image() cannot read files here.",
            "ask from Python or the command line, or use sample('id').",
            argument,
        )
    if not Path(path).is_file():
        raise call.error(f"No image file '{path}'.", argument, "the path is from where you are.")


def _targets(call: Call, values: list[Node]) -> tuple[Target, ...]:
    """Return the targets, of which at least one is wanted and not only to be unlike."""
    targets = tuple(_target(call, value) for value in values)
    if call.function.name != "similarity" and all(target.weight < 0 for target in targets):
        hint = "name what is wanted too, or write NOT matches('...')."
        raise call.error(f"{call.function.name} is only told what to be unlike.", values[0], hint)
    return targets


def _similarity(call: Call) -> Sql:
    return call.scores(Term("similarity", _targets(call, call.positional), _embedding(call)))


def _matches(call: Call) -> Sql:
    *texts, last = call.positional
    minimum, has_minimum = 0.5, bool(texts) and last.is_number
    if has_minimum:
        minimum = call.number(last)
        if not 0 <= minimum <= 1:
            raise call.error(f"The minimum {minimum:g} is not in [0, 1].", last)
    else:
        texts.append(last)
    targets = _targets(call, texts)
    for target, value in zip(targets, texts):
        if target.kind != "text":
            hint = "matches weighs texts against texts; pictures go into similarity and nearest."
            raise call.error(f"{target.kind}(...) is no target of matches.", value, hint)
    if "calibrated" in call.named:
        return _calibrated(call, targets, has_minimum)
    return call.holds(Term("matches", targets, _embedding(call)), minimum)


def _calibrated(call: Call, targets: tuple[Target, ...], has_minimum: bool) -> Sql:
    """Return the cut that a slice was calibrated to."""
    asked = call.named["calibrated"]
    name = call.text(asked)
    if has_minimum or "using" in call.named:
        hint = "leave the minimum and using => out."
        raise call.error(f"Slice '{name}' brings its own cut and embedding.", asked, hint)
    try:
        calibrated = call.binding.pool.calibration(name)
    except SliceError as error:
        raise call.error(error.message, asked, error.hint) from error
    term = Term("calibrated", targets, calibrated.embedding, calibrated=calibrated)
    if term.shown != calibrated.shown:
        hint = f"write matches({calibrated.shown}, calibrated => '{name}')."
        raise call.error(f"Slice '{name}' was calibrated for another text.", asked, hint)
    if calibrated.embedding.lower() not in call.binding.catalog.embeddings:
        raise call.error(f"No embedding '{calibrated.embedding}'.", asked, _NO_EMBEDDING)
    call.binding.catalog.embedding(calibrated.embedding)
    return call.holds(term, calibrated.cut)


def _nearest(call: Call) -> Sql:
    *values, last = call.positional
    targets = _targets(call, values)
    k = call.number(last)
    if k < 1 or k != int(k):
        raise call.error(f"k is {k:g}, it must be a whole number from 1.", last)
    return call.holds(Term("nearest", targets, _embedding(call), int(k)), 0.5)


FUNCTIONS = (
    Function(
        "similarity",
        "similarity(target, ... [, using => 'name'])",
        "FLOAT",
        "Cosine in [-1, 1] between the sample's embedding and the target; several targets are"
        " averaged. A target is a text, image('file') or sample('id'), itself or inside "
        "weighted and without. NULL where a sample has no embedding.",
        "ORDER BY similarity('a red square') DESC LIMIT 2",
        _similarity,
        least=1,
        most=ANY,
        named=("using",),
        is_score=True,
    ),
    Function(
        "matches",
        "matches('text', ... [, minimum] [, using => 'name'] [, calibrated => 'slice'])",
        "BOOLEAN",
        "Whether the text stands out from a bank of background phrases: p = 1 / (1 + 5 x the "
        "mean likelihood of the bank / that of the text) is at least `minimum` (default 0.5)."
        " Several texts are averaged; one inside without joins what the text must stand out "
        "from. Depends on the sample alone. `calibrated` takes the direction and the cut that"
        " labels gave a slice. NULL where a sample has no embedding.",
        "matches('red', without('dull')) AND split = 'test'",
        _matches,
        least=1,
        most=ANY,
        named=("using", "calibrated"),
    ),
    Function(
        "nearest",
        "nearest(target, ..., k [, using => 'name'])",
        "BOOLEAN",
        "Whether the sample is one of the k nearest to the target, exactly, among all samples"
        " with status 'ok' and an embedding, whatever the rest of the query says. Several "
        "targets are averaged.",
        "nearest(sample('a1'), 3)",
        _nearest,
        least=2,
        most=ANY,
        named=("using",),
    ),
    Function(
        "image",
        "image('file')",
        "target",
        "An image file as the target of similarity or nearest. Allowed where the caller lets "
        "a query read files: not in slices, not on the web page. With a parameter, "
        "image($picture), it is the picture that is handed in: bytes, or a Pillow image.",
        "ORDER BY similarity(image('red.png')) DESC LIMIT 1",
        parameters=(Parameter("file"),),
    ),
    Function(
        "sample",
        "sample('id')",
        "target",
        "A sample of the database as the target of similarity or nearest.",
        "similarity(sample('a1')) > 0.9",
        parameters=(Parameter("id"),),
    ),
    Function(
        "weighted",
        "weighted(target, weight)",
        "target",
        "A target that counts `weight` times in the average of similarity, matches or "
        "nearest; a negative weight is to be unlike it.",
        "ORDER BY similarity('red', weighted('green', 0.5)) DESC LIMIT 3",
        parameters=(Parameter("target"), Parameter("weight")),
    ),
    Function(
        "without",
        "without(target)",
        "target",
        "A target to be unlike: weighted(target, -1).",
        "ORDER BY similarity('red', without('green')) DESC LIMIT 2",
        parameters=(Parameter("target"),),
    ),
)

_TARGETS = {function.name: function for function in FUNCTIONS if function.bind is None}
