"""Several models over pictures that are decoded once: the values of single passes, and failures."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from fakes_detector import detector
from fakes_gpu import fake_gpu
from fakes_models import MeanColour, colours
from fakes_segmenter import CLASSES, Nearest
from PIL import Image
from torch import nn

from slicedb import media
from slicedb.errors import CancelledError, ModelError
from slicedb.inference import Said, predict, predict_several
from slicedb.media.once import eighths
from slicedb.models import Model, TorchClassifier, TorchSegmenter
from slicedb.progress import Bar

Encoded = list[tuple[str, bytes]]


def photos(n: int, side: int = 60, broken: Sequence[int] = ()) -> Encoded:
    """Return noisy JPEGs and PNGs of several shapes; some are cut off."""
    rng = np.random.default_rng(3)
    made = []
    for i in range(n):
        coarse = rng.integers(0, 255, (6, 8, 3)).astype(np.uint8)
        size = (side + 7 * (i % 5), side + 11 * (i % 3))
        out = io.BytesIO()
        image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        image.save(out, "PNG" if i % 7 == 3 else "JPEG", quality=88)
        data = out.getvalue()
        made.append((f"{i}", data[: len(data) // 3] if i in broken else data))
    return made


def network(seed: int, **options: Any) -> TorchClassifier:
    """Return a convolutional classifier with random weights."""
    torch.manual_seed(seed)
    module = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(20, 4)
    )
    return TorchClassifier(module.eval(), classes=list("abcd"), **options)


def by_transform(image: Image.Image) -> torch.Tensor:
    """Return the top left corner, which it paints black in the picture that it was given."""
    pixels = np.array(image.crop((0, 0, 20, 20)))
    image.paste((0, 0, 0), (0, 0, *image.size))
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def zoo() -> list[Model]:
    """Return models of three tasks, with five ways to read a picture."""
    return [
        network(0, input_size=16, resize=20),
        network(1, input_size=16, resize=20, mean=(0.1, 0.2, 0.3)),
        network(2, input_size=(12, 24), resize="squash", interpolation="bicubic"),
        network(3, transform=by_transform),
        detector(),
        TorchSegmenter(Nearest(), classes=CLASSES),
        TorchSegmenter(Nearest(shift=2), classes=CLASSES, longest=32),
    ]


def said_of(models: Sequence[Model], several: Iterator[Said]) -> list[pa.Table]:
    """Return the rows of each model."""
    batches: list[list[pa.RecordBatch]] = [[] for _ in models]
    for said in several:
        assert said.batch is not None
        batches[said.model].append(said.batch)
    return [pa.Table.from_batches(some).combine_chunks() for some in batches]


def alone(model: Model, items: Encoded, **how: Any) -> pa.Table:
    return pa.Table.from_batches(list(predict(model, items, **how))).combine_chunks()


@pytest.mark.parametrize("batch_size", [None, 3])
def test_rows_are_those_of_single_passes_bit_by_bit(batch_size: int | None) -> None:
    items, models = photos(70, broken=(0, 9, 69)), zoo()
    rng = np.random.default_rng(1)
    wants = rng.random((len(items), len(models))) < [1, 0.9, 0.5, 0.3, 1, 0.2, 0.5]
    wanted = [(name, data, np.flatnonzero(row)) for (name, data), row in zip(items, wants)]
    together = said_of(models, predict_several(models, iter(wanted), batch_size=batch_size))
    for number, (model, rows) in enumerate(zip(models, together)):
        own = [item for item, row in zip(items, wants) if row[number]]
        assert rows["id"].to_pylist() == [name for name, _ in own]
        assert rows.equals(alone(model, own, batch_size=batch_size))


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> Counter[bytes]:
    """Count how often each picture is decoded."""
    counted: Counter[bytes] = Counter()
    by_jpeg, by_pillow = media._jpeg_rgb, media._pillow_rgb

    def count_jpeg(data: bytes, least: int) -> np.ndarray:
        counted[data] += 1
        return by_jpeg(data, least)

    def count_pillow(data: bytes, max_pixels: int) -> np.ndarray:
        counted[data] += 1
        return by_pillow(data, max_pixels)

    monkeypatch.setattr(media, "_jpeg_rgb", count_jpeg)
    monkeypatch.setattr(media, "_pillow_rgb", count_pillow)
    return counted


def test_each_picture_is_decoded_once_for_all_models(decodings: Counter[bytes]) -> None:
    items, models = photos(20), zoo()
    for _ in predict_several(models, [(*item, range(len(models))) for item in items]):
        pass
    assert decodings == {data: 1 for _, data in items}


def test_a_large_jpeg_is_decoded_once_for_each_fraction_of_its_size(
    decodings: Counter[bytes],
) -> None:
    ((name, data),) = photos(1, side=600)
    models = [network(i, input_size=side) for i, side in enumerate((24, 25, 50, 50))]
    assert [eighths(600, 600, 3 * side) for side in (24, 25, 50)] == [1, 1, 2]
    together = said_of(models, predict_several(models, [(name, data, range(4))]))
    assert decodings == {data: 2}
    assert all(rows.equals(alone(m, [(name, data)])) for m, rows in zip(models, together))


def test_models_that_resize_alike_share_the_resize(monkeypatch: pytest.MonkeyPatch) -> None:
    from slicedb.models.preprocessing import Preprocessing

    sizes, fit = [], Preprocessing.fit

    def counted(self: Preprocessing, *args: Any) -> None:
        sizes.append(self.size)
        fit(self, *args)

    monkeypatch.setattr(Preprocessing, "fit", counted)
    models = [network(0, input_size=16), network(1, input_size=16), network(2, input_size=9)]
    list(predict_several(models, [(*item, range(3)) for item in photos(5)], threads=1))
    assert sizes == [(16, 16), (9, 9)] * 5


class Failing(MeanColour):
    """Fails at its third batch."""

    def predict_batch(self, images: Any) -> Any:
        if len(type(self).batches) == 2:
            raise RuntimeError("it was told to fail")
        return super().predict_batch(images)


def test_a_model_that_fails_keeps_what_it_said_and_the_others_go_on() -> None:
    Failing.batches = []
    items = [(*item, (0, 1)) for item in colours(20).items()]
    several = list(predict_several([Failing(), MeanColour()], items, batch_size=4))
    rows = [sum(len(s.batch) for s in several if s.batch and s.model == m) for m in (0, 1)]
    assert rows == [8, 20]
    (error,) = [said.error for said in several if said.error is not None]
    assert "failed on a batch of shape (4, 8, 8, 3) on cpu: RuntimeError: it was told to fail" in (
        str(error)
    )


def test_a_transform_that_fails_costs_its_own_model_alone() -> None:
    def picky(image: Image.Image) -> torch.Tensor:
        if image.size[0] > 80:
            raise ValueError("too wide")
        return by_transform(image)

    items = [(*item, (0, 1)) for item in photos(20)]
    models = [network(0, transform=picky), network(1, input_size=16)]
    several = list(predict_several(models, items, batch_size=4))
    assert [said.error for said in several if said.error and said.model == 1] == []
    assert sum(len(said.batch) for said in several if said.batch and said.model == 1) == 20
    (error,) = [said.error for said in several if said.error]
    assert isinstance(error, ModelError)
    assert "The model's transform failed on sample '3' (81x60)" in str(error)


def test_nothing_is_read_when_all_have_failed() -> None:
    def items() -> Iterator[tuple[str, bytes, tuple[int, ...]]]:
        for number, (name, data) in enumerate(colours(1000).items()):
            assert number < 100
            yield name, data, (0, 1)

    Failing.batches = [1, 1]
    several = list(predict_several([Failing(), Failing()], items(), batch_size=4))
    assert [(said.model, said.batch) for said in several] == [(0, None), (1, None)]


class Small(MeanColour):
    """Has memory for two pictures."""

    def predict_batch(self, images: Any) -> Any:
        if len(images) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return super().predict_batch(images)


def test_the_batch_of_the_model_that_lacks_memory_is_halved() -> None:
    class Large(MeanColour):
        pass

    Small.batches, Large.batches = [], []
    items = [(*item, (0, 1)) for item in colours(24).items()]
    together = said_of([Small(), Large()], predict_several([Small(), Large()], items, batch_size=8))
    assert [len(rows) for rows in together] == [24, 24]
    assert together[0].equals(together[1])
    assert (Small.batches, Large.batches) == ([2] * 12, [8] * 3)


def test_models_that_do_not_fit_together_are_told_apart_from_their_batches() -> None:
    class Heavy(MeanColour):
        @contextlib.contextmanager
        def session(self, device: Any) -> Iterator[None]:
            raise torch.OutOfMemoryError("CUDA out of memory")
            yield

    with pytest.raises(ModelError, match=r"do not fit on cpu together: CUDA out of memory Hint: p"):
        list(predict_several([MeanColour(), Heavy()], [("a", b"", (0, 1))]))


def test_no_more_pictures_are_held_than_fill_the_batches() -> None:
    """A model that wants all does not wait for one that wants few."""
    ahead: list[int] = []
    read, seen = 0, 0

    class Counts(MeanColour):
        def predict_batch(self, images: Any) -> Any:
            nonlocal seen
            seen += len(images)
            ahead.append(read - seen)
            return super().predict_batch(images)

    def items() -> Iterator[tuple[str, bytes, tuple[int, ...]]]:
        nonlocal read
        for number, (name, data) in enumerate(colours(400).items()):
            read += 1
            yield name, data, (0, 1) if number % 40 == 0 else (0,)

    several = predict_several([Counts(), MeanColour()], items(), batch_size=4)
    assert sum(len(said.batch) for said in several if said.batch) == 400 + 10
    assert max(ahead) <= 8  # the batch that is read ahead, and what the other model ended early


def test_stopping_ends_the_threads_and_the_source() -> None:
    closed = []

    def items() -> Iterator[tuple[str, bytes, tuple[int, ...]]]:
        try:
            for name, data in colours(1000).items():
                yield name, data, (0, 1)
        finally:
            closed.append(True)

    class Stops(Bar):
        def advance(self, n: int = 1) -> None:
            raise CancelledError("It was stopped.")

    with pytest.raises(CancelledError):
        list(predict_several([MeanColour(), MeanColour()], items(), progress=Stops()))
    assert closed == [True]


def test_a_gpu_never_waits_for_a_batch_of_either_model(monkeypatch: pytest.MonkeyPatch) -> None:
    items = list(colours(60).items())
    models = [network(0, input_size=8), network(1, input_size=8, mean=(0.1, 0.2, 0.3))]
    with fake_gpu(monkeypatch) as log:
        wanted = [(*item, (0, 1)) for item in items]
        together = said_of(models, predict_several(models, wanted, batch_size=4, device="cuda"))
    pixels = 4 * 8 * 8 * 3
    assert log.of("in").count(pixels) == 30
    assert pixels not in log.of("in, waiting")  # as weights are
    logits = 4 * 4 * 4
    assert logits in log.of("out")
    assert logits not in log.of("out, waiting")
    assert len(log.locked) <= 2 * 6 + 2 * 15  # rows in turn, and what each batch gives
    for model, rows in zip(models, together):
        assert rows["prediction"].equals(alone(model, items, batch_size=4)["prediction"])
