"""Look-ups of keys, and counts that do not depend on how often a sample is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fakes_judge import add_predictions, small_store
from hypothesis import given, settings
from hypothesis import strategies as st

from slicedb.judge import confusion
from slicedb.keys import KeyIndex
from slicedb.schema import NULL_KEY, keys_of

KEYS = st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 40), unique=True, max_size=60)


@settings(deadline=None)
@given(KEYS, KEYS)
def test_every_key_is_found_at_its_row_and_no_other(known: list[int], asked: list[int]) -> None:
    keys = np.sort(np.array(known, np.int64))
    found = KeyIndex(keys).find(np.array([*known, *asked, NULL_KEY], np.int64))
    row = {key: i for i, key in enumerate(keys.tolist())}
    assert found.tolist() == [row.get(key, -1) for key in [*known, *asked, NULL_KEY]]


def test_keys_crowded_at_the_end_are_found() -> None:
    keys = np.arange(2**63 - 50, 2**63 - 1, dtype=np.int64)
    assert KeyIndex(keys).find(keys[::-1]).tolist() == list(range(48, -1, -1))


def test_confusion_counts_a_sample_once_however_often_it_is_named(tmp_path: Path) -> None:
    store, _ = small_store(tmp_path)
    ids = [f"bird/{i}.jpg" for i in range(4)]
    add_predictions(store, "m", ids[:3], ["bird", "cat", "bird"])
    found = confusion(store, "m", keys_of([*ids, *ids, "gone.jpg", "gone.jpg", "cat/0.jpg"]))
    assert found.matrix.tolist() == [[2, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert (found.n, found.left_out) == (3, 3)  # one without prediction, one unknown, one cat
    once = confusion(store, "m", keys_of([*ids, "gone.jpg", "cat/0.jpg"]))
    assert (once.matrix == found.matrix).all() and once.left_out == 3
