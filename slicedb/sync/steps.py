"""What runs after a sync, on what is new: `embed,predict:v4,test`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from slicedb.errors import OptionError, did_you_mean

VERBS = {
    "verify": "",
    "embed": "an embedding",
    "tag": "a column",
    "predict": "a model",
    "test": "a model",
    "commit": "a message",
}
"""Verb to what may stand behind its colon."""


class Step(NamedTuple):
    """One verb that runs after a sync."""

    verb: str
    argument: str = ""

    def __str__(self) -> str:
        return f"{self.verb}:{self.argument}" if self.argument else self.verb


def steps_of(text: str | Iterable[str]) -> tuple[Step, ...]:
    """Return the steps that a text names.

    >>> [str(step) for step in steps_of("embed, predict:v4,test")]
    ['embed', 'predict:v4', 'test']

    Raises:
        OptionError: a verb is unknown, or lacks what it needs.
    """
    words = text.split(",") if isinstance(text, str) else list(text)
    steps = []
    for word in (word.strip() for word in words):
        verb, _, argument = word.partition(":")
        if not word:
            continue
        if verb not in VERBS:
            raise OptionError(
                f"There is no step '{verb}' after a sync.", did_you_mean(verb, VERBS, "steps")
            )
        if argument and not VERBS[verb]:
            raise OptionError(f"The step '{verb}' takes nothing behind a colon.", f"write {verb}.")
        if verb == "predict" and not argument:
            raise OptionError("The step 'predict' names no model.", "write predict:MODEL.")
        steps.append(Step(verb, argument.strip()))
    return tuple(steps)


def grouped(steps: Iterable[Step]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each verb with its argument, and models that predict one after the other together.

    >>> list(grouped(steps_of("predict:a,predict:b,test,predict:c")))
    [('predict', ('a', 'b')), ('test', ('',)), ('predict', ('c',))]
    """
    for verb, group in itertools.groupby(steps, lambda step: step.verb):
        arguments = tuple(step.argument for step in group)
        if verb == "predict":
            yield verb, arguments
        else:
            yield from ((verb, (argument,)) for argument in arguments)
