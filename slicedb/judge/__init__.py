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
from slicedb.judge.between import compare, power
from slicedb.judge.boxes import BoxComparison
from slicedb.judge.comparison import Comparison
from slicedb.judge.confusion import Confusion, confusion
from slicedb.judge.evaluation import Evaluation, evaluate
from slicedb.judge.pairs import Pair
from slicedb.judge.pixels import PixelComparison
from slicedb.judge.power import Power
from slicedb.judge.resampling import resampled
from slicedb.judge.results import Result, SuiteRun, Verdict
from slicedb.judge.settings import settings, settled
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
    "compare",
    "confusion",
    "evaluate",
    "groups_of",
    "load",
    "power",
    "resampled",
    "run",
    "settings",
    "settled",
    "universe",
]
