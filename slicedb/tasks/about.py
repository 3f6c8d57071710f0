"""What a table of predictions says about itself, kept in its metadata."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slicedb.metrics.detections import CONFIDENCE
from slicedb.schema import PREDICTIONS

if TYPE_CHECKING:
    from slicedb.store import Store

CLASSES = "slicedb:classes"
FINGERPRINT = "slicedb:fingerprint"
TASK = "slicedb:task"
SURE = "slicedb:confidence"
TARGET = "slicedb:target"
NOISE = "slicedb:noise"

LOGGED = "logged"
"""Stands in place of a fingerprint where the predictions were made elsewhere."""

LABEL = "label"
"""The column that a number is compared with, where nobody names another one."""


@dataclass(frozen=True)
class About:
    """What is true of all rows of a table of predictions."""

    task: str = "classification"
    """The name of a task, see `slicedb.tasks.TASKS`."""
    classes: tuple[str, ...] = ()
    fingerprint: str = ""
    """Of the model; `LOGGED` where the predictions were made elsewhere."""
    confidence: float = CONFIDENCE
    """Score from which on a box, or a label of several, counts."""
    target: str = LABEL
    """The column of samples with the number to predict."""
    noise: tuple[float, ...] = field(default=(), compare=False)
    """What the model said of noise when these rows were predicted; see `slicedb.models.noise`."""

    @classmethod
    def read(cls, store: Store, model: str) -> About:
        """Return what a model's table says."""
        facts = store.metadata(PREDICTIONS + model)
        return cls(
            facts.get(TASK, "classification"),
            tuple(json.loads(facts.get(CLASSES) or "[]")),
            facts.get(FINGERPRINT, ""),
            float(facts.get(SURE, CONFIDENCE)),
            facts.get(TARGET, LABEL),
            tuple(json.loads(facts.get(NOISE) or "[]")),
        )

    def metadata(self) -> dict[str, str]:
        """Return it as text by name."""
        return {
            TASK: self.task,
            CLASSES: json.dumps(list(self.classes)),
            FINGERPRINT: self.fingerprint,
            SURE: repr(self.confidence),
            TARGET: self.target,
            NOISE: json.dumps(self.noise),
        }
