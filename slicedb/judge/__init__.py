"""Judgement: slices, metrics and bounds to verdicts that can be defended.

Evaluation multiplies slice membership with per-sample statistics; a suite judges expectations
together. PASS: the one-sided interval clears the bound. FAIL: the evidence against it stays
significant after all the suite's tests are counted. Otherwise INCONCLUSIVE, with the number of
images still needed. A suite passes only when each test does, so PASS needs no correction (an
intersection-union test, Berger 1982); any FAIL fails it, so FAIL does.
"""

from __future__ import annotations

from slicedb.judge.agreement import Agreement
from slicedb.judge.aligned import Aligned, Universe, groups_of, load, universe
from slicedb.judge.boxes import BoxComparison, are_detectors, compare_boxes, power_of_boxes
from slicedb.judge.comparison import Comparison, compare
from slicedb.judge.confusion import Confusion, confusion
from slicedb.judge.evaluation import Evaluation, evaluate
from slicedb.judge.pairs import Pair
from slicedb.judge.pixels import PixelComparison, compare_pixels
from slicedb.judge.power import Power, power
from slicedb.judge.resampling import resampled
from slicedb.judge.results import Result, SuiteRun, Verdict
from slicedb.judge.settings import settings
from slicedb.judge.suite import run
from slicedb.judge.truth import OtherTruth

__all__ = [
    "Agreement",
    "Aligned",
    "BoxComparison",
    "Comparison",
    "Confusion",
    "Evaluation",
    "OtherTruth",
    "Pair",
    "PixelComparison",
    "Power",
    "Result",
    "SuiteRun",
    "Universe",
    "Verdict",
    "are_detectors",
    "compare",
    "compare_boxes",
    "compare_pixels",
    "confusion",
    "evaluate",
    "groups_of",
    "load",
    "power",
    "power_of_boxes",
    "resampled",
    "run",
    "settings",
    "universe",
]
