"""Masks in COCO's run-length code and in Label Studio's, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicedb.ingest.brush import pack, unpack
from slicedb.media.rle import mask_of, rle_of, runs_of, text_of


def _masks() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    masks = [rng.random((h, w)) < share for h, w, share in ((7, 5, 0.5), (64, 48, 0.01), (1, 9, 1))]
    blob = np.zeros((300, 400), bool)
    blob[40:200, 30:350] = True
    return [*masks, np.zeros((5, 6), bool), np.ones((5, 6), bool), blob]


@pytest.mark.parametrize("mask", _masks(), ids=str)
def test_masks_come_back_bit_for_bit(mask: np.ndarray) -> None:
    code = rle_of(mask)
    assert (mask_of(code) == mask).all()
    runs = runs_of(code["counts"])
    assert runs_of(text_of(runs)) == runs
    assert (unpack(pack(mask), mask.shape[1], mask.shape[0]) == mask).all()


@given(st.lists(st.integers(0, 1 << 20), min_size=1, max_size=40))
def test_the_text_of_runs_says_them_all(runs: list[int]) -> None:
    assert runs_of(text_of(runs)) == runs


def test_text_and_pixels_are_those_of_pycocotools() -> None:
    mask = pytest.importorskip("faster_coco_eval.core.mask", reason="needs faster-coco-eval")
    for pixels in _masks():
        theirs = mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
        code = rle_of(pixels)
        text = theirs["counts"]
        text = text.decode() if isinstance(text, bytes) else text
        assert text_of(runs_of(code["counts"])) == text
        assert (mask_of({"size": list(pixels.shape), "counts": text}) == pixels).all()


def test_a_painted_mask_of_single_values_is_read() -> None:
    # two pixels, of which the second is opaque: no run is repeated
    bits = f"{8:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}" + "000" + "111"
    bits += "".join(f"{value:08b}" for value in (0, 0, 0, 0, 9, 9, 9, 255))
    bits += "0" * (-len(bits) % 8)
    code = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    assert unpack(code, 2, 1).tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("code", "fact"),
    [
        ([0, 0], "is cut off"),
        ([0, 0, 0, 9, 57, 18, 119, 152], "has 9 values"),
        (["a"], "no list of bytes"),
        (pack(np.ones((1, 2), bool))[:-2], "is cut off"),
    ],
)
def test_a_broken_painted_mask_is_refused(code: list[int], fact: str) -> None:
    with pytest.raises(ValueError, match=fact):
        unpack(code, 2, 1)
