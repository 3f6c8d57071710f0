"""What readers of boxes share: rows of images with their boxes, checked and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from slicedb.errors import IngestError, SourceError
from slicedb.ingest.objects import BOXES
from slicedb.ingest.sidecar import Sidecar
from slicedb.ingest.sizes import Size, Sizes
from slicedb.ingest.source import ROWS, Options, Source
from slicedb.ingest.walk import tree_of
from slicedb.schema import Box, schema_of
from slicedb.show import numbers
from slicedb.sources import Location

_SHOWN = 3
"""Broken files that an error names."""


@dataclass
class Annotated:
    """Collects annotated images; a bounded number of them as Python objects."""

    where: Location
    """The folder or file ingested."""
    options: Options
    notes: list[str] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)
    """How many boxes have which label."""
    empty: int = 0
    """Boxes without area."""
    outside: int = 0
    """Boxes that reach beyond their image."""
    sizes: Sizes = field(default_factory=Sizes)
    """What the pictures are held against."""
    broken: list[str] = field(default_factory=list)
    """What is wrong with annotation files, a sentence each."""
    _rows: list[dict[str, object]] = field(default_factory=list)
    _tables: list[pa.Table] = field(default_factory=list)
    _named: int = 0
    """Images whose sample has an id of its own."""
    _seen: dict[str, None] = field(default_factory=dict)
    """The places of the images, in order."""

    def expect(self, uris: Iterable[str], *, relative: bool = False) -> None:
        """Read the sizes of pictures in buckets at once, which are asked for one by one later.

        Args:
            uris: of pictures that are added next.
            relative: whether their boxes are fractions, which need the size in any case.
        """
        if relative or not self.options.later:
            self.sizes.prepare(uris)

    def add(
        self,
        name: str,
        uri: str,
        boxes: list[Box] | None,
        *,
        size: Size | None = None,
        relative: bool = False,
        split: str | None = None,
        caption: str | None = None,
        sample: str | None = None,
    ) -> None:
        """Add one image.

        Args:
            name: where it lies, relative to the root.
            uri: its absolute path.
            boxes: None where the image was never annotated.
            size: width and height that the annotation gives, which are held against the picture.
            relative: whether the boxes were given as fractions, and `size` is the picture's.
            split: its split.
            caption: its caption.
            sample: the id of its sample; None where it is the place.

        Raises:
            IngestError: the image is there already.
        """
        if name in self._seen:
            raise IngestError(
                f"Image '{name}' is annotated twice in '{self.where}'.",
                "remove one of the annotations; nothing was written.",
            )
        self._seen[name] = None
        if self.options.later and not relative:
            self.sizes.skip(size)
        elif relative or (size is None and not boxes):
            self.sizes.skip()  # there is nothing to hold against the picture
        else:
            boxes, size = self.sizes.fit(uri, size, boxes)
        if boxes:
            self._check(boxes, size)
        self._named += sample is not None
        row = {"id": self.options.id_of(sample or name), "uri": uri, "objects": boxes}
        self._rows.append({**row, "split": split, "caption": caption})
        if len(self._rows) >= ROWS:
            self._flush()

    def _check(self, boxes: list[Box], size: Size | None) -> None:
        for box in boxes:
            x, y, w, h = box["bbox"]
            self.labels[box["label"]] += 1
            self.empty += w <= 0 or h <= 0
            if size is not None:
                slack = 1e-6 * max(size)  # what is written with six digits is not outside
                low = min(x, y) < -slack
                self.outside += low or x + w > size[0] + slack or y + h > size[1] + slack

    def _flush(self) -> None:
        schema = schema_of(
            "id string, uri string, objects boxes, split string, caption string", boxes=BOXES
        )
        self._tables.append(pa.Table.from_pylist(self._rows, schema=schema))
        self._rows = []

    def refuse_broken(self) -> None:
        """Raise when annotation files are broken, before anything is written."""
        if self.broken:
            more = len(self.broken) - _SHOWN
            shown = " ".join(self.broken[:_SHOWN]) + (f" And {more:,} more." if more > 0 else "")
            raise SourceError(shown, "correct or remove them; nothing was written.")

    def source(self, extra: pa.Table | None = None) -> Source:
        """Return the source.

        Args:
            extra: metadata columns, one row per image, in the order they were added.

        Raises:
            SourceError: annotation files are broken, or there is no image.
        """
        self.refuse_broken()
        self._flush()
        table = pa.concat_tables(self._tables)
        if not table.num_rows:
            raise SourceError(f"No annotated images in '{self.where}'.", "check the folder.")
        for name in ("split", "caption"):
            if table[name].null_count == table.num_rows:
                table = table.drop_columns(name)
        table = self._with_sidecar(table)
        if extra is not None:
            for name in extra.column_names:
                table = _with(table, name, extra[name])
        for name, column in self.sizes.columns().items():
            table = _with(table, name, column)
        for name in ("split", "label"):
            if (value := getattr(self.options, name)) is not None:
                table = _with(table, name, pa.array([value] * table.num_rows, pa.string()))
        fields = [f for f in table.schema if f.name not in ("id", "uri")]
        return Source(
            where=self.where.path,
            fields=fields,
            batches=table.combine_chunks().to_batches(ROWS),
            total=table.num_rows,
            wins=frozenset(f.name for f in fields),
            by_place=self.where.is_folder() and not self._named,
            named=self._named == table.num_rows,
            skipped=self._passed_over(),
            notes=[*self._summary(), *self.sizes.notes(), *self.notes],
        )

    def _with_sidecar(self, table: pa.Table) -> pa.Table:
        """Return the rows with the columns of metadata files that lie in the folder.

        What the annotations say themselves stays.
        """
        if not self.where.is_folder():
            return table
        sidecar = Sidecar(tree_of(self.where), self.options)
        if sidecar.found:
            self.notes += [*sidecar.notes, *sidecar.unmatched(list(self._seen))]
            for name, column in sidecar.values(list(self._seen)).items():
                if name not in table.column_names:
                    table = table.append_column(name, column)
        return table

    def has(self, name: str) -> bool:
        """Return whether an image at a place relative to the root was added."""
        return name in self._seen

    def _passed_over(self) -> dict[str, int]:
        """Count the images that no annotation and no list mentions, and the files nobody read."""
        if not self.where.is_folder():
            return {}
        tree = tree_of(self.where)
        n = sum(
            folder.place + name not in self._seen
            for folder in tree.folders.values()
            for name in folder.images
        )
        return ({"images elsewhere in the folder": n} if n else {}) | tree.skipped()

    def _summary(self) -> Iterator[str]:
        count = self.labels.total()
        shown = ", ".join(f"{n:,} {label}" for label, n in self.labels.most_common(8))
        more = (
            f" and {numbers.count(len(self.labels) - 8, 'label')} more"
            if len(self.labels) > 8
            else ""
        )
        if count:
            yield f"{numbers.count(count, 'box', 'boxes')}: {shown}{more}."
        if self.empty:
            yield (
                f"{numbers.count(self.empty, 'box has', 'boxes have')} no area; "
                f"{numbers.verb(self.empty, 'it is', 'they are')} kept. "
                "To see them: FROM objects WHERE area <= 0"
            )
        if self.outside:
            n = self.outside
            as_it_is = numbers.verb(n, "it is kept as it is", "they are kept as they are")
            yield (
                f"{numbers.count(n, 'box reaches', 'boxes reach')} beyond "
                f"{numbers.verb(n, 'its', 'their')} image; {as_it_is}. "
                "To see them: FROM objects WHERE least(x, y) < 0 OR x + w > samples.width "
                "OR y + h > samples.height"
            )


def _with(table: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Return a table with a column in place of the one of its name."""
    rest = table.drop_columns(name) if name in table.column_names else table
    return rest.append_column(name, values)


def box(
    label: str,
    x: float,
    y: float,
    w: float,
    h: float,
    *,
    score: float | None = None,
    attributes: str | None = None,
    segmentation: str | None = None,
    keypoints: list[float] | None = None,
) -> Box:
    """Return one box as `ANNOTATION` has it.

    Args:
        label: its label.
        x: left, pixels; y, w and h likewise.
        score: of a detection.
        attributes: a JSON object.
        segmentation: its outline, JSON.
        keypoints: [x, y, visibility, ...].
    """
    return {
        "label": label,
        "bbox": [x, y, w, h],
        "score": score,
        "attributes": attributes,
        "segmentation": segmentation,
        "keypoints": keypoints,
    }


def scalar(text: str) -> int | float | str:
    """Return a text as the number it is, or as it is.

    >>> scalar("1"), scalar("0.5"), scalar("Left"), scalar("007")
    (1, 0.5, 'Left', '007')
    """
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if value == value and str(value) == text:
            return value
    return text
