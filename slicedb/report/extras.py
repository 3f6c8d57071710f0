"""What only the page of a run needs: thumbnails, maps, costs, history. Made when it is written."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from slicedb import cam, decide, media, schema
from slicedb.cam.overlays import data_uri
from slicedb.errors import MediaError, SliceDBError
from slicedb.judge.aligned import Judged, Keys
from slicedb.judge.results import Result
from slicedb.runs.history import Runs
from slicedb.store import Store

CARDS = 48
"""Worst samples shown."""

_SIDE = 180
_POINTS = 200


def facts(
    store: Store, results: Sequence[Result], judged: Mapping[str, Judged], model: str, keys: Keys
) -> dict[str, Any]:
    """Return gallery, coverage and trends.

    Args:
        store: the database.
        results: of the run.
        judged: outcomes by model.
        model: the model under test.
        keys: int64 (n,), what the slices hold together.
    """
    return {
        "gallery": gallery(store, results, judged[model], model),
        "coverage": coverage(store, model, keys),
        "trends": trends(store, results),
    }


def gallery(
    store: Store, results: Sequence[Result], judged: Judged, model: str
) -> list[dict[str, Any]]:
    """Return a card a sample: id, src, cam, label, prediction, confidence, slices."""
    slices: dict[str, list[str]] = {}
    for r in results:
        for sample in r.worst_ids if r.verdict != "PASS" else ():
            if r.slice not in slices.setdefault(sample, []):
                slices[sample].append(r.slice)
    ids = list(slices)[:CARDS]
    if not ids:
        return []
    keys = schema.keys_of(ids)
    known = zip(ids, _thumbnails(store, keys), _maps(store, model, keys), _said(judged, keys))
    return [
        {"id": sample, "src": src, "cam": looked, "slices": slices[sample], **said}
        for sample, src, looked, said in known
    ]


def _said(judged: Judged, keys: Keys) -> list[dict[str, Any]]:
    """Return label, prediction and confidence a key; None where it was not judged."""
    outcomes = judged.outcomes
    if outcomes.task != "classification":
        return [{"label": None, "prediction": None, "confidence": None}] * len(keys)
    place = np.minimum(np.searchsorted(judged.keys, keys), max(len(judged.keys) - 1, 0))
    found = []
    for key, where in zip(keys.tolist(), place.tolist()):
        at = where if len(judged.keys) and judged.keys[where] == key else None
        sure = None if at is None or outcomes.confidence is None else outcomes.confidence[at]
        found.append(
            {
                "label": None if at is None else outcomes.classes[outcomes.label[at]],
                "prediction": None if at is None else outcomes.classes[outcomes.prediction[at]],
                "confidence": None if sure is None else float(sure),
            }
        )
    return found


def _thumbnails(store: Store, keys: Keys) -> list[str | None]:
    found: dict[int, str | None] = {}
    try:
        for key, data in zip(keys.tolist(), (data for _, data in store.read_images(keys))):
            try:
                small = media.thumbnail(data, _SIDE)
            except MediaError:
                found[key] = None
            else:
                found[key] = "data:image/jpeg;base64," + base64.b64encode(small).decode()
    except SliceDBError:
        pass  # a database of predictions alone has no pictures
    return [found.get(key) for key in keys.tolist()]


def _maps(store: Store, model: str, keys: Keys) -> list[str | None]:
    if not store.has(schema.CAMS + model):
        return [None] * len(keys)
    pictures = cam.overlays(store, model, keys, side=_SIDE)
    return [None if picture is None else data_uri(picture) for picture in pictures]


def coverage(store: Store, model: str, keys: Keys) -> dict[str, Any] | None:
    """Return what answering only the surest costs, and what ways of deciding cost."""
    try:
        found = decide.cost(store, model, keys)
    except SliceDBError:
        return None  # no probabilities, or nothing judged
    curve = found.coverage
    at = np.unique(np.linspace(0, len(curve.coverage) - 1, _POINTS).astype(int))
    policies = [
        {"policy": r.policy, "cost": r.cost, "low": r.low, "high": r.high} for r in found.rows
    ]
    return {
        "coverage": np.round(curve.coverage[at], 5).tolist(),
        "risk": np.round(curve.risk[at], 5).tolist(),
        "doubt": np.round(curve.doubt[at], 5).tolist(),
        "policies": policies,
    }


def trends(store: Store, results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return each test of this run over the runs written down."""
    names = list(dict.fromkeys(r.slice for r in results))
    return [
        {
            "slice": t.slice,
            "check": t.check,
            "direction": t.direction,
            "flips": t.flips,
            "status": t.status,
            "points": [
                {
                    **{k: _known(getattr(p, k)) for k in ("value", "low", "high")},
                    "verdict": p.verdict,
                    "model": p.model,
                    "ran_at": f"{p.ran_at:%Y-%m-%d %H:%M}",
                }
                for p in t.points
            ],
        }
        for t in Runs(store).trends(names)
    ]


def _known(value: float) -> float | None:
    return None if value != value else value
