"""Find the samples that a `matches` of a slice decides about, and their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from slicedb.errors import SliceError, did_you_mean
from slicedb.keys import KeyIndex, Keys, distinct
from slicedb.query import Query
from slicedb.query.language.text import Source
from slicedb.show.numbers import count
from slicedb.slices.slice import Ask, Slice
from slicedb.stats.ranking import Ranking
from slicedb.vectors import Calibrated, Term


@dataclass(frozen=True, eq=False)
class Population:
    """Samples in the order of their log-odds, highest first; ties go by key."""

    query: Query
    term: Term
    spans: tuple[tuple[int, int], ...]
    """Where the calls stand in the text, in characters."""
    keys: Keys
    """int64 (n,)."""
    log_odds: npt.NDArray[np.float64]
    """float64 (n,), falling."""
    now: int
    """How many of them the slice has without a calibration: those above its zero-shot cut."""
    fingerprint: str

    @cached_property
    def ranking(self) -> Ranking:
        """The samples by their log-odds."""
        return Ranking(self.log_odds)

    def calibrated(
        self, cut: float, slope: float = 1.0, direction: npt.NDArray[np.float32] | None = None
    ) -> Calibrated:
        """Return a calibration of the term."""
        raw = b"" if direction is None else np.asarray(direction, np.float32).tobytes()
        term = self.term
        return Calibrated(term.shown, term.embedding, self.fingerprint, cut, slope, raw)

    def scores(self, calibrated: Calibrated) -> npt.NDArray[np.float32]:
        """Return float32 (n,): the calibrated scores, as a query computes them."""
        return _scores(self.query, self.term, calibrated, self.keys)

    def vectors(self) -> npt.NDArray[np.float32]:
        """Return float32 (n, d), unit length."""
        name = self.term.embedding
        version = self.query.plan().pool.catalog.embedding(name).version
        return self.query.session.vectors.matrix(name, version).of(self.keys)


def population_of(s: Slice, ask: Ask, term: str | None = None) -> Population:
    """Return what can be calibrated of a slice.

    The samples are those for which the text decides: `label = 'x' AND matches('t')` leaves the
    ones with the label, `tagged OR matches('t')` the ones that are not tagged.

    Args:
        ask: gives the `Query` of a text.
        term: the text meant, where the slice has several.

    Raises:
        SliceError: nothing can be calibrated; says why.
    """
    if s.kind == "frozen":
        raise SliceError(
            f"Slice '{s.name}' is frozen: its members are fixed.",
            f"`slicedb slice thaw {s.name}` first.",
        )
    query = ask(s.text)
    bound = query.plan().bound
    if bound.tree.limit or (bound.tree.type == "SELECT_NODE" and bound.tree.qualify):
        message = f"Slice '{s.name}' has a LIMIT or QUALIFY: who is in depends on the others."
        raise SliceError(message, "calibrate the slice without it.")
    chosen = _chosen(s.name, bound.meanings, term)
    places = [place for place, term in bound.meanings.items() if term == chosen]
    spans = tuple(_span(bound.source, place) for place in sorted(places))
    with_it, without = (
        np.asarray(ask(_replaced(s.text, spans, word)).keys(), np.int64)
        for word in ("true", "false")
    )
    if not KeyIndex(with_it).has(without).all():
        message = f"Slice '{s.name}' is of samples that do not match {chosen.shown}."
        hint = f"calibrate a slice of matches({chosen.shown}), and write NOT in_slice(...)."
        raise SliceError(message, hint)
    return _ranked(s, query, chosen, spans, distinct(with_it[~KeyIndex(without).has(with_it)]))


def _ranked(
    s: Slice, query: Query, term: Term, spans: tuple[tuple[int, int], ...], keys: Keys
) -> Population:
    """Score the samples and put them in order.

    Raises:
        SliceError: there is none with an embedding.
    """
    version = query.plan().pool.catalog.embedding(term.embedding).version
    fingerprint = query.session.meaning.fingerprint(term.embedding, version)
    plain = Calibrated(term.shown, term.embedding, fingerprint, 0.0)
    odds = _scores(query, term, plain, keys)
    keys, odds = keys[~np.isnan(odds)], odds[~np.isnan(odds)]
    if not len(keys):
        message = f"Slice '{s.name}' leaves no sample with an embedding to ask about."
        raise SliceError(message, "`slicedb embed` makes them.")
    order = np.lexsort((keys, -odds))
    keys, odds = keys[order], odds[order]
    now = int(KeyIndex(query.keys()).has(keys).sum())
    return Population(query, term, spans, keys, odds.astype(np.float64), now, fingerprint)


def _scores(
    query: Query, term: Term, calibrated: Calibrated, keys: Keys
) -> npt.NDArray[np.float32]:
    asked = Term("calibrated", term.targets, term.embedding, calibrated=calibrated)
    everyone = np.ones(len(keys), dtype=bool)
    versions = {term.embedding: query.plan().pool.catalog.embedding(term.embedding).version}
    scores = query.session.meaning.score([asked], versions, keys, None, everyone, lambda: None)
    return np.asarray(scores[asked], dtype=np.float32)


def _chosen(name: str, meanings: Mapping[int, object], wanted: str | None) -> Term:
    """Return the term to calibrate."""
    matches = [t for t in meanings.values() if isinstance(t, Term) and t.kind == "matches"]
    terms = list(dict.fromkeys(matches))
    shown = {term.shown: term for term in terms}
    if not terms:
        message = f"Slice '{name}' has no matches(...) of its own to calibrate."
        raise SliceError(message, "calibrate a slice such as matches('a dog').")
    if wanted is not None:
        asked = [t for s, t in shown.items() if wanted in (s, s.strip("'"))]
        if not asked:
            hint = did_you_mean(wanted, [s.strip("'") for s in shown], "texts")
            raise SliceError(f"Slice '{name}' has no matches({wanted!r}).", hint)
        return asked[0]
    if len(terms) > 1:
        message = f"Slice '{name}' has {count(len(terms), 'text')}: {'; '.join(shown)}."
        raise SliceError(message, "name the one to calibrate with --term.")
    return terms[0]


def _span(source: Source, place: int) -> tuple[int, int]:
    """Return where a call stands in the user's text, in characters."""
    raw = source.text.encode()
    ends = source.origin(place), source.origin(source.call_at(place).end)
    start, end = (len(raw[:at].decode()) for at in ends)
    return start, end


def _replaced(text: str, spans: tuple[tuple[int, int], ...], word: str) -> str:
    for start, end in reversed(spans):
        text = text[:start] + word + text[end:]
    return text
