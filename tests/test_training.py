"""Slices in training code: datasets, loaders, samplers, and predictions logged each epoch."""

from __future__ import annotations

import io
import json
import math
import multiprocessing
import random
import subprocess
import sys
import threading
import types
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, DistributedSampler, default_collate

from slicedb.errors import (
    ClassesError,
    DatabaseError,
    MediaError,
    ModelError,
    SliceDBError,
    SliceError,
    UnknownModelError,
    UnknownSampleError,
    UnknownSliceError,
)
from slicedb.media import decode
from slicedb.predictions import PredictionLog
from slicedb.schema import IMAGES, IMAGES_SCHEMA, SAMPLES, keys_of
from slicedb.store import Store
from slicedb.training import (
    EpochLogger,
    WeightedSampler,
    class_balanced,
    epoch_name,
    epochs_of,
    forgetting,
    lightning_callback,
    slice_weighted,
    to_torch,
)
from slicedb.training.encoded import bytes_of
from slicedb.training.forgetting import count_events
from slicedb.training.memory import Memory
from slicedb.training.processes import Worker
from slicedb.training.threads import read_windows

LABELS = ["cat", "dog", "owl"]


def encoded(color: tuple[int, ...], size: tuple[int, int] = (16, 16), **options: Any) -> bytes:
    out = io.BytesIO()
    mode = "CMYK" if len(color) == 4 else "RGB"
    Image.new(mode, size, color).save(out, options.pop("format", "JPEG"), **options)
    return out.getvalue()


def fill(store: Store, images: dict[str, bytes], **columns: Any) -> Store:
    ids = list(images)
    rows = {"id": ids, "key": keys_of(ids), "status": ["ok"] * len(ids), **columns}
    rows["bytes"] = [len(data) for data in images.values()]
    store.append(SAMPLES, pa.table(rows))
    if not store.has(IMAGES):
        store.create(IMAGES, IMAGES_SCHEMA)
    blobs = pa.array(images.values(), pa.large_binary())
    store.append(IMAGES, pa.table({"id": ids, "key": keys_of(ids), "image": blobs}))
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """60 pictures of one gray level each, which tells them apart; a third of each class."""
    store = Store.open(tmp_path_factory.mktemp("training") / "data.slicedb")
    ids = [f"{i:03}.jpg" for i in range(60)]
    images = {name: encoded((4 * i,) * 3) for i, name in enumerate(ids)}
    labels = [LABELS[i % 3] for i in range(60)]
    return fill(
        store,
        images,
        label=labels,
        width=[16] * 60,
        caption=[f"number {i}" for i in range(60)],
        labels=[[labels[i], "owl"] if i % 2 else [] for i in range(60)],
    )


@pytest.fixture(scope="module")
def keys(store: Store) -> np.ndarray:
    return keys_of([f"{i:03}.jpg" for i in range(60)])


def ids_of(batches: Any) -> list[str]:
    return [name for *_, ids in batches for name in ids]


def level(name: str) -> int:
    return 4 * int(name[:3])


def red(image: Image.Image) -> torch.Tensor:
    """A transform worker processes can unpickle."""
    return torch.tensor([float(np.asarray(image)[0, 0, 0])])


def red_and_noise(image: Image.Image) -> torch.Tensor:
    return torch.cat([red(image), torch.rand(2)])


# --- the dataset -------------------------------------------------------------------------------


def test_items_are_image_label_and_id(store: Store, keys: np.ndarray) -> None:
    dataset = to_torch(store, keys)
    assert len(dataset) == 60 and dataset.classes == ("cat", "dog", "owl")
    image, label, name = dataset[7]
    assert image.shape == (3, 16, 16) and image.dtype == torch.uint8
    assert (int(image[0, 0, 0]), label, name) == (28, 1, "007.jpg")
    assert dataset[-1][2] == "059.jpg"
    with pytest.raises(IndexError, match="Index 60 in a slice of 60"):
        dataset[60]


def test_items_come_in_the_order_asked_for_and_may_repeat(store: Store, keys: np.ndarray) -> None:
    items = to_torch(store, keys).__getitems__([5, 3, 3, 50])
    assert [name for *_, name in items] == ["005.jpg", "003.jpg", "003.jpg", "050.jpg"]
    assert [int(image[0, 0, 0]) for image, *_ in items] == [20, 12, 12, 200]


def test_a_slice_gives_the_share_that_may_be_trained_on(store: Store, keys: np.ndarray) -> None:
    a_slice = types.SimpleNamespace(keys=lambda: keys, training_keys=lambda: keys[:40])
    assert len(to_torch(store, a_slice)) == 40
    assert len(to_torch(store, types.SimpleNamespace(keys=lambda: keys))) == 60


def test_class_numbers_are_those_of_the_database_not_of_the_slice(
    store: Store, keys: np.ndarray
) -> None:
    owls = to_torch(store, keys[2::3])
    assert owls.classes == ("cat", "dog", "owl") and owls.labels.tolist() == [2] * 20
    assert to_torch(store, keys, classes=["owl", "dog", "cat"]).labels[:3].tolist() == [2, 1, 0]


