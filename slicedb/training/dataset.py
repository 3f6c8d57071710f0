"""A slice as a torch dataset: labels and ids in memory, images read and decoded in batches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pyarrow.compute as pc
import torch
from PIL import Image
from torch.utils.data import Dataset

from slicedb.errors import (
    ClassesError,
    DatabaseError,
    MediaError,
    SliceDBError,
    SliceError,
    did_you_mean,
)
from slicedb.media import decode_rgb
from slicedb.models.preprocessing import Preprocessing
from slicedb.schema import IMAGES, OK, SAMPLES
from slicedb.store import Store
from slicedb.training.columns import Numbers, column_of
from slicedb.training.decoded import Decoded, Failure
from slicedb.training.pixels import (
    Decoder,
    bytes_of,
    check_shape,
    decode_rows,
    fit_into,
    fit_rows,
    joined,
)

if TYPE_CHECKING:
    from slicedb.training.loader import Loader

Batch: TypeAlias = tuple[Any, ...]
"""(images, a value a column, ids): images (b, 3, h, w), `label` int64 (b,), ids a list of text."""

_UNKNOWN_BYTES = 1 << 17
_KEEP_BYTES = 256 << 20


class SliceDataset(Dataset):
    """A map-style torch dataset over the samples of a slice.

    An item is `(image, label, id)`: a tensor (3, h, w), a class number, and the sample's id. It
    reads the version of the tables it was made at, whatever is written meanwhile. Spawned and
    forkserver workers open the database on their own; a forked one is refused, since Lance does
    not survive a fork. Make it with `to_torch`.
    """

    def __init__(
        self,
        store: Store,
        keys: np.ndarray,
        *,
        transform: Callable[[Image.Image], Any] | None = None,
        columns: Sequence[str] = ("label",),
        classes: Sequence[str] | None = None,
        decoder: Decoder = decode_rgb,
        size: int | tuple[int, int] | None = None,
        dtype: Literal["uint8", "float32"] = "uint8",
    ) -> None:
        self.keys = np.ascontiguousarray(keys, dtype=np.int64)
        if not len(self.keys):
            raise SliceError(
                "The slice is empty: there is nothing to train on.", "look at its `count()`."
            )
        self.columns = tuple(columns)
        self.transform = transform
        self.decoder = decoder
        self.size = size
        self.dtype = dtype
        self._fit = None if size is None else _preprocessing(size)
        self._store: Store | None = store
        self._path, self._pid = store.path, os.getpid()
        self._kept: list[bytes | None] | None = None
        self._shape: tuple[int, int, int] | None = None
        self._read_samples(store, classes)
        self._locate_images(store)

    def _read_samples(self, store: Store, classes: Sequence[str] | None) -> None:
        version = store.version(SAMPLES)
        known = store.schema(SAMPLES, version).names
        for name in self.columns:
            if name not in known:
                raise DatabaseError(
                    f"No column '{name}' in samples.", did_you_mean(name, known, "columns")
                )
        wanted = list(dict.fromkeys(["id", "bytes", *self.columns]))
        rows = store.take(SAMPLES, self.keys, wanted, version=version)
        self._ids: np.ndarray = rows["id"].to_numpy()
        sizes = pc.fill_null(rows["bytes"], _UNKNOWN_BYTES)
        self.sizes: np.ndarray = sizes.to_numpy().astype(np.int64)
        if classes is None:
            classes = _classes_of(
                store, [c for c in ("label", "labels") if c in self.columns], version
            )
        self.classes: tuple[str, ...] = tuple(classes)
        if len(set(self.classes)) != len(self.classes):
            twice = next(c for c in self.classes if self.classes.count(c) > 1)
            raise ClassesError(f"Class '{twice}' comes twice.", "names of classes are unique.")
        self._columns = [column_of(n, rows[n], self._ids, self.classes) for n in self.columns]

    def _locate_images(self, store: Store) -> None:
        stored = store.has(IMAGES)
        self._version = store.version(IMAGES) if stored else None
        self._rows = (
            store.positions(IMAGES, self.keys, self._version)
            if stored
            else np.full(len(self.keys), -1, dtype=np.int64)
        )
        if int(self.sizes.sum()) <= _KEEP_BYTES:
            self._kept = [None] * len(self.keys)

    # --- what it holds ------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        shown = f", {len(self.classes)} classes" if self.classes else ""
        return f"<SliceDataset of {len(self):,} samples{shown} in {self._path!r}>"

    @property
    def ids(self) -> list[str]:
        """The ids, in the order of the slice."""
        return list(self._ids.tolist())

    @property
    def labels(self) -> np.ndarray:
        """int64 (n,): the class number of each sample.

        Raises:
            ClassesError: `label` is none of the columns.
        """
        if "label" in self.columns:
            column = self._columns[self.columns.index("label")]
            assert isinstance(column, Numbers)
            return column.values
        raise ClassesError(
            f"The dataset has the columns {self.columns}, and no label.", "pass columns=('label',)."
        )

    @property
    def stored(self) -> bool:
        """Whether all image bytes lie in the database, none in files of their own."""
        return bool((self._rows >= 0).all())

    def loader(
        self,
        batch_size: int = 256,
        shuffle: bool = True,
        seed: int = 0,
        num_workers: int = 0,
        sampler: Iterable[int] | None = None,
        drop_last: bool = False,
        pin_memory: bool | None = None,
        **options: Any,
    ) -> Loader:
        """Return a loader of batches; see `Loader` for the arguments."""
        from slicedb.training.loader import Loader

        return Loader(
            self,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            num_workers=num_workers,
            sampler=sampler,
            drop_last=drop_last,
            pin_memory=pin_memory,
            **options,
        )

    # --- items, for torch's own DataLoader ----------------------------------------------------

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        index = int(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"Index {index} in a slice of {len(self):,} samples.")
        return self.__getitems__([index % len(self)])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, ...]]:
        """Return several items, read at once; torch's DataLoader calls this for a batch.

        Raises:
            MediaError: an image does not decode; the message names the sample.
            SliceDBError: this process was forked, or the transform fails.
        """
        chosen = np.asarray(indices, dtype=np.int64)
        decoded = self._items(chosen, self.read(chosen))
        values = [column.items(chosen) for column in self._columns]
        return list(zip(decoded, *values, self._ids_of(chosen)))

    def _items(self, indices: np.ndarray, blobs: list[bytes]) -> list[Any]:
        images = []
        for i, data in zip(indices.tolist(), blobs):
            try:
                image = self._image(i, data)
            except MediaError as error:
                raise self._failure(i, error).error() from error
            images.append(image if self.transform else self._tensor(image))
        return images

    # --- batches, for ours --------------------------------------------------------------------

    def read(self, indices: np.ndarray) -> list[bytes]:
        """Return the encoded images of samples, int64 (b,), each read once and in stored order.

        A slice of up to 256 MB of encoded images is kept in memory once it was read.

        Raises:
            SliceDBError: this process was forked from the one that opened the database.
        """
        store = self._open()
        distinct, back = np.unique(indices, return_inverse=True)
        kept = self._kept
        if kept is None:
            found = self._fetch(store, distinct)
            return [found[i] for i in back.tolist()]
        missing = np.array([i for i in distinct.tolist() if kept[i] is None], dtype=np.int64)
        if len(missing):
            for i, data in zip(missing.tolist(), self._fetch(store, missing)):
                kept[i] = data
        return [kept[i] or b"" for i in indices.tolist()]

    def _fetch(self, store: Store, indices: np.ndarray) -> list[bytes]:
        rows = self._rows[indices]
        order = np.argsort(rows, kind="stable")
        keys = self.keys[indices[order]]
        n_files = int((rows < 0).sum())
        files = store.read_images(keys[:n_files], version=self._version)
        found: list[bytes] = [data for _, data in files]
        if n_files < len(keys):
            table = store.take(IMAGES, keys[n_files:], ["image"], version=self._version)
            found += bytes_of(table["image"])
        out: list[bytes] = [b""] * len(order)
        for at, data in zip(order.tolist(), found):
            out[at] = data
        return out

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """Height, width and 3 of the pictures of a batch, as far as that is known before."""
        if self.transform is not None:
            return None
        return self._shape if self._fit is None else (*self._fit.size, 3)

    def decode(
        self, indices: np.ndarray, blobs: Sequence[bytes], room: np.ndarray | None = None
    ) -> Decoded:
        """Decode and transform a part of a batch; what fails is left out and told.

        Args:
            indices: int64 (b,).
            blobs: their encoded images.
            room: uint8 (b, *shape) to decode into; None makes some.

        Raises:
            SliceDBError: the images differ in size, or the transform fails.
        """
        images: Any = []
        failures: dict[int, MediaError] = {}
        if self.transform is None and self._fit is not None:
            if room is None:
                room = np.empty((len(blobs), *self._fit.size, 3), dtype=np.uint8)
            images = fit_rows(blobs, self._fit, self.decoder, failures.__setitem__, room)
        elif self.transform is None:
            images = decode_rows(blobs, self.decoder, failures.__setitem__, room)
            self._shape = images.shape[1:] if len(images) else self._shape
        else:
            for at, (i, data) in enumerate(zip(indices.tolist(), blobs)):
                try:
                    images.append(self._image(i, data))
                except MediaError as error:
                    failures[at] = error
        told = [self._failure(int(indices[at]), error) for at, error in failures.items()]
        kept = np.delete(indices, list(failures)) if failures else indices
        return Decoded(kept, images, told)

    def assemble(self, parts: Sequence[Decoded], *, pin: bool = False) -> Batch:
        """Return the batch of its decoded parts."""
        full = [part for part in parts if len(part.indices)]
        indices = np.concatenate([part.indices for part in parts])
        values = [column.batch(indices) for column in self._columns]
        images = self._stack(full)
        if pin:
            images, *values = (_pinned(value) for value in (images, *values))
        return (images, *values, self._ids_of(indices))

    def _stack(self, parts: Sequence[Decoded]) -> Any:
        if not parts or self.transform is not None:
            return _collated([image for part in parts for image in part.images])
        for part in parts:
            check_shape(parts[0].images.shape[1:], part.images.shape[1:])
        return self._tensor(joined([part.images for part in parts]))

    def _tensor(self, pixels: np.ndarray) -> Any:
        """Return (..., 3, h, w), channels last in memory, of uint8 (..., h, w, 3)."""
        tensor = torch.from_numpy(pixels).movedim(-1, -3)
        return tensor if self.dtype == "uint8" else tensor.to(torch.float32).div_(255)

    def _image(self, index: int, data: bytes) -> Any:
        if self.transform is not None:
            return self._transformed(index, data)
        if self._fit is None:
            return self.decoder(data, None)
        out = np.empty((*self._fit.size, 3), dtype=np.uint8)
        fit_into(data, out, self._fit, self.decoder)
        return out

    def _transformed(self, index: int, data: bytes) -> Any:
        assert self.transform is not None
        least = None if self.size is None else int(np.max(self.size))
        image = Image.fromarray(self.decoder(data, least))
        try:
            return self.transform(image)
        except Exception as error:
            raise SliceDBError(
                f"The transform failed on sample '{self._ids[index]}' "
                f"({image.width}x{image.height}): {type(error).__name__}: {error}",
                "a transform takes an RGB Pillow image.",
            ) from error

    def _failure(self, index: int, error: MediaError) -> Failure:
        return Failure(self._ids[index], error.reason, error.message)

    def _ids_of(self, indices: np.ndarray) -> list[str]:
        return list(self._ids[indices].tolist())

    # --- processes ----------------------------------------------------------------------------

    def _open(self) -> Store:
        if self._pid != os.getpid():
            raise SliceDBError(
                "This worker was forked, and Lance does not survive a fork.",
                "use dataset.loader(num_workers=2), or multiprocessing_context='forkserver' "
                "(or 'spawn') with torch's DataLoader.",
            )
        if self._store is None:
            self._store = Store.open(self._path, create=False)
        return self._store

    def __getstate__(self) -> dict[str, Any]:
        kept = None if self._kept is None else [None] * len(self.keys)
        return {**self.__dict__, "_store": None, "_kept": kept, "_pid": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _pid=os.getpid())


def to_torch(
    store: Store,
    keys: Any,
    *,
    transform: Callable[[Image.Image], Any] | None = None,
    columns: Sequence[str] = ("label",),
    classes: Sequence[str] | None = None,
    decoder: Decoder = decode_rgb,
    size: int | tuple[int, int] | None = None,
    dtype: Literal["uint8", "float32"] = "uint8",
) -> SliceDataset:
    """Return the torch dataset of a slice.

    Args:
        store: the database.
        keys: int64 (n,), or anything whose `keys()` gives them. Of a slice with a holdout the
            share that may be trained on is taken; pass `slice.keys()` for all of it.
        transform: from an RGB Pillow image to a tensor. None gives the pixels themselves.
        columns: of `samples`, a value each in an item, between image and id. `label` becomes a
            class number and `labels` zeros and ones; numbers become tensors, the rest stays.
        classes: names in the order of the class numbers. None takes all labels of samples that
            are ok, sorted: the same numbers for every slice of a database.
        decoder: see `Decoder`.
        size: without a transform, pixels of the result: an int scales the shorter side and crops
            the centre square, (h, w) scales to exactly that. With a transform, the pixels of the
            shorter side that are enough for it: a larger JPEG is decoded at a fraction of its
            size. None decodes in full.
        dtype: without a transform, uint8 in [0, 255] or float32 in [0, 1].

    Raises:
        SliceError: the slice is empty.
        DatabaseError: an unknown column.
        ClassesError: a label is missing, or none of the classes.
        UnknownSampleError: a key has no sample.
    """
    allowed = getattr(keys, "training_keys", None)
    return SliceDataset(
        store,
        keys_in(keys if allowed is None else allowed()),
        transform=transform,
        columns=columns,
        classes=classes,
        decoder=decoder,
        size=size,
        dtype=dtype,
    )


def keys_in(on: Any) -> np.ndarray:
    """Return int64 (n,): keys as they are, or those of a slice, a query or a dataset."""
    keys = getattr(on, "keys", on)
    return np.asarray(keys() if callable(keys) else keys, dtype=np.int64)


def _preprocessing(size: int | tuple[int, int]) -> Preprocessing:
    if isinstance(size, int):
        return Preprocessing(size=(size, size), resize=size)
    height, width = size
    return Preprocessing(size=(height, width), resize=None)


def _classes_of(store: Store, columns: Sequence[str], version: int) -> list[str]:
    if not columns:
        return []
    rows = store.table(SAMPLES, [*columns, "status"], version=version)
    rows = rows.filter(pc.fill_null(pc.equal(rows["status"], OK), True))
    found: set[str] = set()
    for name in columns:
        values = rows[name] if name == "label" else pc.list_flatten(rows[name])
        found.update(v for v in pc.unique(values).to_pylist() if v is not None)
    return sorted(found)


def _collated(images: list[Any]) -> Any:
    if not images:
        return torch.empty(0)
    try:
        if isinstance(images[0], torch.Tensor):
            return torch.stack(images)
        return torch.utils.data.default_collate(images)
    except (RuntimeError, TypeError) as error:
        raise SliceDBError(
            f"What the transform returns does not make a batch: {str(error).splitlines()[0]}",
            "return tensors of one shape: end the transform with a crop and a conversion.",
        ) from error


def _pinned(value: Any) -> Any:
    fresh = isinstance(value, torch.Tensor) and not value.is_pinned()
    return value.pin_memory() if fresh else value
