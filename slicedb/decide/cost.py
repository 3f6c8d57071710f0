"""Compute what decisions cost, which rule is cheapest, and whether a person is cheaper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import schema, sql
from slicedb.decide.abstention import best_coverage, risk_coverage
from slicedb.decide.case import Case, Price, binary, many, price_of, score_of, span_of
from slicedb.decide.crossfit import CrossFit, mean_cost
from slicedb.decide.curve import Curve
from slicedb.decide.matrix import CostMatrix, Costs
from slicedb.decide.operating import Operating, operating
from slicedb.decide.policies import ALL, CostReport, PolicyCost
from slicedb.decide.rates import ErrorRates, error_rates
from slicedb.decide.scaling import Way
from slicedb.decide.temperature import held_out
from slicedb.decide.thresholds import Solution, Threshold, solve
from slicedb.errors import CheckError, SliceError
from slicedb.judge import OtherTruth
from slicedb.judge.predicted import Predicted, select
from slicedb.keys import KeyIndex, Keys
from slicedb.metrics.outcomes import Floats
from slicedb.tasks.answers import answer_codes

if TYPE_CHECKING:
    from slicedb.store import Store


@dataclass(frozen=True, eq=False)
class _Policy:
    name: str
    cost: Floats
    choice_error: float = 0.0
    asked: Floats | None = None
    is_price: bool = False
    """Whether the costs were given, so that samples that are not seen cost the same."""


def expected_cost(
    truth: npt.ArrayLike,
    decisions: npt.ArrayLike,
    matrix: npt.ArrayLike,
    *,
    weight: npt.ArrayLike = 1.0,
    confidence: float = 0.95,
) -> tuple[float, float, float]:
    """Return the mean cost of decisions with Student's interval: mean, low, high.

    Args:
        truth: int (n,).
        decisions: int (n,).
        matrix: float (c, d): cost of each truth and decision.
        weight: float (n,) or a number: a factor for each sample.
        confidence: of the interval.

    >>> mean, low, high = expected_cost([0, 1, 1, 0], [0, 0, 1, 0], [[0, 1], [8, 0]])
    >>> mean
    2.0
    """
    values, factor = np.asarray(matrix, np.float64), np.asarray(weight, np.float64)
    cost = values[np.asarray(truth), np.asarray(decisions)]
    span = span_of(values, factor)
    return mean_cost(cost * factor, confidence, span=span)


def cost(
    store: Store,
    model: str,
    keys: Keys | None = None,
    *,
    matrix: Costs | None = None,
    column: str | None = None,
    positive: str | None = None,
    false_positive: Price = 1.0,
    false_negative: Price = 1.0,
    ask: Price | None = None,
    human: Price | None = None,
    calibrate: bool = False,
    slices: Mapping[str, Keys] | None = None,
    folds: int = 10,
    confidence: float = 0.95,
    seed: int = 0,
    truth: OtherTruth | None = None,
) -> CostReport:
    """Return the cost per sample of ways of deciding, and what each saves; see `Database.cost`.

    Args:
        keys: int64 (n,); None is every sample that is ok.
        slices: name to keys, judged one by one with the rules of all samples.
        truth: what stands in place of the label.

    Raises:
        ClassesError: the matrix, `positive` or the labels do not fit the classes.
        CheckError: a cost is negative or not a number, or options exclude each other.
        SliceDBError: no labels, no predictions, no such column.
    """
    samples, by_column = _select(
        store, model, keys, (column, false_positive, false_negative, ask), human, truth
    )
    factor = price_of(samples, column if column is not None else 1.0)
    settings = (confidence, folds, seed)
    chosen = None
    if positive is None:
        chosen = CostMatrix.of(matrix, samples.outcomes.classes)
        case = many(samples, chosen, factor, *settings)
    elif matrix is not None:
        raise CheckError(
            "A cost matrix and a positive class exclude each other.",
            "with positive, give false_positive and false_negative.",
        )
    else:
        yes, no = price_of(samples, false_positive), price_of(samples, false_negative)
        case = binary(samples, positive, yes * factor, no * factor, *settings)
    planned = _planned(case, calibrate)
    rule = _rule(case, model, positive)
    person = _human(store, case, human, by_column, positive, truth)
    asking = _asking(case, planned, ask, person if isinstance(human, str) else None)
    policies = [*planned.policies, *rule.policies, *asking.policies]
    if person is not None:
        policies.append(person)
    return CostReport(
        model,
        tuple(_rows(case, policies, samples.members(slices))),
        samples.left_out,
        risk_coverage(planned.doubt, planned.cost),
        chosen,
        positive,
        rule.threshold,
        rule.curve,
        rule.operating,
        rule.query,
        asking.answer_up_to,
        str(human) if human is not None else "",
        rule.rates,
        planned.way,
        truth,
        confidence,
    )


def _select(
    store: Store,
    model: str,
    keys: Keys | None,
    prices: Sequence[Price | None],
    human: Price | None,
    truth: OtherTruth | None,
) -> tuple[Predicted, bool]:
    """Return the samples with the columns of costs, and whether the human answers are one."""
    by_column = isinstance(human, str) and human in store.schema(schema.SAMPLES).names
    columns = [price for price in prices if isinstance(price, str)]
    columns += [str(human)] if by_column else []
    samples = select(store, model, keys, columns=columns, probabilities=True, truth=truth)
    return samples, by_column


@dataclass(frozen=True, eq=False)
class _Planned:
    """The decisions of least expected cost, the calibrated ones where those are asked for."""

    policies: list[_Policy]
    cost: Floats
    """float64 (n,): what they cost."""
    doubt: Floats
    """float64 (n,): what they were expected to cost."""
    way: Way | None
    """How probabilities were calibrated."""


def _planned(case: Case, calibrate: bool) -> _Planned:
    decisions, doubt = case.plan(case.probabilities)
    policies = [
        _Policy("prediction", case.cost(case.decided)),
        _constant(case),
        _Policy("cheapest", case.cost(decisions)),
    ]
    way = None
    if calibrate:
        known = np.where(case.truth < case.probabilities.shape[1], case.truth, -1)
        after = held_out(case.probabilities, known, folds=case.folds, seed=case.seed)
        decisions, doubt = case.plan(after.probabilities)
        policies.append(_Policy("cheapest, calibrated", case.cost(decisions)))
        way = after.way
    return _Planned(policies, case.cost(decisions), doubt, way)


@dataclass(frozen=True, eq=False)
class _Rule:
    """The threshold of a positive class, if there is one."""

    policies: Sequence[_Policy] = ()
    threshold: Threshold | None = None
    curve: Curve | None = None
    operating: Operating | None = None
    query: str = ""
    rates: ErrorRates | None = None


def _rule(case: Case, model: str, positive: str | None) -> _Rule:
    if positive is None:
        return _Rule()
    solved = _threshold(case)
    return _Rule(
        [_fitted("threshold", solved.held_out)],
        solved.threshold,
        solved.curve,
        operating(score_of(case), case.truth == 1, confidence=case.confidence),
        _decided_yes(model, positive, solved.threshold.value),
        error_rates(case.truth == 1, solved.held_out.yes, case.confidence),
    )


@dataclass(frozen=True, eq=False)
class _Asking:
    """What a person costs who is asked where the model is unsure, or always."""

    policies: Sequence[_Policy] = ()
    answer_up_to: Threshold | None = None


def _asking(case: Case, planned: _Planned, ask: Price | None, person: _Policy | None) -> _Asking:
    """Return the cheapest share to ask a person, whose own mistakes cost, too, if known."""
    if ask is None:
        return _Asking()
    price = price_of(case.samples, ask) + (0.0 if person is None else person.cost)
    solved = best_coverage(
        planned.doubt,
        planned.cost,
        price,
        folds=case.folds,
        confidence=case.confidence,
        seed=case.seed,
    )
    always = _Policy("ask always", price, asked=np.ones(case.samples.n), is_price=True)
    found = _fitted("cheapest, or ask", solved.held_out, 1 - solved.held_out.yes)
    return _Asking([found, always], solved.threshold)


def _constant(case: Case) -> _Policy:
    """Return the cheapest decision that is the same for all (chosen on the same samples)."""
    n, known = case.samples.n, case.probabilities.shape[1]
    means = [case.cost(np.full(n, d)).mean() for d in range(known)]
    best = int(np.argmin(means))
    return _Policy(f"always {case.names[best]}", case.cost(np.full(n, best)))


def _fitted(name: str, held_out: CrossFit, asked: Floats | None = None) -> _Policy:
    return _Policy(name, held_out.cost, held_out.choice_error, asked)


def _threshold(case: Case) -> Solution:
    rows = np.zeros(case.samples.n, np.int64)
    return solve(
        score_of(case),
        case.cost(rows + 1),
        case.cost(rows),
        folds=case.folds,
        confidence=case.confidence,
        seed=case.seed,
    )


def _decided_yes(model: str, positive: str, value: float) -> str:
    if value == np.inf:
        return "false"
    return f"{sql.name(model)}.probabilities[{sql.string(positive)}] >= {value!r}"


def _human(
    store: Store,
    case: Case,
    human: Price | None,
    by_column: bool,
    positive: str | None,
    truth: OtherTruth | None,
) -> _Policy | None:
    """Return the baseline: answers from a column, answers logged as a model, or a number."""
    if human is None:
        return None
    if not isinstance(human, str):
        return _Policy("human", price_of(case.samples, human), is_price=True)
    if by_column:
        answers = case.samples.rows[human]
    else:
        given = select(store, human, case.samples.keys, truth=truth)
        at = KeyIndex(given.keys).find(case.samples.keys)
        answers = given.rows["prediction"].take(pa.array(at, mask=at < 0))
    classes = case.samples.outcomes.classes
    place = f"the human baseline '{human}'"
    codes = answer_codes(answers, classes, place, positive=positive)
    missing = int((codes < 0).sum())
    if missing:
        raise SliceError(
            f"The human baseline '{human}' has no answer for {missing:,} of {len(answers):,} "
            "samples.",
            "compare on a slice where it is known.",
        )
    if positive is not None:
        return _Policy("human", case.cost(codes == classes.index(positive)))
    return _Policy("human", case.cost(codes))


def _rows(case: Case, policies: list[_Policy], slices: Mapping[str, Keys]) -> list[PolicyCost]:
    result = []
    everything = np.arange(case.samples.n)
    base = policies[0]
    least, most = span_of(case.values, case.weight)
    for name, at in {ALL: everything, **slices}.items():
        for policy in policies:
            extra = policy.choice_error if name == ALL else 0.0
            paid = policy.cost[at]
            # asking a person may cost more than any mistake
            span = (min(least, paid.min(initial=least)), max(most, paid.max(initial=most)))
            mean, low, high = mean_cost(
                paid, case.confidence, extra, None if policy.is_price else span
            )
            low = max(low, 0.0) if low == low else low  # prices are not negative; NaN is unknown
            gain = base.cost[at] - policy.cost[at]
            saved = mean_cost(gain, case.confidence, extra)
            asked = 0.0 if policy.asked is None or not len(at) else float(policy.asked[at].mean())
            result.append(PolicyCost(name, policy.name, mean, low, high, *saved, asked, len(at)))
    return result