def test_columns_become_tensors_or_stay_as_they_are(store: Store, keys: np.ndarray) -> None:
    dataset = to_torch(store, keys, columns=("width", "labels", "caption"))
    images, width, labels, captions, ids = next(iter(dataset.loader(4, shuffle=False)))
    assert images.shape == (4, 3, 16, 16) and width.tolist() == [16] * 4
    assert width.dtype == torch.int64
    assert labels.tolist() == [[0, 0, 0], [0, 1, 1], [0, 0, 0], [1, 0, 1]]
    assert captions == ["number 0", "number 1", "number 2", "number 3"]
    assert ids == ["000.jpg", "001.jpg", "002.jpg", "003.jpg"]
    assert len(to_torch(store, keys, columns=())[0]) == 2


def test_a_transform_gets_the_picture_pillow_would_give(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids = [f"{i}.jpg" for i in range(4)]
    photos = [Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)) for _ in ids]
    images = {}
    for name, photo in zip(ids, photos):
        out = io.BytesIO()
        photo.save(out, "JPEG")
        images[name] = out.getvalue()
    store = fill(Store.open(tmp_path / "a.slicedb"), images, label=["x"] * 4)
    seen: list[Image.Image] = []

    def transform(image: Image.Image) -> torch.Tensor:
        seen.append(image)
        return torch.from_numpy(np.array(image.resize((8, 8))))

    batch = next(iter(to_torch(store, keys_of(ids), transform=transform).loader(shuffle=False)))
    assert batch[0].shape == (4, 8, 8, 3)
    for image, name in zip(seen, ids):
        assert image.mode == "RGB" and image.size == (60, 40)
        assert np.array_equal(np.asarray(image), np.asarray(decode(images[name])))


