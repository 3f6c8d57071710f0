"""JPEGs that a GPU decodes: which ones, how they become batches, and what is said of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fakes_gpu import FakeNvjpeg, Log, fake_gpu, fake_nvjpeg
from PIL import Image
from test_gpu import Brightest, convolutions, network

import slicedb
from slicedb.cli import main
from slicedb.errors import ModelError
from slicedb.inference import jpegs
from slicedb.inference.decoding import Decoding
from slicedb.inference.fitting import fit_all
from slicedb.inference.lists import run_lists
from slicedb.inference.runner import run
from slicedb.media import decode_rgb
from slicedb.media.plain import plain_size
from slicedb.models.preprocessing import Preprocessing
from slicedb.store.decoded import decoded_by_gpu

Items = list[tuple[str, bytes]]


def photo(seed: int = 0, size: tuple[int, int] = (40, 60), **how: Any) -> bytes:
    """Return a JPEG of soft colours: (height, width) in pixels."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (4, 5, 3)).astype(np.uint8))
    image = coarse.resize(size[::-1], Image.Resampling.BICUBIC).convert(how.pop("mode", "RGB"))
    out = io.BytesIO()
    image.save(out, how.pop("format", "JPEG"), quality=95, **how)
    return out.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return photo(exif=exif)


ODD = {
    "progressive": photo(progressive=True),
    "gray": photo(mode="L"),
    "cmyk": photo(mode="CMYK"),
    "rgb": photo(keep_rgb=True),
    "turned": turned(6),
    "cut": photo()[:-40],
    "png": photo(format="PNG"),
    "junk": b"junk",
    "empty": b"",
}
"""What is left to the CPU."""


@pytest.mark.parametrize("name", ODD)
def test_what_decoders_read_differently_is_left_to_the_cpu(name: str) -> None:
    assert plain_size(ODD[name]) is None


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_plain_jpegs_tell_their_size(subsampling: str) -> None:
    assert plain_size(photo(size=(33, 57), subsampling=subsampling)) == (33, 57)
    assert plain_size(turned(1)) == (40, 60)
    assert plain_size(photo(comment=b"\xff\xc2 looks like a progressive frame")) == (40, 60)


def test_jpegs_of_12_bits_or_arithmetic_coding_are_not_plain() -> None:
    data = photo()
    at = data.index(b"\xff\xc0")
    for changed in (b"\xff\xc1", b"\xff\xc2", b"\xff\xc3", b"\xff\xc9"):
        assert plain_size(data[:at] + changed + data[at + 2 :]) is None
    assert plain_size(data[: at + 4] + b"\x0c" + data[at + 5 :]) is None
    assert plain_size(data[: at + 5] + b"\0\0" + data[at + 7 :]) is None  # a height told later
    assert plain_size(data[:at]) is None


@pytest.mark.parametrize(
    ("size", "resize", "interpolation"),
    [
        ((24, 24), 32, "bilinear"),
        ((24, 24), 24, "bicubic"),
        ((24, 36), None, "bilinear"),
        ((40, 40), 40, "bilinear"),
        ((96, 96), 110, "bicubic"),
    ],
)
def test_pixels_resized_on_a_device_are_those_of_the_cpu(
    size: tuple[int, int], resize: int | None, interpolation: Any
) -> None:
    how = Preprocessing(size=size, resize=resize, interpolation=interpolation)
    sizes = [(40, 60), (90, 70), (40, 60), (33, 200), (40, 40)]
    pictures = [decode_rgb(photo(i, shape)) for i, shape in enumerate(sizes)]
    expected = np.empty((len(pictures), *size, 3), np.uint8)
    for pixels, row in zip(pictures, expected):
        how.fit(pixels, row)
    fitted = fit_all([torch.from_numpy(p).permute(2, 0, 1) for p in pictures], how)
    assert fitted.dtype == torch.uint8 and fitted.is_contiguous()
    assert np.abs(fitted.numpy().astype(int) - expected).max() <= 1


def test_pixels_are_normalised_to_the_bit_and_stay_channels_last() -> None:
    how = Preprocessing(size=(5, 7), mean=(0.5, 0.25, 0.125), std=(0.5, 0.25, 1.0))
    pixels = torch.arange(2 * 5 * 7 * 3).reshape(2, 5, 7, 3).to(torch.uint8)
    scale = torch.tensor([1 / (255 * 0.5), 1 / (255 * 0.25), 1 / 255])
    shift = torch.tensor([-1.0, -1.0, -0.125])
    expected = pixels.to(torch.float32).mul(scale).add(shift).permute(0, 3, 1, 2)
    for given in (pixels, pixels.flip(0), pixels[:0]):
        made = how.normalise(given)
        assert made.shape == (len(given), 3, 5, 7)
        assert made.is_contiguous(memory_format=torch.channels_last) or not len(given)
    assert torch.equal(how.normalise(pixels), expected)
    assert torch.equal(how.normalise(pixels[::2, :, ::2]), expected[::2, :, :, ::2])
    assert pixels[0, 0, 1, 0] == 3  # the pixels themselves stay


