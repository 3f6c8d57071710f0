"""Batched prediction: exact answers, broken images, memory, threads, interruption."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from fakes_models import COLOURS, SURE, MeanColour, colours, png
from torch import nn

from slicedb.errors import ClassesError, ModelError
from slicedb.inference import predict
from slicedb.inference.runner import default_batch_size
from slicedb.media import n_threads
from slicedb.models import TorchClassifier
from slicedb.tasks.probabilities import scores_of, softmax


def table(*args: Any, **options: Any) -> pa.Table:
    return pa.Table.from_batches(list(predict(*args, **options)))


@pytest.fixture(autouse=True)
def fresh_counter() -> None:
    MeanColour.batches = []


def test_answers_are_exact_and_in_order() -> None:
    images = colours(10)
    said = table(MeanColour(), images.items(), batch_size=4)
    assert said["id"].to_pylist() == list(images)
    assert said["prediction"].to_pylist() == [name.split("_")[1] for name in images]
    assert said["confidence"].to_pylist() == pytest.approx([SURE] * 10)
    assert said["margin"].to_pylist() == pytest.approx([SURE - 4.539787e-05] * 10)
    assert said["entropy"].to_pylist() == pytest.approx([0.000998758] * 10, rel=1e-4)
    assert said["error"].null_count == 10
    assert MeanColour.batches == [4, 4, 2]


def test_one_bad_image_costs_one_row() -> None:
    items = [("a", png(COLOURS["red"])), ("b", b"junk"), ("c", b""), ("d", png(COLOURS["blue"]))]
    said = table(MeanColour(), items, batch_size=3).to_pylist()
    assert [row["prediction"] for row in said] == ["red", None, None, "blue"]
    assert said[1]["error"].startswith("not_an_image")
    assert said[2]["error"].startswith("empty")
    assert said[1]["probabilities"] is None and said[1]["confidence"] is None


def test_a_batch_of_bad_images_only() -> None:
    for model in (MeanColour(), with_transform()):
        said = table(model, [("a", b"junk"), ("b", b"junk")])
        assert said["prediction"].null_count == 2 and said["error"].null_count == 0


def test_no_images_give_no_batches() -> None:
    assert list(predict(MeanColour(), [])) == []


def with_transform() -> MeanColour:
    model = MeanColour()
    model.transform = lambda image: torch.from_numpy(
        np.asarray(image.resize((4, 4)), dtype=np.float32).transpose(2, 0, 1) / 255
    )
    return model


def test_own_transform_is_honoured() -> None:
    images = colours(5)
    said = table(with_transform(), [*images.items(), ("bad", b"junk")], batch_size=2)
    names = [name.split("_")[1] for name in images]
    assert said["prediction"].to_pylist() == [*names, None]
    assert said["confidence"].to_pylist()[:5] == pytest.approx([SURE] * 5)


def test_transform_that_fails_names_the_sample() -> None:
    model = MeanColour()
    model.transform = lambda image: image.no_such_method()
    with pytest.raises(ModelError, match=r"transform failed on sample '0_red' \(12x10\)"):
        table(model, colours(2).items())
    model.transform = lambda image: torch.zeros(3, image.height, 5)
    with pytest.raises(ModelError, match=r"different shapes: \(3, 10, 5\) and, for sample 'tall'"):
        table(model, [("a", png((0, 0, 0))), ("tall", png((0, 0, 0), (4, 20)))])


def test_output_that_is_not_finite_is_an_error_of_its_row() -> None:
    class Odd(MeanColour):
        def predict_batch(self, images: Any) -> Any:
            logits = images.mean((2, 3))
            logits[1] = float("nan")
            return logits

    said = table(Odd(), colours(3).items()).to_pylist()
    assert [row["error"] for row in said] == [
        None,
        "the model's output is not a finite number",
        None,
    ]
    assert said[1]["prediction"] is None


def test_memory_that_runs_out_halves_the_batch_for_good() -> None:
    class Small(MeanColour):
        def predict_batch(self, images: Any) -> Any:
            if len(images) > 3:
                type(self).batches.append(-len(images))
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
            return super().predict_batch(images)

    Small.batches = []
    said = table(Small(), colours(16).items(), batch_size=8)
    assert said["prediction"].to_pylist() == [n.split("_")[1] for n in colours(16)]
    assert Small.batches == [-8, -4, 2, 2, 2, 2, 2, 2, 2, 2]


def test_one_image_too_large_for_the_memory_is_said() -> None:
    class None_(MeanColour):
        def predict_batch(self, images: Any) -> Any:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")

    with pytest.raises(ModelError, match="out of memory on a single image"):
        table(None_(), colours(4).items())


def test_model_that_fails_names_the_batch() -> None:
    class Broken(MeanColour):
        def predict_batch(self, images: Any) -> Any:
            raise KeyError("layer4")

    with pytest.raises(ModelError, match=r"failed on a batch of shape \(4, 8, 8, 3\).*KeyError"):
        table(Broken(), colours(4).items())


def test_wrong_width_names_both_numbers() -> None:
    class Wide(MeanColour):
        classes = ("red", "green")

    with pytest.raises(ClassesError, match="has 2 class names, its output has 3"):
        table(Wide(), colours(2).items())


def test_unknown_device_is_refused() -> None:
    with pytest.raises(ModelError, match="No device 'cuda:77' here"):
        table(MeanColour(), colours(2).items(), device="cuda:77")


def test_mode_of_the_module_comes_back_when_the_reader_stops_early() -> None:
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(3)).train()
    model = TorchClassifier(module, classes=["r", "g", "b"], input_size=8)
    batches = predict(model, colours(9).items(), batch_size=3)
    next(batches)
    assert not module.training
    batches.close()
    assert module.training
    assert int(module[2].num_batches_tracked) == 0


def test_closing_stops_threads_and_closes_the_source() -> None:
    closed = []

    def source() -> Iterator[tuple[str, bytes]]:
        try:
            for i in range(10_000):
                yield str(i), png(COLOURS["red"])
        finally:
            closed.append(True)

    batches = predict(MeanColour(), source(), batch_size=4, threads=3)
    next(batches)
    batches.close()
    assert closed == [True]
    assert not [
        t
        for t in threading.enumerate()
        if t.name.startswith("slicedb") and t.name != "slicedb-watch"
    ]


def test_ctrl_c_in_the_model_comes_through() -> None:
    class Interrupted(MeanColour):
        def predict_batch(self, images: Any) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        table(Interrupted(), colours(4).items())
    assert not [
        t
        for t in threading.enumerate()
        if t.name.startswith("slicedb") and t.name != "slicedb-watch"
    ]


def test_error_of_the_source_comes_through() -> None:
    def source() -> Iterator[tuple[str, bytes]]:
        yield "a", png(COLOURS["red"])
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        table(MeanColour(), source(), batch_size=1)


def test_any_number_of_threads_and_any_batch_give_the_same() -> None:
    images = colours(23)
    first = table(MeanColour(), images.items(), batch_size=23, threads=1)
    for size, threads in ((1, 1), (5, 2), (64, 7)):
        assert table(MeanColour(), images.items(), batch_size=size, threads=threads) == first
    assert n_threads(3) == 3 and n_threads() >= 1


@pytest.mark.slow
def test_runs_without_lance_and_duckdb() -> None:
    code = (
        "import sys\n"
        "for name in ('lance', 'lancedb', 'duckdb', 'open_clip', 'rich', 'scipy'):\n"
        "    sys.modules[name] = None\n"
        f"{PLAIN}\n"
        "from slicedb.inference import predict\n"
        "print(sum(len(b) for b in predict(model(), items())))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "2", done.stderr


PLAIN = """
import io
from PIL import Image
from slicedb.models import Model
class model(Model):
    classes = ("r", "g", "b")
    input_size = 8
    def predict_batch(self, images):
        return images.mean((2, 3))