def test_pixels_of_a_batch_are_those_of_decode_whatever_the_kind(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 3
    images = {
        "a.jpg": encoded((200, 10, 10)),
        "cmyk.jpg": encoded((0, 200, 50, 20)),
        "gray.jpg": encoded((90, 90, 90)),
        "turned.jpg": encoded((1, 2, 250), exif=turned),
        "b.png": encoded((9, 200, 8), format="PNG"),
        "c.jpg": encoded((3, 100, 7), quality=100),
    }
    store = fill(Store.open(tmp_path / "a.slicedb"), images, label=["x"] * 6)
    keys = keys_of(list(images))
    for some in (keys, keys[[0, 5]], keys[[0, 1]], keys[[0, 2]], keys[[0, 3]], keys[[0, 4]]):
        pixels, _, ids = next(iter(to_torch(store, some).loader(shuffle=False)))
        for got, name in zip(pixels, ids):
            assert np.array_equal(got.permute(1, 2, 0).numpy(), np.asarray(decode(images[name])))


def test_size_scales_and_crops(tmp_path: Path) -> None:
    images = {"wide.jpg": encoded((9, 9, 9), (80, 40)), "tall.jpg": encoded((9, 9, 9), (30, 50))}
    store = fill(Store.open(tmp_path / "a.slicedb"), images, label=["x", "x"])
    keys = keys_of(list(images))
    with pytest.raises(SliceDBError, match=r"do not make one batch. Hint: pass size=224"):
        list(to_torch(store, keys).loader())
    for workers in (0, 2):
        loader = to_torch(store, keys, size=24).loader(num_workers=workers)
        assert next(iter(loader))[0].shape == (2, 3, 24, 24)
    assert next(iter(to_torch(store, keys, size=(10, 20)).loader()))[0].shape == (2, 3, 10, 20)
    floats = next(iter(to_torch(store, keys, size=24, dtype="float32").loader()))[0]
    assert floats.dtype == torch.float32 and float(floats.max()) == pytest.approx(9 / 255)


def test_images_by_reference_are_read_from_their_files(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.jpg").write_bytes(encoded((50 * i,) * 3))
    store = Store.open(tmp_path / "a.slicedb")
    ids = [f"{i}.jpg" for i in range(3)]
    uris = [str(tmp_path / name) for name in ids]
    store.append(SAMPLES, pa.table({"id": ids, "key": keys_of(ids), "uri": uris}))
    dataset = to_torch(store, keys_of(ids), columns=())
    assert not dataset.stored
    images, names = next(iter(dataset.loader(shuffle=False)))
    assert images[:, 0, 0, 0].tolist() == [0, 50, 100] and names == ids


def test_a_dataset_reads_the_version_it_was_made_at(tmp_path: Path) -> None:
    store = fill(Store.open(tmp_path / "a.slicedb"), {"a.jpg": encoded((10,) * 3)}, label=["x"])
    dataset = to_torch(store, keys_of(["a.jpg"]))
    new = pa.array([encoded((250,) * 3)], pa.large_binary())
    store.upsert(IMAGES, pa.table({"id": ["a.jpg"], "key": keys_of(["a.jpg"]), "image": new}))
    assert int(dataset[0][0][0, 0, 0]) == 10
    assert int(to_torch(store, keys_of(["a.jpg"]))[0][0][0, 0, 0]) == 250


# --- errors ------------------------------------------------------------------------------------


def test_wrong_arguments_are_refused_when_the_dataset_is_made(
    store: Store, keys: np.ndarray
) -> None:
    with pytest.raises(DatabaseError, match=r"No column 'lable' in samples. Hint: did you mean"):
        to_torch(store, keys, columns=("lable",))
    with pytest.raises(ClassesError, match=r"Label 'owl' of sample '002.jpg' is none of the 2"):
        to_torch(store, keys, classes=["cat", "dog"])
    with pytest.raises(ClassesError, match="Class 'cat' comes twice"):
        to_torch(store, keys, classes=["cat", "cat"])
    with pytest.raises(SliceError, match="The slice is empty"):
        to_torch(store, keys[:0])
    with pytest.raises(UnknownSampleError):
        to_torch(store, np.array([12345]))
    with pytest.raises(ClassesError, match="no label"):
        _ = to_torch(store, keys, columns=()).labels


def test_a_missing_label_is_named(tmp_path: Path) -> None:
    images = {"a.jpg": encoded((1, 1, 1)), "b.jpg": encoded((1, 1, 1))}
    store = fill(Store.open(tmp_path / "a.slicedb"), images, label=["x", None], width=[16, None])
    keys = keys_of(list(images))
    with pytest.raises(ClassesError, match=r"'b.jpg' has no label.*`label IS NOT NULL`"):
        to_torch(store, keys)
    with pytest.raises(ValueError, match=r"'width' is null in 1 of 2 samples.*'b.jpg'"):
        to_torch(store, keys, columns=("width",))


def test_loader_arguments_out_of_range_are_refused(store: Store, keys: np.ndarray) -> None:
    dataset = to_torch(store, keys)
    for wrong in (
        {"batch_size": 0},
        {"num_workers": -1},
        {"workers": "green"},
        {"on_error": "ignore"},
        {"seed": -1},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            dataset.loader(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="indices from 0 to 99 for a slice of 60"):
        iter(dataset.loader(sampler=[0, 99]))


@pytest.fixture
def broken(tmp_path: Path) -> tuple[Store, np.ndarray]:
    images = {f"{i}.jpg": encoded((20 * i,) * 3) for i in range(6)}
    images["2.jpg"] = b"no image"
    images["5.jpg"] = images["5.jpg"][:300]
    store = fill(Store.open(tmp_path / "broken.slicedb"), images, label=["x"] * 6)
    return store, keys_of(list(images))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_image_that_does_not_decode_is_named_or_skipped_and_counted(
    broken: tuple[Store, np.ndarray], num_workers: int
) -> None:
    dataset = to_torch(*broken)
    with pytest.raises(MediaError, match=r"Sample '2.jpg' does not decode \(not_an_image\)"):
        list(dataset.loader(4, shuffle=False, num_workers=num_workers))
    with pytest.raises(MediaError, match=r"'5.jpg' does not decode"):
        dataset.__getitems__([0, 5])
    loader = dataset.loader(4, shuffle=False, num_workers=num_workers, on_error="skip")
    sizes = [(len(images), len(labels), ids) for images, labels, ids in loader]
    assert sizes == [(3, 3, ["0.jpg", "1.jpg", "3.jpg"]), (1, 1, ["4.jpg"])]
    assert loader.skipped == {"2.jpg": "not_an_image", "5.jpg": "truncated"}
    alone = dataset.loader(1, shuffle=False, num_workers=num_workers, on_error="skip")
    assert ids_of(alone) == ["0.jpg", "1.jpg", "3.jpg", "4.jpg"]  # no empty batches


def test_a_failing_transform_names_the_sample(store: Store, keys: np.ndarray) -> None:
    def transform(image: Image.Image) -> torch.Tensor:
        raise RuntimeError("boom")

    for workers in (0, 2):
        loader = to_torch(store, keys, transform=transform).loader(
            shuffle=False, num_workers=workers
        )
        with pytest.raises(SliceDBError, match=r"sample '0\d\d.jpg' \(16x16\): RuntimeError: boom"):
            list(loader)
    ragged = to_torch(store, keys, transform=lambda image: torch.zeros(np.asarray(image)[0, 0, 0]))
    with pytest.raises(SliceDBError, match=r"does not make a batch.*Hint: return tensors of one"):
        list(ragged.loader())


# --- order -------------------------------------------------------------------------------------


def test_images_labels_and_ids_belong_together(store: Store, keys: np.ndarray) -> None:
    for workers in (0, 1, 3):
        loader = to_torch(store, keys).loader(batch_size=16, num_workers=workers)
        assert len(loader) == 4
        sizes = []
        for images, labels, ids in loader:
            sizes.append(len(ids))
            assert labels.dtype == torch.int64
            assert images[:, 0, 3, 3].tolist() == [level(name) for name in ids]
            assert labels.tolist() == [int(name[:3]) % 3 for name in ids]
        assert sizes == [16, 16, 16, 12]


def test_order_is_the_same_whatever_the_workers_and_new_each_epoch(
    store: Store, keys: np.ndarray
) -> None:
    dataset = to_torch(store, keys)
    orders = []
    for workers in (0, 1, 2, 5):
        loader = dataset.loader(batch_size=7, seed=3, num_workers=workers)
        orders.append([ids_of(loader), ids_of(loader)])
    assert orders[0] == orders[1] == orders[2] == orders[3]
    first, second = orders[0]
    assert first != second and sorted(first) == sorted(second) == sorted(dataset.ids)
    assert ids_of(dataset.loader(seed=4)) != ids_of(dataset.loader(seed=3))
    assert ids_of(dataset.loader(shuffle=False)) == dataset.ids
    assert len(dataset.loader(7, drop_last=True)) == 8
    assert len(ids_of(dataset.loader(7, drop_last=True))) == 56


def test_the_order_of_a_seed_stays_what_it_is_today(store: Store, keys: np.ndarray) -> None:
    loader = to_torch(store, keys).loader(seed=0)
    assert loader.order(0)[:6].tolist() == [16, 27, 20, 8, 42, 34]


def test_set_epoch_names_the_next_epoch(store: Store, keys: np.ndarray) -> None:
    loader = to_torch(store, keys).loader(batch_size=10)
    epochs = [ids_of(loader) for _ in range(3)]
    loader.set_epoch(1)
    assert ids_of(loader) == epochs[1]
    assert ids_of(loader) == epochs[2]


def test_leaving_an_epoch_early_begins_a_new_one_and_stops_its_threads(
    store: Store, keys: np.ndarray
) -> None:
    loader = to_torch(store, keys).loader(batch_size=4, num_workers=2)
    running = iter(loader)
    first = next(running)[-1]
    running.close()  # type: ignore[attr-defined]
    assert next(iter(loader))[-1] != first
    mine = {t.name for t in threading.enumerate() if t.name.startswith("slicedb-")}
    assert mine <= {"slicedb-watch"}


@pytest.mark.parametrize(("saved_with", "resumed_with"), [(0, 2), (2, 0)])
def test_resuming_goes_on_with_the_exact_next_batch(
    store: Store, keys: np.ndarray, saved_with: int, resumed_with: int
) -> None:
    whole = to_torch(store, keys).loader(batch_size=8, seed=5)
    epochs = [[batch[-1] for batch in whole] for _ in range(3)]
    loader = to_torch(store, keys).loader(batch_size=8, seed=5, num_workers=saved_with)
    list(loader)
    running = iter(loader)
    for _ in range(3):
        next(running)
    state = json.loads(json.dumps(loader.state_dict()))
    assert (state["epoch"], state["batch"]) == (1, 3)
    again = to_torch(store, keys).loader(batch_size=8, seed=5, num_workers=resumed_with)
    again.load_state_dict(state)
    assert again.state_dict() == state
    again.set_epoch(1)  # as a training loop does; it keeps the place
    assert [batch[-1] for batch in again] == epochs[1][3:]
    assert [batch[-1] for batch in again] == epochs[2]


def test_the_state_after_an_epoch_is_the_beginning_of_the_next(
    store: Store, keys: np.ndarray
) -> None:
    loader = to_torch(store, keys).loader(batch_size=8)
    assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (0, 0)
    list(loader)
    assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (1, 0)
    again = to_torch(store, keys).loader(batch_size=8)
    again.load_state_dict(loader.state_dict())
    assert ids_of(again) == ids_of(loader)


def test_a_state_of_something_else_is_refused(store: Store, keys: np.ndarray) -> None:
    loader = to_torch(store, keys).loader(batch_size=8)
    next(iter(loader))
    state = loader.state_dict()
    with pytest.raises(SliceDBError, match="saved with seed=0, this loader has 1"):
        to_torch(store, keys).loader(batch_size=8, seed=1).load_state_dict(state)
    with pytest.raises(SliceDBError, match="saved with batch_size=8, this loader has 9"):
        to_torch(store, keys).loader(batch_size=9).load_state_dict(state)
    with pytest.raises(SliceDBError, match=r"samples of epoch 0 are not those.*freeze the slice"):
        to_torch(store, keys[:59]).loader(batch_size=8).load_state_dict(state)


def test_a_large_slice_is_read_in_windows_that_grow_and_not_kept(
    store: Store, keys: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slicedb.training.encoded._KEEP_BYTES", 0)
    dataset = to_torch(store, keys)
    one = int(dataset.sizes[0])
    monkeypatch.setattr("slicedb.training.threads._WINDOW_BYTES", 30 * one)
    loader = dataset.loader(batch_size=4, seed=1)
    windows = read_windows(dataset, loader._plan(loader.order(0)))
    assert [len(w) for w in windows][:3] == [1, 2, 4] and max(map(len, windows)) <= 7
    assert ids_of(loader) == ids_of(to_torch(store, keys).loader(batch_size=4, seed=1))
    assert dataset._images._cached is None


def test_large_images_are_read_in_small_windows(store: Store, keys: np.ndarray) -> None:
    dataset = to_torch(store, keys)
    loader = dataset.loader(batch_size=10, shuffle=False)
    plan = loader._plan(loader.order(0))
    assert [len(window) for window in read_windows(dataset, plan)] == [6]
    dataset.sizes = np.full(60, 400 << 10)  # 4 MB a batch, 24 MB in all
    assert [len(window) for window in read_windows(dataset, plan)] == [1, 2, 2, 1]


def test_memory_is_used_again_only_when_nothing_of_a_batch_is_left() -> None:
    memory = Memory()
    first = memory.array((4, 2, 2, 3))
    address, kept = first.ctypes.data, torch.from_numpy(first[1:3]).movedim(-1, 1)[0, 0]
    del first
    other = memory.array((4, 2, 2, 3))
    assert other.ctypes.data != address
    assert address % 32 == other.ctypes.data % 32 == 16  # where decoding is fastest
    del kept
    assert memory.array((3, 2, 2, 3)).ctypes.data == address


def test_batches_that_are_kept_keep_their_pixels(store: Store, keys: np.ndarray) -> None:
    for workers in (0, 2):
        loader = to_torch(store, keys).loader(batch_size=7, seed=3, num_workers=workers)
        for images, _, ids in list(loader) + list(loader):
            assert images[:, 0, 0, 0].tolist() == [level(name) for name in ids]


def test_batches_may_differ_in_the_size_of_their_pictures(tmp_path: Path) -> None:
    images = {f"{i}.jpg": encoded((9, 9, 9), (16 + 8 * (i // 4),) * 2) for i in range(8)}
    store = fill(Store.open(tmp_path / "a.slicedb"), images, label=["x"] * 8)
    loader = to_torch(store, keys_of(list(images))).loader(4, shuffle=False)
    for _ in range(2):
        shapes = [tuple(batch[0].shape) for batch in loader]
        assert shapes == [(4, 3, 16, 16), (4, 3, 24, 24)]


def test_bytes_of_a_column_are_its_values() -> None:
    for kind in (pa.binary(), pa.large_binary()):
        column = pa.chunked_array([[b"no", b"abc", None, b"", b"d"], [b"ef"], [None]], kind)
        assert bytes_of(column[1:]) == [b"abc", b"", b"", b"d", b"ef", b""]


# --- processes ---------------------------------------------------------------------------------


def test_fork_is_refused(store: Store, keys: np.ndarray) -> None:
    dataset = to_torch(store, keys)
    with pytest.raises(SliceDBError, match=r"Lance does not survive a fork.*forkserver"):
        dataset.loader(num_workers=2, workers="fork")  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore")  # Python's and Lance's own warnings of a fork
def test_a_forked_worker_of_torch_is_refused(store: Store, keys: np.ndarray) -> None:
    forked = multiprocessing.get_context("fork")
    loader = DataLoader(
        to_torch(store, keys), num_workers=1, multiprocessing_context=forked, timeout=60
    )
    with pytest.raises(SliceDBError, match="This worker was forked"):
        next(iter(loader))


def test_torchs_own_loader_takes_the_dataset(store: Store, keys: np.ndarray) -> None:
    dataset = to_torch(store, keys, dtype="float32")
    images, labels, ids = next(iter(DataLoader(dataset, batch_size=5)))
    assert images.shape == (5, 3, 16, 16) and labels.tolist() == [0, 1, 2, 0, 1]
    assert list(ids) == dataset.ids[:5]
    assert len(default_collate(dataset.__getitems__([1, 2]))) == 3


@pytest.mark.slow
def test_worker_processes_give_the_same_batches(store: Store, keys: np.ndarray) -> None:
    """Spawned workers: order, an epoch left early, place, and random numbers of their own."""
    threads = to_torch(store, keys, transform=red).loader(batch_size=16, seed=2)
    epochs = [[(b[0][:, 0].tolist(), b[1].tolist(), b[2]) for b in threads] for _ in range(3)]
    dataset = to_torch(store, keys, transform=red_and_noise)
    with dataset.loader(16, seed=2, num_workers=2, workers="spawn") as loader:
        got = list(loader)
        assert [(b[0][:, 0].tolist(), b[1].tolist(), b[2]) for b in got] == epochs[0]
        assert next(iter(loader))[-1] == epochs[1][0][2]
        assert loader.state_dict()["batch"] == 1
        assert [b[-1] for b in loader] == [ids for *_, ids in epochs[2]]
    indices = loader.order(0)[16:32]
    state = torch.random.get_rng_state(), random.getstate(), np.random.get_state()
    again, _ = Worker(dataset, True).__getitems__(((2, 0, 1), indices))  # seed, epoch, batch
    torch.random.set_rng_state(state[0])
    random.setstate(state[1])
    np.random.set_state(state[2])
    assert torch.equal(got[1][0], again[0]) and not torch.equal(got[0][0], again[0])


@pytest.mark.slow
def test_worker_processes_name_what_does_not_decode(broken: tuple[Store, np.ndarray]) -> None:
    dataset = to_torch(*broken)
    loader = dataset.loader(3, shuffle=False, num_workers=1, workers="forkserver")
    with pytest.raises(MediaError, match=r"Sample '2.jpg' does not decode"):
        list(loader)
    loader.close()


@pytest.mark.slow
def test_ctrl_c_stops_the_loader(tmp_path: Path, store: Store) -> None:
    code = (
        "import os, signal, sys, threading\n"
        # A shell's background jobs are started with SIGINT ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from slicedb.schema import keys_of\n"
        "from slicedb.store import Store\n"
        "from slicedb.training import to_torch\n"
        "keys = keys_of([f'{i:03}.jpg' for i in range(60)])\n"
        "loader = to_torch(Store.open(sys.argv[1]), keys).loader(2, num_workers=2)\n"
        "try:\n"
        "    for at, batch in enumerate(loader):\n"
        "        if at == 3: os.kill(os.getpid(), signal.SIGINT)\n"
        "except KeyboardInterrupt:\n"
        "    del batch\n"
        "    print('stopped at', at)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, store.path], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("stopped at 3") and done.returncode == 0, done.stderr


# --- samplers ----------------------------------------------------------------------------------


def share(drawn: list[int] | np.ndarray, members: set[int]) -> float:
    return sum(int(i) in members for i in drawn) / len(drawn)


@pytest.mark.slow
def test_weighted_sampler_draws_in_proportion() -> None:
    sampler = WeightedSampler(np.array([0.0, 1.0, 3.0]), n=20_000, seed=1)
    counts = Counter(sampler)
    assert counts[0] == 0
    assert counts[2] / 20_000 == pytest.approx(0.75, abs=0.015)  # 5 standard errors
    assert list(sampler) == list(sampler)
    sampler.set_epoch(1)
    assert Counter(sampler) != counts


def test_weighted_sampler_without_replacement_draws_each_once() -> None:
    sampler = WeightedSampler(np.array([0.0, 1.0, 1.0, 1.0]), replacement=False)
    assert len(sampler) == 3 and sorted(sampler) == [1, 2, 3]
    first = [
        WeightedSampler(np.array([1.0, 3.0]), n=1, replacement=False, seed=s).indices(0)[0]
        for s in range(2000)
    ]
    assert np.mean(first) == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("weights", [[-1.0, 2.0], [0.0, 0.0], [math.nan, 1.0], [], [[1.0]]])
def test_weights_that_cannot_be_drawn_are_refused(weights: list[Any]) -> None:
    with pytest.raises(ValueError, match="finite numbers"):
        WeightedSampler(np.array(weights))


def test_slice_weighted_draws_members_more_often(store: Store, keys: np.ndarray) -> None:
    members = {"night": keys[:20], "rain": types.SimpleNamespace(keys=lambda: keys[10:30])}
    sampler = slice_weighted({"night": 3.0, "rain": 2.0}, members, keys, n=40_000)
    assert sampler.weights.dtype == np.float64 and sampler.weights.shape == (60,)
    assert sampler.weights[[0, 15, 25, 50]].tolist() == [3.0, 6.0, 2.0, 1.0]
    drawn = sampler.indices(0)
    total = 10 * 3 + 10 * 6 + 10 * 2 + 30
    assert share(drawn, set(range(20))) == pytest.approx(90 / total, abs=0.015)
    assert share(drawn, set(range(30, 60))) == pytest.approx(30 / total, abs=0.015)
    with pytest.raises(UnknownSliceError, match=r"No slice 'nigth'.*did you mean 'night'"):
        slice_weighted({"nigth": 2.0}, members, keys)


def test_class_balanced_draws_classes_alike(store: Store, keys: np.ndarray) -> None:
    chosen = np.concatenate([keys[0::3], keys[1::3][:5]])  # 20 cats, 5 dogs, no owl
    dataset = to_torch(store, chosen)
    for q, dogs in ((0.0, 0.5), (0.5, 1 / 3), (1.0, 0.2)):
        drawn = class_balanced(dataset, q=q, n=20_000).indices(0)
        assert share(drawn, set(range(20, 25))) == pytest.approx(dogs, abs=0.02)
    drawn = class_balanced(dataset, boost={"dog": 3.0}, n=20_000).indices(0)
    assert share(drawn, set(range(20, 25))) == pytest.approx(0.75, abs=0.02)
    with pytest.raises(ClassesError, match=r"No class 'dogg'. Hint: did you mean 'dog'"):
        class_balanced(dataset, boost={"dogg": 2.0})


def test_a_loader_draws_with_a_sampler_and_resumes(store: Store, keys: np.ndarray) -> None:
    dataset = to_torch(store, keys)

    def loader(workers: int) -> Any:
        return dataset.loader(8, sampler=class_balanced(dataset, n=50), num_workers=workers)

    one, two = loader(0), loader(2)
    epochs = [[b[-1] for b in one] for _ in range(2)]
    assert len(one) == 7 and epochs[0] != epochs[1]
    running = iter(two)
    next(running), next(running)
    state = two.state_dict()
    again = loader(2)
    again.load_state_dict(state)
    assert [b[-1] for b in again] == epochs[0][2:]


def test_torchs_samplers_work_too(store: Store, keys: np.ndarray) -> None:
    dataset = to_torch(store, keys)
    halves = [
        ids_of(dataset.loader(8, sampler=DistributedSampler(dataset, num_replicas=2, rank=rank)))
        for rank in (0, 1)
    ]
    assert sorted(halves[0] + halves[1]) == dataset.ids


# --- predictions, epoch by epoch ---------------------------------------------------------------


class Fixed(torch.nn.Module):
    """Predicts cat for dark pictures, else owl, and is worse in every epoch."""

    def __init__(self, border: float) -> None:
        super().__init__()
        self.border = border
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        bright = images[:, 0, 0, 0].float() - self.border
        return torch.stack([-bright, torch.full_like(bright, -1e3), bright], dim=1) * self.weight


def test_epoch_names_are_words_of_sql() -> None:
    assert epoch_name("run7", 3) == "run7_epoch3"
    assert epoch_name("run 7/a-b", 0) == "run_7_a_b_epoch0"
    with pytest.raises(ModelError, match="cannot stand in a query"):
        epoch_name("7", 1)
    with pytest.raises(ValueError, match="negative"):
        epoch_name("run", -1)


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Store, np.ndarray]:
    ids = [f"{i:03}.jpg" for i in range(12)]
    images = {name: encoded((20 * i,) * 3) for i, name in enumerate(ids)}
    labels = ["cat"] * 6 + ["owl"] * 6
    store = Store.open(tmp_path / "runs.slicedb")
    store = fill(store, images, label=labels, sha256=["0" * 64] * 12)
    return store, keys_of(ids)


def test_the_callback_logs_a_table_an_epoch(runs: tuple[Store, np.ndarray]) -> None:
    store, keys = runs
    loader = to_torch(store, keys, classes=LABELS).loader(5)
    logger = EpochLogger(types.SimpleNamespace(store=store), "run7")
    net = Fixed(110).train()
    for epoch, border in ((0, 110), (2, 50), (10, 110)):
        net.border = border
        logger(net, loader, epoch)
        assert net.training
    assert epochs_of(store, "run7") == {
        0: "run7_epoch0",
        2: "run7_epoch2",
        10: "run7_epoch10",
    }
    table = store.table("predictions__run7_epoch2", ["id", "prediction", "correct"]).sort_by("id")
    assert table["prediction"].to_pylist() == ["cat"] * 3 + ["owl"] * 9
    history = logger.forgetting()
    assert history["forgetting"].to_pylist() == [0] * 3 + [1] * 3 + [0] * 6
    assert history["unforgettable"].to_pylist() == [True] * 3 + [False] * 3 + [True] * 6
    assert history["loss"][4].as_py()[1] > history["loss"][4].as_py()[0]


def test_a_sample_drawn_twice_keeps_its_first_prediction(runs: tuple[Store, np.ndarray]) -> None:
    store, _ = runs
    logger = EpochLogger(store, "run", classes=LABELS)
    one, two = torch.tensor([[5.0, 0, 0]]), torch.tensor([[0, 0, 5.0]])
    with logger.epoch(0) as log:
        log.add(["000.jpg", "001.jpg", "000.jpg"], logits=torch.cat([one, one, two]))
        log.add(["001.jpg"], logits=two)
    assert log.repeated == 2
    assert store.table("predictions__run_epoch0", ["prediction"])["prediction"].to_pylist() == [
        "cat",
        "cat",
    ]


def test_an_epoch_that_fails_stores_nothing(runs: tuple[Store, np.ndarray]) -> None:
    store, _ = runs
    with pytest.raises(RuntimeError), EpochLogger(store, "run", classes=LABELS).epoch(0) as log:
        log.add(["000.jpg"], logits=torch.zeros(1, 3))
        raise RuntimeError("out of memory")
    assert epochs_of(store, "run") == {}


def test_forgetting_events_are_counted_between_presentations() -> None:
    history = np.array(
        [
            # never  always  once  twice  learned late  passed over
            [0, 1, 1, 1, 0, 1],
            [0, 1, 0, 0, 0, -1],
            [0, 1, 0, 1, 1, 0],
            [0, 1, 1, 0, 1, -1],
        ],
        dtype=np.int8,
    )
    assert count_events(history).tolist() == [0, 0, 1, 2, 0, 1]


def test_forgetting_aligns_epochs_that_saw_different_samples(
    runs: tuple[Store, np.ndarray],
) -> None:
    store, keys = runs
    right, wrong = [[9.0, 0, 0]], [[0, 9.0, 0]]
    for name, seen in (
        ("a", {"000.jpg": right, "001.jpg": wrong, "002.jpg": right}),
        ("b", {"002.jpg": wrong, "001.jpg": wrong}),
        ("c", {"001.jpg": wrong, "000.jpg": wrong, "002.jpg": right}),
    ):
        with PredictionLog(store, name, classes=LABELS) as log:
            for sample, logits in seen.items():
                log.add([sample], logits=np.array(logits))
    table = forgetting(store, ["a", "b", "c"])
    assert table["id"].to_pylist() == ["000.jpg", "001.jpg", "002.jpg"]
    assert table["epochs"].to_pylist() == [2, 3, 3]
    assert table["forgetting"].to_pylist() == [1, None, 1]
    assert table["learned_at"].to_pylist() == [0, None, 0]
    assert table["correctness"].to_pylist() == [0.5, 0.0, 2 / 3]
    losses = table["loss"].to_pylist()
    assert losses[0][1] is None and losses[0][2] == pytest.approx(9, abs=1e-3)
    assert table["mean_loss"][0].as_py() == pytest.approx(4.5, abs=1e-3)
    assert forgetting(store, ["a", "b", "c"], keys[[2, 0, 7]])["id"].to_pylist() == [
        "002.jpg",
        "000.jpg",
    ]
    with pytest.raises(UnknownModelError, match=r"No predictions of 'd'.*models: a, b, c"):
        forgetting(store, ["a", "d"])
    with pytest.raises(UnknownModelError, match="'run9_epoch0'"):
        forgetting(store, "run9")


class FakeTrainer:
    """Calls the hooks as Lightning's Trainer does."""

    def __init__(self, callback: Any) -> None:
        self.callback = callback
        self.current_epoch = 0
        self.sanity_checking = False
        self.world_size = 1

    def validate(self, net: Any, loader: Any) -> None:
        self.callback.on_validation_epoch_start(self, net)
        for at, batch in enumerate(loader):
            outputs = {"loss": torch.tensor(0.0), "logits": net(batch[0])}
            self.callback.on_validation_batch_end(self, net, outputs, batch, at, 0)
            if self.sanity_checking:
                break
        self.callback.on_validation_epoch_end(self, net)


def test_the_lightning_callback_logs_each_epoch_but_not_the_sanity_check(
    runs: tuple[Store, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake: Any = types.ModuleType("lightning.pytorch")
    fake.Callback = type("Callback", (), {})
    monkeypatch.setitem(sys.modules, "lightning", types.ModuleType("lightning"))
    monkeypatch.setitem(sys.modules, "lightning.pytorch", fake)
    store, keys = runs
    loader = to_torch(store, keys, classes=LABELS).loader(5)
    callback = lightning_callback(store, "lit", classes=LABELS)
    assert isinstance(callback, fake.Callback)
    trainer = FakeTrainer(callback)
    trainer.sanity_checking = True
    trainer.validate(Fixed(110), loader)
    assert epochs_of(store, "lit") == {}
    trainer.sanity_checking = False
    for trainer.current_epoch in (0, 1):
        trainer.validate(Fixed(110), loader)
    assert list(epochs_of(store, "lit")) == [0, 1]
    assert store.count("predictions__lit_epoch1") == 12
    callback.on_validation_epoch_start(trainer, None)
    callback.on_validation_batch_end(trainer, None, torch.zeros(1, 3), (None, ["000.jpg"]), 0)
    callback.on_exception(trainer, None, RuntimeError())
    callback.on_validation_epoch_end(trainer, None)
    assert store.count("predictions__lit_epoch1") == 12
    with pytest.raises(SliceDBError, match="no logits are in it"):
        callback.on_validation_epoch_start(trainer, None)
        callback.on_validation_batch_end(trainer, None, None, (None, ["000.jpg"]), 0)
    trainer.world_size = 2
    with pytest.raises(SliceDBError, match="2 processes train at once"):
        trainer.validate(Fixed(110), loader)


def test_without_lightning_the_callback_says_so(
    runs: tuple[Store, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lightning", "lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SliceDBError, match=r"Lightning is not installed. Hint: `pip install"):
        lightning_callback(runs[0], "lit")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::Warning:pytorch_lightning")  # its own
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_a_real_lightning_trainer_takes_the_callback(
    runs: tuple[Store, np.ndarray], tmp_path: Path
) -> None:
    lightning = pytest.importorskip("pytorch_lightning")
    store, keys = runs

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = Fixed(110)

        def training_step(self, batch: Any, at: int) -> Any:
            logits = self.net(batch[0])
            return {"loss": logits.logsumexp(1).mean(), "logits": logits.detach()}

        def validation_step(self, batch: Any, at: int) -> Any:
            return {"logits": self.net(batch[0])}

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.0)

    loader = to_torch(store, keys, classes=LABELS).loader(5)
    callbacks = [
        lightning_callback(store, "val", classes=LABELS),
        lightning_callback(store, "train", classes=LABELS, stage="train"),
    ]
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(Module(), loader, to_torch(store, keys, classes=LABELS).loader(5, shuffle=False))
    assert list(epochs_of(store, "val")) == list(epochs_of(store, "train")) == [0, 1]
    assert store.count("predictions__train_epoch1") == 12
