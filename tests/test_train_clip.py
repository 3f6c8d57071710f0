"""The script that trains the bundled tiny CLIP: its data, its losses, one short run."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from clip_corpus import learn_merges, matches
from clip_words import OBJECTS
from PIL import Image
from train_clip import loss_of, main, told_apart


def test_merges_join_the_most_frequent_pair_first() -> None:
    assert learn_merges(["aab aab", "ab"], 1) == [("a", "b</w>")]
    assert learn_merges(["aab aab", "ab"], 9) == [("a", "b</w>"), ("a", "ab</w>")]


def test_a_caption_is_true_where_every_claim_is() -> None:
    facts = np.array([[1, 2], [1, 3], [4, -1]])
    claims = np.array([[1, -1], [1, 3], [-1, -1]])
    assert matches(claims, facts).tolist() == [
        [True, False, True],
        [True, True, True],
        [False, False, True],
    ]


def test_the_loss_of_even_scores_is_the_log_of_their_number() -> None:
    images, texts = torch.eye(4)[:2], torch.eye(4)[2:]
    match = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert float(loss_of(images, texts, torch.tensor(5.0), match)) == pytest.approx(np.log(2))


def test_pictures_without_a_value_are_left_out_of_the_classes() -> None:
    logits = torch.tensor([[0.0, 0.0], [100.0, 0.0]])
    match = torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    assert float(told_apart(logits, match)) == pytest.approx(np.log(2))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Leave torch's threads as they were: the script sets them."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_equal_seeds_write_equal_files_that_open_clip_loads(
    tmp_path: Path, one_thread: None
) -> None:
    import open_clip
    from safetensors.torch import load_file

    rng = np.random.default_rng(0)
    rows = []
    for name in [*OBJECTS] * 2:
        out = BytesIO()
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(out, "JPEG")
        rows.append({"label": name, "image": out.getvalue()})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "photos.parquet")
    short = [
        "--cifar",
        str(tmp_path / "photos.parquet"),
        "--scenes",
        "12",
        "--steps",
        "2",
        "--photo-batch",
        "6",
        "--scene-batch",
        "6",
        "--scene-captions",
        "4",
        "--no-compile",
        "--threads",
        "1",
    ]
    main([*short, "--out", str(tmp_path / "a")])
    main([*short, "--out", str(tmp_path / "b")])
    for name in ("slicedb-tiny.json", "merges.txt.gz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    first, again = (load_file(tmp_path / k / "slicedb-tiny.safetensors") for k in "ab")
    for name, weights in first.items():  # the last digit may depend on where memory lies
        torch.testing.assert_close(weights, again[name], atol=1e-3, rtol=1e-2)
    open_clip.add_model_config(tmp_path / "a" / "slicedb-tiny.json")
    weights = str(tmp_path / "a" / "slicedb-tiny.safetensors")
    model = open_clip.create_model("slicedb-tiny", pretrained=weights)
    assert model.encode_image(torch.zeros(1, 3, 64, 64)).shape == (1, 128)