def items():
    out = io.BytesIO(); Image.new("RGB", (9, 9)).save(out, "JPEG")
    return [("a", out.getvalue()), ("b", out.getvalue())]
"""


def test_softmax_and_scores_against_torch_and_plain_numpy() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 20, (50, 7)).astype(np.float32)
    p = softmax(logits)
    torch.testing.assert_close(torch.from_numpy(p), torch.from_numpy(logits).softmax(1))
    scores = scores_of(p)
    ordered = np.sort(p, axis=1)
    assert (scores.index == p.argmax(1)).all()
    np.testing.assert_allclose(scores.margin, ordered[:, -1] - ordered[:, -2], atol=1e-7)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nansum(p * np.log(p), axis=1)
    np.testing.assert_allclose(scores.entropy, entropy, atol=1e-5)


def test_scores_of_one_class_and_of_nothing_known() -> None:
    one = scores_of(np.ones((2, 1), np.float32))
    assert one.margin.tolist() == [1.0, 1.0] and one.entropy.tolist() == [0.0, 0.0]
    lost = scores_of(np.full((1, 3), np.nan, np.float32))
    assert np.isnan(lost.confidence).all() and lost.index.tolist() == [0]


def test_a_batch_on_a_cpu_suits_the_weights_of_the_model() -> None:
    cpu, millions = torch.device("cpu"), (None, 3, 12, 26, 88, 600)  # None to ViT-B/32 and beyond
    sizes = [default_batch_size((224, 224), cpu, n and n * 10**6) for n in millions]
    assert sizes == [8, 8, 11, 24, 32, 32]
    assert default_batch_size((32, 32), cpu, 88 * 10**6) == 392
    assert default_batch_size((224, 224), torch.device("cuda"), 88 * 10**6) == 256


class Large(MeanColour):
    input_size = 224

    def n_parameters(self) -> int:
        return 26_000_000


def test_a_model_with_large_weights_is_run_in_larger_batches() -> None:
    table(Large(), colours(60).items())
    assert MeanColour.batches == [24, 24, 12]
