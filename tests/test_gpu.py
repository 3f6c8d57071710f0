"""What a GPU is asked for: copies that do not wait, one a batch, and queued ahead."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from fakes_gpu import fake_gpu
from fakes_models import MeanColour, colours
from PIL import Image
from torch import nn

import slicedb
from slicedb.cam import GradCam
from slicedb.inference import predict
from slicedb.inference.batches import batches
from slicedb.inference.device import Gpu, device_of
from slicedb.inference.lists import run_lists
from slicedb.inference.runner import is_out_of_memory, run
from slicedb.models import Detector, TorchClassifier

LOCKED_COPIES = ("in", "out")
WAITING_COPIES = ("in, waiting", "out, waiting")


def network() -> TorchClassifier:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )
    return TorchClassifier(net, classes=["red", "green", "blue"], input_size=8, name="net")


class Brightest(Detector):
    """Says of each image one box over all of it, and how bright it is."""

    classes = ("thing",)

    def predict_batch(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        outputs = []
        for image in images:
            corners = image.new_zeros(1, 4) + image.shape[2]
            scores = image.mean((0, 1, 2), keepdim=True).reshape(1)
            labels = (scores > -1).to(torch.int64)
            mask = image.mean(0, keepdim=True)
            outputs.append({"boxes": corners, "labels": labels, "scores": scores, "masks": mask})
        return outputs


def photos(n: int) -> list[tuple[str, bytes]]:
    rng = np.random.default_rng(0)
    items = []
    for i in range(n):
        pixels = rng.integers(0, 255, (10 + i, 20, 3)).astype(np.uint8)
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "PNG")
        items.append((f"{i}.png", out.getvalue()))
    return items


def table(*args: Any, **options: Any) -> pa.Table:
    return pa.Table.from_batches(list(predict(*args, **options)))


def test_a_batch_is_copied_in_once_and_out_once_and_nothing_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = colours(24)
    with fake_gpu(monkeypatch) as gpu:
        outputs = run(network(), images.items(), batch_size=4, device="cuda")
        next(outputs)
        gpu.entries.clear()  # weights, and what normalises pixels, are copied before this
        for _ in range(3):
            next(outputs)
        assert gpu.of("in") == [4 * 8 * 8 * 3] * 3  # uint8
        assert gpu.of("out") == [4 * 3 * 4] * 3  # float32
        assert gpu.order(*WAITING_COPIES) == []
        assert gpu.of("autocast") == [("cuda", torch.bfloat16)] * 3
        outputs.close()


def test_two_batches_are_queued_before_results_are_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with fake_gpu(monkeypatch) as gpu:
        list(run(network(), colours(20).items(), batch_size=4, device="cuda"))
    order = gpu.order("in", "out", "wait")
    assert order == ["in", "out"] * 3 + ["wait"] + ["in", "out", "wait"] * 2 + ["wait"] * 2
    assert gpu.of("wait") == [0, 1, 2, 3, 4]


def test_copies_run_in_a_stream_of_their_own_that_the_computation_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with fake_gpu(monkeypatch) as gpu:
        list(run(network(), colours(4).items(), batch_size=4, device="cuda:1"))
    steps = gpu.order("stream", "in", "stream waits", "kept", "compute", "out", "event")
    assert steps[:4] == ["stream", "in", "stream waits", "kept"]
    assert gpu.of("stream waits") == [("computing", "copies")]
    assert steps[-2:] == ["out", "event"]
    assert gpu.of("event") == ["cuda:1"]  # and not the first GPU, whose queue is empty


def test_answers_on_a_gpu_equal_those_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    images = {**colours(10), "broken": b"junk"}
    expected = table(network(), images.items(), batch_size=4)
    with fake_gpu(monkeypatch) as gpu:
        said = table(network(), images.items(), batch_size=4, device="cuda")
    assert len(gpu.of("in")) == 3
    assert said["id"].to_pylist() == expected["id"].to_pylist()
    assert said["error"].to_pylist() == expected["error"].to_pylist()
    left, right = (np.array(t["probabilities"].to_pylist()[:10]) for t in (said, expected))
    assert np.abs(left - right).max() < 1e-6


def test_memory_that_runs_out_halves_the_batch_and_gives_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = colours(20)
    expected = table(network(), images.items())
    with fake_gpu(monkeypatch, limit=3) as gpu:
        said = table(network(), images.items(), batch_size=8, device="cuda")
    assert gpu.of("out of memory") == [8, 4]  # then batches of two fit, for good
    assert gpu.order("freed") == ["freed"] * 2
    assert said["prediction"].to_pylist() == expected["prediction"].to_pylist()
    left, right = (np.array(t["probabilities"].to_pylist()) for t in (said, expected))
    assert np.abs(left - right).max() < 1e-6


def test_the_weights_come_back_to_where_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network()
    with fake_gpu(monkeypatch):
        list(run(model, colours(4).items(), device="cuda"))
        assert model.device is not None and model.device.type == "cpu"


def test_images_of_different_sizes_are_copied_together(monkeypatch: pytest.MonkeyPatch) -> None:
    items = photos(6)
    expected = [value for out in run_lists(Brightest(), items) for value in out.values]
    with fake_gpu(monkeypatch) as gpu:
        outputs = list(run_lists(Brightest(), items, batch_size=3, device="cuda"))
    assert gpu.of("in") == [20 * 3 * (10 + 11 + 12), 20 * 3 * (13 + 14 + 15)]
    # boxes and scores are floats, labels are whole numbers; masks are not asked for
    assert gpu.of("out") == [3 * 5 * 4, 3 * 8, 3 * 5 * 4, 3 * 8]
    assert gpu.order(*WAITING_COPIES) == []
    said = [value for out in outputs for value in out.values]
    for one, other in zip(said, expected, strict=True):
        assert one.xywh.tolist() == other.xywh.tolist()
        assert np.allclose(one.score, other.score)


def test_tensors_of_many_shapes_and_types_come_back_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = [
        torch.arange(6.0).reshape(2, 3),
        torch.tensor(3),
        torch.zeros((0, 4)),
        torch.tensor([True, False]),
        torch.tensor([1.5, 2.5], dtype=torch.bfloat16),
    ]
    with fake_gpu(monkeypatch) as gpu:
        far = [one.to("cuda") for one in given]
        gpu.entries.clear()
        back = Gpu(torch.device("cuda")).fetch_all(far)
        assert gpu.order(*WAITING_COPIES) == []
        assert len(gpu.of("out")) == 4 == len(gpu.of("wait"))  # one of each type
    for one, other in zip(back, given, strict=True):
        assert one.dtype == other.dtype and one.tolist() == other.tolist()


def test_a_cpu_decodes_nothing_ahead_and_copies_what_it_keeps() -> None:
    cpu = device_of(torch.device("cpu"))
    assert (cpu.ahead, cpu.in_flight, cpu.is_gpu) == (0, 0, False)
    values = torch.ones(2, 3, dtype=torch.float16)
    wait = cpu.fetch(values)
    values.zero_()
    assert wait().dtype == np.float32 and wait().sum() == 6


def test_a_batch_keeps_its_memory_while_two_more_are_queued() -> None:
    feed = batches(colours(40).items(), MeanColour().preprocessing, size=4, ahead=2, threads=1)
    batch = next(feed)
    before = batch.images.clone()
    next(feed), next(feed)
    assert torch.equal(batch.images, before)
    feed.close()


def convolutions() -> TorchClassifier:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, 1, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )
    return TorchClassifier(net, classes=["red", "green", "blue"], input_size=8, name="net")


def test_grad_cam_on_a_gpu_waits_for_its_few_numbers_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, images = convolutions(), torch.rand(5, 3, 8, 8)
    expected = GradCam(model)(images, [0, 1, 2, 0, 1])
    with fake_gpu(monkeypatch, gradients=True) as gpu, model.session(torch.device("cuda:1")):
        explain, pinned = GradCam(model), torch.empty(5, 3, 8, 8, pin_memory=True)
        pinned.copy_(images)
        gpu.entries.clear()
        said = explain(pinned, [0, 1, 2, 0, 1])
        # classes follow from ordinary memory, in the stream of copies, once the network is queued
        assert gpu.order("in", "in, waiting", "backward", "out", "wait") == [
            *("in", "in, waiting", "backward"),
            *("out", "out", "wait", "wait"),
        ]
        assert gpu.of("in") == [5 * 3 * 8 * 8 * 4] and gpu.of("in, waiting") == [5 * 8]
        assert sorted(gpu.of("out")) == [5 * 8, 4 * (5 * 16 + 5 + 5 * 3)]  # no activations
        assert gpu.of("event") == ["cuda:1"] * 2
    assert np.abs(said.maps - expected.maps).max() < 1e-6
    assert said.targets.tolist() == [0, 1, 2, 0, 1]
    assert all(weight.grad is None for weight in model.module.parameters())


def test_maps_of_a_database_are_those_of_the_cpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, data in colours(20).items():
        (tmp_path / name).write_bytes(data)
    db = slicedb.open(tmp_path / "db")
    db.ingest(tmp_path, progress=False)
    db.models.add("net", convolutions())
    db.cam("net", batch_size=8, device="cpu", progress=False)
    expected = db.store.table("cams__net", ["id", "map", "target"]).sort_by("id").to_pylist()
    db.models.add("far", convolutions())
    with fake_gpu(monkeypatch, gradients=True) as gpu:
        report = db.cam("far", batch_size=8, device="cuda:0", progress=False)
    assert report.computed == 20
    assert gpu.of("in") == [8 * 8 * 8 * 3, 8 * 8 * 8 * 3, 4 * 8 * 8 * 3]  # uint8, page-locked
    assert len(gpu.of("backward")) == 3 and len(gpu.of("wait")) == 6
    last = max(i for i, (kind, _) in enumerate(gpu.entries) if kind == "wait")
    del gpu.entries[last:]  # after that the weights come back
    assert gpu.order("out, waiting") == []
    said = db.store.table("cams__far", ["id", "map", "target"]).sort_by("id").to_pylist()
    for one, other in zip(said, expected, strict=True):
        assert (one["id"], one["target"]) == (other["id"], other["target"])
        assert np.allclose(one["map"], other["map"], atol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_every_library_says_in_its_own_words_that_memory_ran_out(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))
