"""Compose images from templates: every foreground on every background with every extra.

    templates/
        food/<class>/*.png      foregrounds by class; any folder name but those below
        background/*.jpg        also `backgrounds`
        extras/*.png            also `extra`; optional
        layout.toml             optional: where things go, and the names of the classes

A composition is a sample with its lineage in the columns `template`, `foreground`, `background`
and `extra`; its id is `<template>/<class>/<foreground>+<background>+<extra>`. Nothing is drawn at
random, so that a composition is the same picture in any order, batch or process.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from PIL import Image, ImageOps

from slicedb.behaviour.layout import LAYOUT, Layout, Placement, read_layout
from slicedb.errors import SourceError, did_you_mean
from slicedb.media import EXTENSIONS
from slicedb.progress import Watch

if TYPE_CHECKING:
    from slicedb.ingest import IngestReport
    from slicedb.ingest.source import Source
    from slicedb.store import Store

LINEAGE = ("template", "foreground", "background", "extra")
"""The columns that say what a composition was made of."""

NOTHING = "none"
"""The extra of a composition without one."""

_BACKGROUNDS = ("background", "backgrounds")
_EXTRAS = ("extra", "extras")
_SEEN = 32
"""Alpha, of 255, from which a pixel counts as part of the thing: watermarks and shadows do not."""
_BATCH = 32


@dataclass(frozen=True)
class Composition:
    """One picture to compose."""

    template: str
    label: str
    folder: str
    """Of its class."""
    foreground: str
    """`<class folder>/<name>`."""
    background: str
    extra: str

    @property
    def id(self) -> str:
        """The id of the sample."""
        return f"{self.template}/{self.foreground}+{self.background}+{self.extra}"


@dataclass(frozen=True)
class Templates:
    """A folder of templates: what can be composed, and the composing.

    >>> Templates.open("missing")
    Traceback (most recent call last):
    slicedb.errors.SourceError: No template folder 'missing'. Hint: check the path.
    """

    name: str
    """Of the folder, with which the ids begin."""
    foregrounds: Mapping[str, Path]
    """`<class folder>/<name>` -> file."""
    backgrounds: Mapping[str, Path]
    extras: Mapping[str, Path]
    layout: Layout

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Templates:
        """Look through a folder; no picture is read yet.

        Raises:
            SourceError: no foregrounds or backgrounds, or a layout that does not fit.
        """
        root = Path(folder)
        if not root.is_dir():
            raise SourceError(f"No template folder '{folder}'.", "check the path.")
        parts = {p.name: p for p in sorted(root.iterdir()) if p.is_dir() and p.name[0] != "."}
        back = next((parts.pop(name) for name in _BACKGROUNDS if name in parts), None)
        extra = next((parts.pop(name) for name in _EXTRAS if name in parts), None)
        backgrounds = _pictures(back) if back else {}
        foregrounds = {
            f"{below.name}/{name}": file
            for part in parts.values()
            for below in sorted(part.iterdir())
            if below.is_dir()
            for name, file in _pictures(below).items()
        }
        if not foregrounds:
            raise SourceError(
                f"No foregrounds in '{folder}'.",
                "put cut-outs with transparency into food/<class>/ (any name for 'food').",
            )
        if not backgrounds:
            raise SourceError(f"No backgrounds in '{folder}'.", "put pictures into background/.")
        extras = _pictures(extra) if extra else {}
        layout = read_layout(root / LAYOUT, {key.split("/")[0] for key in foregrounds}, extras)
        return cls(root.absolute().name, foregrounds, backgrounds, extras, layout)

    def compositions(
        self,
        *,
        classes: Sequence[str] | None = None,
        backgrounds: Sequence[str] | None = None,
        extras: Sequence[str] | None = None,
    ) -> list[Composition]:
        """Return every foreground on every background with every extra and with none.

        Args:
            classes: folders of classes to take; None takes all.
            backgrounds: names of backgrounds to take.
            extras: names of extras to take, "none" among them for compositions without.

        Raises:
            SourceError: a name is not there.
        """
        folders = list(dict.fromkeys(key.split("/")[0] for key in self.foregrounds))
        chosen = _choose(classes, folders, "class", self.name)
        behind = _choose(backgrounds, list(self.backgrounds), "background", self.name)
        beside = _choose(extras, [NOTHING, *self.extras], "extra", self.name)
        return [
            Composition(
                template=self.name,
                label=self.layout.classes.get(key.split("/")[0], key.split("/")[0]),
                folder=key.split("/")[0],
                foreground=key,
                background=background,
                extra=extra,
            )
            for key in self.foregrounds
            if key.split("/")[0] in chosen
            for background in behind
            for extra in beside
        ]

    def compose(self, what: Composition) -> Image.Image:
        """Return the picture, RGB, as large as its background.

        Raises:
            SourceError: one of its parts cannot be read.
        """
        canvas = _picture(str(self.backgrounds[what.background])).copy()
        _lay(canvas, str(self.foregrounds[what.foreground]), self.layout.foreground)
        if what.extra in self.extras:
            place = self.layout.extras.get(what.extra, self.layout.extra)
            _lay(canvas, str(self.extras[what.extra]), place)
        return canvas.convert("RGB")

    def encode(self, what: Composition) -> bytes:
        """Return the picture as JPEG, colours at full resolution."""
        out = io.BytesIO()
        self.compose(what).save(out, "JPEG", quality=self.layout.quality, subsampling=0)
        return out.getvalue()


def source(
    templates: Templates, compositions: Sequence[Composition], split: str | None = None
) -> Source:
    """Return the compositions as a source that can be ingested; composed as they are read."""
    from slicedb.ingest.source import Source

    names = ["label", "split", *LINEAGE]
    return Source(
        where=f"templates:{templates.name}",
        fields=[pa.field(name, pa.string()) for name in names],
        batches=_batches(templates, compositions, split),
        total=len(compositions),
        carries_images=True,
    )


def compose(
    store: Store,
    folder: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    backgrounds: Sequence[str] | None = None,
    extras: Sequence[str] | None = None,
    labels: Mapping[str, str] | Sequence[str] | None = None,
    split: str | None = None,
    progress: Watch = None,
) -> IngestReport:
    """Compose every picture of a template folder into samples; see `Database.compose`."""
    from slicedb.ingest.pipeline import Settings, run

    templates = Templates.open(folder)
    if labels is not None:
        templates = replace(
            templates, layout=replace(templates.layout, classes=_labels(templates, labels))
        )
    chosen = templates.compositions(classes=classes, backgrounds=backgrounds, extras=extras)
    return run(store, source(templates, chosen, split), Settings(replace=True, show=progress))


def _labels(templates: Templates, labels: Mapping[str, str] | Sequence[str]) -> Mapping[str, str]:
    if isinstance(labels, Mapping):
        return labels
    named = {}
    for key in templates.foregrounds:
        folder = key.split("/")[0]
        if not folder.isdigit() or int(folder) >= len(labels):
            raise SourceError(
                f"Class folder '{folder}' is no number below {len(labels)}.",
                "give labels as a mapping from folder to label.",
            )
        named[folder] = labels[int(folder)]
    return named


def _batches(
    templates: Templates, compositions: Sequence[Composition], split: str | None
) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(compositions), _BATCH):
        part = compositions[start : start + _BATCH]
        columns: dict[str, object] = {
            "id": [c.id for c in part],
            "uri": pa.array([None] * len(part), pa.string()),
            "image": pa.array([templates.encode(c) for c in part], pa.large_binary()),
            "label": [c.label for c in part],
            "split": pa.array([split] * len(part), pa.string()),
        }
        columns |= {name: [getattr(c, name) for c in part] for name in LINEAGE}
        yield pa.RecordBatch.from_pydict(columns)


def _choose(asked: Sequence[str] | None, choices: list[str], what: str, where: str) -> list[str]:
    if asked is None:
        return choices
    for name in asked:
        if name not in choices:
            raise SourceError(
                f"No {what} '{name}' in '{where}'.",
                did_you_mean(name, choices, f"choices of {what}"),
            )
    return list(dict.fromkeys(asked))


def _pictures(folder: Path) -> dict[str, Path]:
    """Return the pictures of a folder by name without extension."""
    pictures: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in EXTENSIONS and not file.name.startswith("."):
            if file.stem in pictures:
                raise SourceError(
                    f"Two pictures are called '{file.stem}' in '{folder}'.", "rename one."
                )
            pictures[file.stem] = file
    return pictures


@functools.lru_cache(maxsize=64)
def _picture(path: str) -> Image.Image:
    """Return a picture as RGBA, as displayed."""
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGBA")
    except Exception as error:  # Pillow raises nearly anything on broken bytes
        raise SourceError(
            f"Cannot read the template picture '{path}': {str(error).split('<_io')[0].strip()}",
            "replace it or take it out of the folder.",
        ) from error


@functools.lru_cache(maxsize=64)
def _cut_out(path: str) -> Image.Image:
    """Return a picture cut to what can be seen of it."""
    image = _picture(path)
    seen = image.getchannel("A").point(lambda alpha: 255 if alpha >= _SEEN else 0).getbbox()
    return image.crop(seen) if seen else image


def _lay(canvas: Image.Image, path: str, place: Placement) -> None:
    thing = _cut_out(path)
    scale = min(
        place.width * canvas.width / thing.width, place.height * canvas.height / thing.height
    )
    size = (max(1, round(thing.width * scale)), max(1, round(thing.height * scale)))
    fitted = thing.resize(size, Image.Resampling.LANCZOS)
    left = round(place.x * canvas.width - size[0] / 2)
    top = round(place.y * canvas.height - size[1] / 2)
    sheet = Image.new("RGBA", canvas.size)
    sheet.paste(fitted, (left, top))
    canvas.alpha_composite(sheet)
