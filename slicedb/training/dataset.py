"""A slice as a torch dataset: labels and ids in memory, images read and decoded in batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from torch.utils.data import Dataset

from slicedb.errors import ClassesError, DatabaseError, SliceError, did_you_mean, suggesting
from slicedb.media import decode_rgb
from slicedb.schema import SAMPLES, is_shown
from slicedb.show import numbers
from slicedb.store import Store
from slicedb.tasks.arrays import in_class_order
from slicedb.training.after import BatchTransform, Collate
from slicedb.training.batch import Batch, Decoded
from slicedb.training.columns import Numbers, column_of
from slicedb.training.encoded import EncodedImages
from slicedb.training.foreign import refuse_foreign
from slicedb.training.loader import Loader, OnError, Workers
from slicedb.training.pictures import Dtype, Pictures, Size, pinned
from slicedb.training.pixels import Decoder
from slicedb.training.shown import ShownBatch, shown
from slicedb.training.targets import Targets

if TYPE_CHECKING:
    import torch

    from slicedb.models.model import Transform

_UNKNOWN_BYTES = 1 << 17


class HasKeys(Protocol):
    """A slice, a query, or anything else whose `keys()` gives int64 (n,)."""

    def keys(self) -> np.ndarray: ...


@suggesting
class SliceDataset(Dataset):
    """A map-style torch dataset over the samples of a slice.

    An item is `(image, label, id)`: a tensor (3, h, w), a class number, and the sample's id. The
    dataset reads the version of the tables that was current when it was made, whatever is written
    meanwhile. Spawned and forkserver workers open the database on their own; a forked one is
    refused, since Lance does not survive a fork.

    Args:
        store: the database.
        keys: int64 (n,), or anything whose `keys()` gives them. A slice with a holdout gives only
            the samples that may be trained on; pass `slice.keys()` for all of them.
        transform: maps an RGB Pillow image to a tensor. With `objects` it maps image and target
            together, as torchvision's `transforms.v2` do; boxes are clipped to the picture, and
            those of which less than a pixel is left are left out. None gives the pixels themselves.
        columns: columns of `samples`; an item holds their values between image and id. `label`
            becomes a class number, `labels` zeros and ones, and `objects` a target as torchvision's
            detectors take it: `boxes`, float32 (k, 4) left, top, right, bottom in pixels of the
            picture beside it, and `labels`, int64 (k,) class numbers from 1. Numbers become
            tensors, and anything else stays as it is. None is what the samples have: `label`, else
            `objects`, else `labels`.
        classes: names in the order of the class numbers. None takes all labels of samples that
            are ok, in class order: the same numbers for every slice of a database.
        decoder: decodes the images; see `Decoder`.
        size: without a transform, the size of the result in pixels: an int scales the shorter
            side and crops the centre square, (h, w) scales to exactly that. With a transform, the
            pixels of the shorter side that are enough for it: a larger JPEG is decoded at a
            fraction of its size. None decodes in full.
        dtype: without a transform, uint8 in [0, 255] or float32 in [0, 1]. None is float32 with
            `objects`, for torchvision's detectors, and uint8 otherwise.

    Raises:
        SliceError: the slice is empty.
        DatabaseError: an unknown column.
        ClassesError: a label is missing, or none of the classes.
        UnknownSampleError: a key has no sample.
    """

    def __init__(
        self,
        store: Store,
        keys: np.ndarray | HasKeys,
        *,
        transform: Transform | None = None,
        columns: Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
        decoder: Decoder = decode_rgb,
        size: Size = None,
        dtype: Dtype | None = None,
    ) -> None:
        allowed = getattr(keys, "training_keys", None)
        self.keys = np.ascontiguousarray(keys_in(keys if allowed is None else allowed()))
        if not len(self.keys):
            raise SliceError(
                "The slice is empty: there is nothing to train on.", "look at its `count()`."
            )
        version = store.version(SAMPLES)
        if columns is None:
            columns = usual_columns(store, self.keys, version)
        self.columns = tuple(columns)
        self._targets: Targets | None = None
        self._read_samples(store, classes, version)
        self._images = EncodedImages(store, self.keys, int(self.sizes.sum()))
        usual: Dtype = "uint8" if self._targets is None else "float32"
        self._pictures = Pictures(
            self._ids, transform, decoder, size, dtype or usual, self._targets
        )

    def _read_samples(self, store: Store, classes: Sequence[str] | None, version: int) -> None:
        known = store.schema(SAMPLES, version).names
        for name in self.columns:
            if name not in known:
                raise DatabaseError(
                    f"No column '{name}' in samples.", did_you_mean(name, known, "columns")
                )
        sides = ["width", "height"] if "objects" in self.columns else []
        wanted = list(dict.fromkeys(["id", "bytes", *sides, *self.columns]))
        rows = store.take(SAMPLES, self.keys, wanted, version=version)
        self._ids: np.ndarray = rows["id"].to_numpy()
        sizes = pc.fill_null(rows["bytes"], _UNKNOWN_BYTES)
        self.sizes: np.ndarray = sizes.to_numpy().astype(np.int64)
        named = [c for c in ("label", "labels") if c in self.columns]
        boxed = ["objects"] if "objects" in self.columns else []
        of_boxes = classes_of(store, boxed, version) if classes is None else classes
        self.box_classes: tuple[str, ...] = tuple(of_boxes)
        """Names of the classes of boxes: label 1 of a target is the first."""
        if classes is None:
            classes = classes_of(store, named, version) if named else of_boxes
        self.classes: tuple[str, ...] = tuple(classes)
        if len(set(self.classes)) != len(self.classes):
            twice = next(c for c in self.classes if self.classes.count(c) > 1)
            raise ClassesError(f"Class '{twice}' comes twice.", "names of classes are unique.")
        if boxed:
            sizes = [_floats(rows[side]) for side in sides]
            self._targets = Targets.of(
                rows["objects"], np.stack(sizes, axis=1), self._ids, self.box_classes
            )
        self._columns = {
            n: column_of(n, rows[n], self._ids, self.classes)
            for n in self.columns
            if n != "objects"
        }

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        classes = (
            f", {numbers.count(len(self.classes), 'class', 'classes')}" if self.classes else ""
        )
        samples = numbers.count(len(self), "sample")
        return f"<SliceDataset of {samples}{classes} in {self._images.path!r}>"

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
            column = self._columns["label"]
            assert isinstance(column, Numbers)
            return column.values
        raise ClassesError(
            f"The dataset has the columns {self.columns}, and no label.", "pass columns=('label',)."
        )

    @property
    def stored(self) -> bool:
        """Whether the database holds every image itself, none in a file of its own."""
        return self._images.stored

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """Height, width and 3 of the pictures of a batch, None while that is unknown."""
        return self._pictures.shape

    def loader(
        self,
        batch_size: int = 256,
        shuffle: bool = True,
        seed: int = 0,
        num_workers: int = 0,
        sampler: Iterable[int] | None = None,
        drop_last: bool = False,
        pin_memory: bool | None = None,
        workers: Workers = "thread",
        on_error: OnError = "raise",
        prefetch: int = 2,
        distributed: bool = True,
        collate_fn: Collate | None = None,
        device: torch.device | str | None = None,
        batch_transform: BatchTransform | None = None,
        **others: object,
    ) -> Loader:
        """Return a loader of batches; see `Loader` for the arguments.

        Raises:
            SliceDBError: an argument of torch's DataLoader that this loader does not need or have.
        """
        refuse_foreign(others)
        return Loader(
            self,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            num_workers=num_workers,
            sampler=sampler,
            drop_last=drop_last,
            pin_memory=pin_memory,
            workers=workers,
            on_error=on_error,
            prefetch=prefetch,
            distributed=distributed,
            collate_fn=collate_fn,
            device=device,
            batch_transform=batch_transform,
        )

    def show_batch(self, n: int = 9, seed: int = 0) -> ShownBatch:
        """Return some items for people, as training code gets them: a notebook shows them."""
        return self.loader(batch_size=n, seed=seed, distributed=False).show_batch(n)

    # --- items, for torch's own DataLoader ----------------------------------------------------

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        index = int(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"Index {index} in a slice of {numbers.count(len(self), 'sample')}.")
        return self.__getitems__([index % len(self)])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, ...]]:
        """Return several items, read at once; torch's DataLoader calls this for a batch.

        Raises:
            MediaError: an image does not decode; the message names the sample.
            SliceDBError: this process was forked, or the transform fails.
        """
        chosen = np.asarray(indices, dtype=np.int64)
        images, targets = self._pictures.items(chosen, self.read(chosen))
        values = [
            targets if name == "objects" else self._columns[name].items(chosen)
            for name in self.columns
        ]
        return list(zip(images, *values, self._ids[chosen].tolist()))

    def unstacked(self) -> SliceDataset:
        """Return this dataset with the pictures of a batch in a list, for a collate function."""
        twin = copy(self)
        twin._pictures = copy(self._pictures)
        twin._pictures.listed = True
        return twin

    def shown(self, batch: Batch, n: int) -> ShownBatch:
        """Return the first items of a batch for people."""
        return shown(batch, self.columns, self.classes, self.box_classes, n)

    # --- batches, for our loader --------------------------------------------------------------

    def read(self, indices: np.ndarray) -> list[bytes]:
        """Return the encoded images of samples, int64 (b,).

        Raises:
            SliceDBError: this process was forked from the one that opened the database.
        """
        return self._images.read(indices)

    def decode(
        self, indices: np.ndarray, blobs: Sequence[bytes], room: np.ndarray | None = None
    ) -> Decoded:
        """Decode and transform a part of a batch; see `Pictures.decode`."""
        return self._pictures.decode(indices, blobs, room)

    def assemble(self, parts: Sequence[Decoded], *, pin: bool = False) -> Batch:
        """Return the batch of its decoded parts."""
        indices = np.concatenate([part.indices for part in parts])
        targets = [target for part in parts for target in part.targets]
        values: list[Any] = [
            targets if name == "objects" else self._columns[name].batch(indices)
            for name in self.columns
        ]
        images: Any = self._pictures.stack([part for part in parts if len(part.indices)])
        if pin:
            images, *values = (pinned(value) for value in (images, *values))
        return (images, *values, self._ids[indices].tolist())


to_torch = SliceDataset
"""The torch dataset of a slice: `to_torch(db.store, db.slices.get("night"), transform=tf)`."""


def keys_in(on: np.ndarray | HasKeys | SliceDataset) -> np.ndarray:
    """Return int64 (n,): keys as they are, or those of a slice, a query or a dataset."""
    keys = getattr(on, "keys", on)
    return np.asarray(keys() if callable(keys) else keys, dtype=np.int64)


def usual_columns(store: Store, keys: np.ndarray, version: int) -> tuple[str, ...]:
    """Return the column of the ground truth that samples have: label, objects, or labels."""
    known = [c for c in ("label", "objects", "labels") if c in store.schema(SAMPLES, version).names]
    rows = store.take(SAMPLES, keys, known, version=version)
    return next(((c,) for c in known if rows[c].null_count < len(rows)), ("label",))


def classes_of(store: Store, columns: Sequence[str], version: int) -> list[str]:
    """Return the names in columns of all samples that are ok, in class order."""
    if not columns:
        return []
    rows = store.table(SAMPLES, [*columns, "status"], version=version)
    rows = rows.filter(is_shown(rows["status"]))
    labels: set[str] = set()
    for name in columns:
        values = rows[name] if name == "label" else pc.list_flatten(rows[name])
        if name == "objects":
            values = pc.struct_field(values, "label")
        labels.update(v for v in pc.unique(values).to_pylist() if v is not None)
    return in_class_order(labels)


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    """Return float64 (n,), NaN where null or 0."""
    values = pc.fill_null(column.cast(pa.float64()), float("nan")).to_numpy()
    return np.where(values > 0, values, np.nan)