def test_huge_pictures_are_decoded_a_few_at_once() -> None:
    large = (6000, 9000)
    assert jpegs.batches_of([large] * 3) == [[0], [1], [2]]
    assert jpegs.batches_of([(375, 500)] * 5 + [large]) == [[0, 1, 2, 3, 4, 5]]
    assert jpegs.batches_of([]) == []


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    with fake_gpu(monkeypatch) as log:
        yield log


def mixed() -> Items:
    """Return 40 plain JPEGs, and odd ones between them."""
    items = [(f"{i}.jpg", photo(i, (20 + i % 3, 30))) for i in range(40)]
    for at, (name, data) in enumerate(ODD.items()):
        items.insert(18 + 2 * at, (name, data))
    return items


def logits(items: Items, decoding: Decoding | None, device: str) -> tuple[np.ndarray, list[Any]]:
    outputs = list(run(network(), items, batch_size=17, device=device, decoding=decoding))
    assert [name for out in outputs for name in out.ids] == [name for name, _ in items]
    return np.concatenate([out.values for out in outputs]), [e for o in outputs for e in o.errors]


def test_a_gpu_decodes_plain_jpegs_and_the_cpu_the_rest(
    gpu: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = mixed()
    expected, errors = logits(items, None, "cpu")
    fake_nvjpeg(monkeypatch, gpu)
    decoding = Decoding("gpu")
    said, why = logits(items, decoding, "cuda")
    assert why == errors and sum(error is not None for error in why) == 3
    assert np.nanmax(np.abs(said - expected)) < 0.02
    assert (np.isnan(said) == np.isnan(expected)).all()
    assert (decoding.decoded.on_gpu, decoding.decoded.on_cpu) == (40, 9)
    assert gpu.of("nvjpeg")[:2] == [1, 17]  # a test picture, then a batch
    assert decoding.decoded.notes() == (
        "40 pictures were decoded by the GPU (nvJPEG by a fake), 9 by the CPU.",
    )


def test_nothing_is_queued_when_the_decoder_begins(
    gpu: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_nvjpeg(monkeypatch, gpu)
    items = [(f"{i}.jpg", photo(i)) for i in range(24)]
    list(run(network(), items, batch_size=8, device="cuda", decoding=Decoding("gpu")))
    steps = [(name, what) for name, what in gpu.entries if name in ("nvjpeg", "stream done")]
    begins = [i for i, (name, _) in enumerate(steps) if name == "nvjpeg"]
    assert len(begins) == 4
    assert all(steps[i - 1] == ("stream done", "copies") for i in begins)
    assert steps[-1] == ("stream done", "copies")  # and the batch is there for other streams
    assert len(gpu.of("kept")) >= 3  # the computation says that it reads each of them
    assert gpu.order("in") == []


def test_a_file_that_the_gpu_fails_at_is_left_to_the_cpu(
    gpu: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [(f"{i}.jpg", photo(i)) for i in range(32)]
    expected, _ = logits(items, None, "cpu")
    nvjpeg = fake_nvjpeg(monkeypatch, gpu)
    nvjpeg.refuses = {items[3][1], items[20][1], items[21][1]}
    decoding = Decoding("gpu")
    said, errors = logits(items, decoding, "cuda")
    assert errors == [None] * 32
    assert np.abs(said - expected).max() < 0.02
    assert (decoding.decoded.on_gpu, decoding.decoded.on_cpu) == (29, 3)


def test_memory_that_runs_out_decodes_fewer_at_once(
    gpu: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [(f"{i}.jpg", photo(i)) for i in range(16)]
    fake_nvjpeg(monkeypatch, gpu)
    gpu.limit = 4
    decoding = Decoding("gpu")
    list(run(network(), items, batch_size=16, device="cuda", decoding=decoding))
    assert gpu.of("nvjpeg") == [1, 16, 8, 4, 4, 8, 4, 4]
    assert decoding.decoded.on_gpu == 16


def test_a_gpu_that_decodes_wrong_pixels_is_not_trusted(
    gpu: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvjpeg = fake_nvjpeg(monkeypatch, gpu)
    items = [(f"{i}.jpg", photo(i)) for i in range(32)]
    expected, _ = logits(items, None, "cpu")
    opened = jpegs.GpuJpegs._open
    monkeypatch.setattr(jpegs.GpuJpegs, "_open", lambda one: _then_wrong(opened(one), nvjpeg))
    decoding = Decoding("gpu")
    said, _ = logits(items, decoding, "cuda")
    assert np.abs(said - expected).max() < 1e-6
    assert decoding.decoded.on_gpu == 0
    (note,) = decoding.decoded.notes()
    assert note.startswith("The CPU decoded: the first pictures are 5")


def _then_wrong(name: str, nvjpeg: FakeNvjpeg) -> str:
    nvjpeg.shift = 60
    return name


def test_a_library_that_decodes_a_test_picture_wrong_is_passed_over(
    gpu: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, right = FakeNvjpeg(gpu, shift=50), FakeNvjpeg(gpu, shift=2)

    def absent() -> Any:
        raise ImportError("No module named 'absent'")

    libraries: dict[str, Any] = {"absent": absent, "wrong": lambda: wrong, "right": lambda: right}
    monkeypatch.setattr(jpegs, "_LIBRARIES", libraries)
    assert jpegs.GpuJpegs(torch.device("cuda")).by == "nvJPEG by right"
    del libraries["right"]
    with pytest.raises(ModelError) as error:
        jpegs.GpuJpegs(torch.device("cuda"))
    assert "absent: No module named 'absent'; wrong: a test picture comes out wrong, by" in str(
        error.value
    )
    assert "Hint: install torchcodec 0.16 or later" in str(error.value)


@pytest.mark.parametrize(
    ("cpu", "gpu_seconds", "decoded", "note"),
    [
        (2.0, 1.0, (32, 0), "32 pictures were decoded by the GPU (nvJPEG by a fake)."),
        (1.0, 1.0, (0, 32), "The CPU decoded: 16 pictures/s, the GPU 16."),
        (0.5, 2.0, (0, 32), "The CPU decoded: 32 pictures/s, the GPU 8."),
    ],
)
def test_auto_takes_the_faster_chip(
    gpu: Log,
    monkeypatch: pytest.MonkeyPatch,
    cpu: float,
    gpu_seconds: float,
    decoded: tuple[int, int],
    note: str,
) -> None:
    fake_nvjpeg(monkeypatch, gpu)
    ticks = iter([0.0, cpu, 10.0, 10.0 + gpu_seconds])
    clock = SimpleNamespace(perf_counter=lambda: next(ticks))
    monkeypatch.setattr("slicedb.inference.ongpu.time", clock)
    items = [(f"{i}.jpg", photo(i)) for i in range(32)]
    decoding = Decoding("auto")
    list(run(network(), items, batch_size=16, device="cuda", decoding=decoding))
    assert (decoding.decoded.on_gpu, decoding.decoded.on_cpu) == decoded
    assert decoding.decoded.notes() == (note,)


def test_a_few_pictures_are_too_few_to_choose_by(gpu: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvjpeg(monkeypatch, gpu)
    items = [(f"{i}.png", ODD["png"]) for i in range(20)] + [("a.jpg", photo())]
    decoding = Decoding("gpu")
    list(run(network(), items, batch_size=20, device="cuda", decoding=decoding))
    assert (decoding.decoded.on_gpu, decoding.decoded.on_cpu) == (1, 20)


def test_detectors_take_pictures_that_are_there_already(
    gpu: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = mixed()
    expected = [value for out in run_lists(Brightest(), items) for value in out.values]
    fake_nvjpeg(monkeypatch, gpu)
    decoding = Decoding("gpu")
    outputs = list(run_lists(Brightest(), items, batch_size=17, device="cuda", decoding=decoding))
    assert decoding.decoded.on_gpu == 40
    for one, other in zip((v for out in outputs for v in out.values), expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert one.xywh.tolist() == other.xywh.tolist()
            assert np.abs(one.score - other.score).max() < 0.01
    copied = ("progressive", "gray", "cmyk", "rgb", "turned", "png")
    assert sum(gpu.of("in")) == len(copied) * 40 * 60 * 3  # plain ones are there


def test_pictures_longer_than_a_detector_takes_are_reduced_by_the_cpu(
    gpu: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_nvjpeg(monkeypatch, gpu)
    model = Brightest()
    model.longest = 50
    items = [(f"{i}.jpg", photo(i, (30, 40 if i % 2 else 80))) for i in range(40)]
    decoding = Decoding("gpu")
    list(run_lists(model, items, batch_size=40, device="cuda", decoding=decoding))
    assert (decoding.decoded.on_gpu, decoding.decoded.on_cpu) == (20, 20)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"transform": lambda image: image}, "'net' has a transform of its own"),
        ({"interpolation": "lanczos"}, "'net' resizes by 'lanczos', not by bilinear or bicubic."),
    ],
)
def test_models_that_a_gpu_cannot_decode_for_say_so(
    gpu: Log, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], text: str
) -> None:
    fake_nvjpeg(monkeypatch, gpu)
    model = network()
    vars(model).update(change)
    with pytest.raises(ModelError) as error:
        Decoding("gpu").open(torch.device("cuda"), model)
    assert text in str(error.value) and "leave out decode= (--decode)" in str(error.value)
    decoding = Decoding("auto")
    assert decoding.open(torch.device("cuda"), model) is None
    assert text.rstrip(".") in decoding.decoded.notes()[0]


def test_without_a_gpu_it_is_an_error_and_auto_is_the_cpu() -> None:
    items = [("a.jpg", photo())]
    with pytest.raises(ModelError, match="No GPU can decode: the device is cpu"):
        list(run(network(), items, device="cpu", decoding=Decoding("gpu")))
    decoding = Decoding("auto")
    assert len(list(run(network(), items, device="cpu", decoding=decoding))) == 1
    assert decoding.decoded.notes() == ("The CPU decoded: No GPU can decode: the device is cpu.",)
    with pytest.raises(ModelError, match="give cpu, gpu or auto"):
        Decoding("nvjpeg")


@pytest.mark.parametrize(("cuda", "text"), [("12.1", "for CUDA 12.1"), (None, "without CUDA")])
def test_versions_of_cuda_that_leak_or_crash_are_refused(
    gpu: Log, monkeypatch: pytest.MonkeyPatch, cuda: str | None, text: str
) -> None:
    fake_nvjpeg(monkeypatch, gpu)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    with pytest.raises(ModelError, match=text):
        jpegs.GpuJpegs(torch.device("cuda"))


def test_an_allocator_that_gives_memory_in_use_is_refused(
    gpu: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_allocator_backend", lambda: "cudaMallocAsync")
    with pytest.raises(ModelError, match="cudaMallocAsync"):
        jpegs.GpuJpegs(torch.device("cuda"))


# --- the verbs ------------------------------------------------------------------------------------


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(20):
        (folder / f"{i}.jpg").write_bytes(photo(i))
    (folder / "turned.jpg").write_bytes(turned(6))
    db = slicedb.open(tmp_path / "db")
    db.ingest(folder, progress=False)
    return db


def test_the_report_and_the_table_say_what_decoded(
    db: slicedb.Database, gpu: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_nvjpeg(monkeypatch, gpu)
    how = {"device": "cuda", "progress": False}
    said = db.predict("net", source=network(), decode="gpu", **how)
    note = "20 pictures were decoded by the GPU (nvJPEG by a fake), 1 by the CPU."
    assert said.predicted == 21 and said.notes == (note,) and note in str(said)
    words = "20 pictures were decoded by a GPU (nvJPEG by a fake)"
    assert decoded_by_gpu(db.store, "predictions__net") == words
    db.models.add("net", network())
    assert words in str(db.models.show("net"))
    assert db.predict("net", source=network(), **how).notes == ()
    db.predict("plain", source=network(), **how)
    assert decoded_by_gpu(db.store, "predictions__plain") == ""


def test_on_a_machine_without_a_gpu_each_verb_says_how_to_go_on(
    db: slicedb.Database, capsys: pytest.CaptureFixture[str]
) -> None:
    message = (
        "Error: No GPU can decode: the device is cpu. "
        "Hint: leave out decode= (--decode): the CPU decodes then."
    )
    with pytest.raises(SystemExit) as stop:
        main(["--db", str(db.path), "embed", "--decode", "gpu", "--device", "cpu"])
    assert stop.value.code == 1
    assert message in capsys.readouterr().err
    report = db.embed(decode="auto", device="cpu", progress=False)
    assert "The CPU decoded: No GPU can decode: the device is cpu." in str(report)
    with pytest.raises(ModelError, match="the device is cpu"):
        db.predict("net", source=network(), decode="gpu", device="cpu")
    with pytest.raises(ModelError, match="which takes Pillow pictures"):
        db.tag_with(lambda images: [1] * len(images), "n", decode="gpu")


def test_cam_takes_pictures_that_the_gpu_decoded(
    db: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.models.add("net", convolutions())
    db.cam("net", device="cpu", progress=False)
    expected = db.store.table("cams__net", ["id", "map"]).sort_by("id")["map"].to_pylist()
    db.models.add("far", convolutions())
    with fake_gpu(monkeypatch, gradients=True) as log:
        fake_nvjpeg(monkeypatch, log)
        report = db.cam("far", device="cuda:0", decode="gpu", progress=False)
        assert len(log.of("backward")) == 1
    assert report.notes == (
        "20 pictures were decoded by the GPU (nvJPEG by a fake), 1 by the CPU.",
    )
    said = db.store.table("cams__far", ["id", "map"]).sort_by("id")["map"].to_pylist()
    assert np.abs(np.array(said) - np.array(expected)).max() < 0.05
