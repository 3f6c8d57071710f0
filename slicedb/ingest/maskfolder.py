"""Read pictures with label maps beside them: `images/a.jpg` and `masks/a.png`.

The path of a label map goes to `mask_uri` of its sample; `labelmaps` reads it after the pictures.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from slicedb.errors import MediaError, SourceError
from slicedb.ingest.folder import read_tree
from slicedb.ingest.format import Format
from slicedb.ingest.source import Options, Source
from slicedb.ingest.walk import Folder, Tree, tree_of
from slicedb.media.labelmap import codes_in
from slicedb.show import numbers
from slicedb.sources import Location

_IMAGES = frozenset("images image imgs img jpegimages photos pictures".split())
_MASKS = (
    *("masks", "mask", "segmentationclass", "segmentations", "segmentation", "seg", "labelmaps"),
    *("label_maps", "labelids", "gt", "annotations", "labels"),
)
_SUFFIXES = ("", "_mask", "_seg", "_label", "_labelIds", "_gtFine_labelIds")
_TRIED = 8
"""Files of a folder of which one has to be a label map."""
_OF_IMAGES = "_leftImg8bit"
"""What Cityscapes puts behind the name of a picture, and not of its label map."""


@dataclass(frozen=True)
class Pairs:
    """Which folders hold label maps, and which of them belongs to which picture."""

    masks: dict[str, str]
    """The place of a picture below the root -> that of its label map."""
    folders: set[tuple[str, ...]]
    """Folders of label maps, which hold no samples."""


def pairs(tree: Tree) -> Pairs:
    """Return the pictures that have a label map in a folder beside theirs."""
    found: dict[str, str] = {}
    folders: set[tuple[str, ...]] = set()
    for folder in tree.folders.values():
        if not folder.images or not any(part.lower() in _IMAGES for part in folder.parts):
            continue
        beside = tree.beside(folder, *_MASKS)
        for near in beside:
            matched = _matched(folder, near)
            some = [*matched.values()][:_TRIED]
            if some and not any(_is_label_map(tree, place) for place in some):
                continue
            found |= {place: mask for place, mask in matched.items() if place not in found}
            if matched:
                folders.add(near.parts)
    return Pairs(found, folders)


def _matched(images: Folder, masks: Folder) -> dict[str, str]:
    stems = {os.path.splitext(name)[0]: name for name in masks.images if _is_png(name)}
    pairs = {}
    for name in images.images:
        stem = os.path.splitext(name)[0].removesuffix(_OF_IMAGES)
        mask = next((stems[stem + s] for s in _SUFFIXES if stem + s in stems), None)
        if mask is not None:
            pairs[images.place + name] = masks.place + mask
    return pairs


def _is_label_map(tree: Tree, place: str) -> bool:
    """Return whether a file has one number per pixel."""
    try:
        codes_in(tree.root.join(place).read_bytes())
    except (MediaError, OSError, SourceError):
        return False
    return True


def _is_png(name: str) -> bool:
    return name.lower().endswith((".png", ".bmp", ".tif", ".tiff"))


def recognises(location: Location) -> bool:
    """Return whether label maps lie beside pictures."""
    return location.is_folder() and bool(pairs(tree_of(location)).masks)


def read(location: Location, options: Options) -> Source:
    """Open a folder with pictures and label maps.

    Raises:
        SourceError: it cannot be read, or holds no image.
    """
    tree = tree_of(location)
    found = pairs(tree)
    own = {parts: f for parts, f in tree.folders.items() if parts not in found.folders}
    pictures = Tree(tree.root, own, tree.hidden.copy(), tree.used)
    source = read_tree(location, pictures, options)
    taken = set(found.masks.values())
    every = [tree.folders[parts] for parts in found.folders]
    extra = [f.place + name for f in every for name in f.images if f.place + name not in taken]
    source.fields.append(pa.field("mask_uri", pa.string()))
    source.wins |= {"mask_uri"}
    source.batches = _with_masks(source.batches, location.path, found.masks, options)
    without = source.total - len(found.masks)
    source.notes.append(f"{numbers.count(len(found.masks), 'label map')} beside the pictures.")
    if without:
        source.notes.append(f"{numbers.count(without, 'picture')} without a label map.")
    if extra:
        source.notes.append(
            f"{numbers.count(len(extra), 'label map')} without a picture, such as '{extra[0]}'."
        )
    return source


def _with_masks(
    batches: Iterable[pa.RecordBatch], root: str, masks: dict[str, str], options: Options
) -> Iterator[pa.RecordBatch]:
    start = len(options.id_of(""))
    for batch in batches:
        places = [name[start:] for name in batch["id"].to_pylist()]
        uris = [f"{root}/{masks[place]}" if place in masks else None for place in places]
        yield batch.append_column("mask_uri", pa.array(uris, pa.string()))


LABEL_MAPS = Format(
    "masks",
    "a folder of images/ and masks/",
    recognises,
    read,
    "slicedb.export.maskfolder:write_masks",
    takes=frozenset({"columns", "split_folders"}),
)
