"""The calibration that is stored with a slice."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from slicedb.show import numbers
from slicedb.stats.cuts import Share
from slicedb.stats.ranking import Aim
from slicedb.vectors import Calibrated


@dataclass(frozen=True)
class SliceCalibration:
    """A cut, and a direction where labels were sure of one, for the `matches` of a slice.

    Precision and recall speak of the text among the samples that the rest of the slice leaves.
    """

    calibrated: Calibrated
    """What the query obeys."""
    spans: tuple[tuple[int, int], ...]
    """Where the calls of `matches` stand in the slice's text, in characters."""
    aim: Aim
    """What the cut was chosen for."""
    least: float
    """The share aimed at; 0 for "f1"."""
    precision: Share
    recall: Share
    confidence: float
    """Of the intervals (two-sided) and of the aim (one-sided)."""
    labels: int
    """Answers it rests on."""
    positives: int
    """Answers that were yes."""
    population: int
    """Samples that the rest of the slice leaves."""
    matched: int
    """Those above the cut."""

    @property
    def is_refined(self) -> bool:
        """Whether labels moved the direction, too."""
        return bool(self.calibrated.direction)

    def question(self, text: str, name: str) -> str:
        """Return the slice's text with its calls bound to the calibration of `name`."""
        call = f"matches({self.calibrated.shown}, calibrated => '{name}')"
        for start, end in sorted(self.spans, reverse=True):
            text = text[:start] + call + text[end:]
        return text

    def to_json(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        values = asdict(self)
        direction = base64.b64encode(self.calibrated.direction).decode()
        values["calibrated"]["direction"] = direction
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SliceCalibration:
        """Return what `to_json` gave."""
        about = dict(values["calibrated"])
        about["direction"] = base64.b64decode(about["direction"])
        spans = tuple((start, end) for start, end in values["spans"])
        shares = {name: Share(**values[name]) for name in ("precision", "recall")}
        return cls(**{**values, **shares, "calibrated": Calibrated(**about), "spans": spans})

    def __str__(self) -> str:
        aim = f"{self.aim} >= {self.least:g}" if self.least else "the best balance"
        how = " and a direction of its own" if self.is_refined else ""
        precision = str(self.precision) if self.matched else "unknown"
        return (
            f"matches({self.calibrated.shown}) calibrated for {aim} on "
            f"{numbers.count(self.labels, 'label')} ({self.positives:,} yes){how}\n"
            f"precision {precision}, recall {self.recall} at {self.confidence:.0%}; "
            f"{self.matched:,} of {numbers.count(self.population, 'sample')} "
            f"{numbers.verb(self.matched, 'matches', 'match')}"
        )
