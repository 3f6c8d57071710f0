"""Calibrating a slice: a few labels move the cut of its `matches`, and say how good it is.

Labels are asked for where they tell most; the cut is chosen for a recall, a precision or the best
balance; precision and recall come with intervals. All of it is stored with the slice.
"""

from __future__ import annotations

from slicedb.slices.calibration.answers import Answers, Question
from slicedb.slices.calibration.record import Calibration
from slicedb.slices.calibration.verb import Calibrating

__all__ = ["Answers", "Calibrating", "Calibration", "Question"]
