"""Read Label Studio's JSON and JSON-MIN exports (https://labelstud.io/guide/export).

    export.json            the file itself; images beside it, below images/, or --images
    tasks.json  images/    a folder that holds both

Rectangles (turned ones too), polygons, ellipses, brush masks and key points become `objects`, in
pixels; what was chosen of a whole picture becomes its label, or columns by the names of the
controls. `data` becomes columns; `data.sample_id`, which `slicedb export` writes, is the id.
"""

from __future__ import annotations

import re

from slicedb.errors import SourceError
from slicedb.ingest.annotated import Annotated
from slicedb.ingest.columns import GUESSES
from slicedb.ingest.format import Format
from slicedb.ingest.metadata import metadata_of
from slicedb.ingest.pictures import Pictures
from slicedb.ingest.sizes import Sizes
from slicedb.ingest.source import Options, Row, Source
from slicedb.ingest.studioregions import RegionError, Regions, regions_of
from slicedb.ingest.studiotasks import Counts, Task, tasks_of
from slicedb.ingest.walk import tree_of
from slicedb.sources import Location

_HEAD = 1 << 16
_MANY = 20
"""JSON files in one folder beyond which they are not looked into."""
_LIKE = re.compile(rb'"(annotations|completions|predictions|annotation_id|rectanglelabels)"\s*:')
_DATA = re.compile(rb'"(data|image|img|url|annotation_id)"\s*:')
_ABOUT_TASK = frozenset(
    """
    id annotated annotator annotation_id created_at updated_at lead_time sample_id split subset
    """.split()
)
"""Keys of a task that are no metadata of its picture."""


def recognises(location: Location) -> bool:
    """Return whether this is an export of Label Studio, or a folder that holds some."""
    if location.is_folder():
        return bool(_files(location))
    return location.suffix == ".json" and location.is_file() and _looks_like(location)


def _files(root: Location) -> list[Location]:
    files = []
    for folder, name in tree_of(root).files(".json"):
        file = root.join(*folder.parts, name)
        if len(folder.ending_in(".json")) <= _MANY and _looks_like(file):
            files.append(file)
    return files


def _looks_like(file: Location) -> bool:
    with file.open() as opened:
        head = opened.read(_HEAD)
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        return False
    return _LIKE.search(head) is not None and _DATA.search(head) is not None


def read(location: Location, options: Options) -> Source:
    """Open an export of Label Studio, or every one of a folder.

    A task without an annotation has NULL for its boxes; one whose annotation is empty has none.

    Raises:
        SourceError: a file is broken, names no picture, or there is none.
    """
    files = _files(location) if location.is_folder() else [location]
    if not files:
        raise SourceError(f"No Label Studio export in '{location}'.", "give the JSON file itself.")
    rows, counts = Annotated(location, options), Counts()
    about: list[Row] = []
    found: list[tuple[Task, str, str, Regions | None]] = []
    for file in files:
        if location.is_folder():
            tree_of(location).note_read(file)
        placed = _placed(file, location, options, counts)
        rows.expect(uri for _, _, (_, uri) in placed)
        for number, task, (name, uri) in placed:
            try:
                found.append((task, name, uri, _regions(task, uri, counts, rows.sizes)))
            except RegionError as error:
                rows.broken.append(f"'{file}', task {number + 1:,}: {error}.")
    rows.refuse_broken()
    has_boxes = any(regions is not None and regions.boxes for *_, regions in found)
    known_regions = [regions for *_, regions in found if regions is not None]
    control = _label_control(known_regions)
    several = {name for one in known_regions for name, c in one.choices.items() if len(c) > 1}
    for task, name, uri, regions in found:
        # Our export marks the tasks whose picture has a label and was never given boxes.
        known = regions is not None and task.data.get("annotated") is not False
        if regions is not None and not has_boxes and (regions.choices or regions.values):
            known = False
        sample = task.data.get("sample_id")
        rows.add(
            name,
            uri,
            regions.boxes if regions is not None and known else None,
            size=None if regions is None else regions.size,
            split=next((str(task.data[k]) for k in ("split", "subset") if task.data.get(k)), None),
            sample=None if sample is None else str(sample),
        )
        about.append(_about(task, regions, control, several))
    rows.notes += counts.notes()
    return rows.source(metadata_of(about, ("objects",), options, rows.notes))


def _placed(
    file: Location, root: Location, options: Options, counts: Counts
) -> list[tuple[int, Task, tuple[str, str]]]:
    """Return the tasks of a file, each with its number and the place of its picture."""
    tasks = tasks_of(file, counts)
    pictures = Pictures(file, root, options, [task.image for task in tasks])
    return [(number, task, pictures.find(task.image)) for number, task in enumerate(tasks)]


def _regions(task: Task, uri: str, counts: Counts, sizes: Sizes) -> Regions | None:
    """Return what a task says.

    Raises:
        RegionError: a result cannot be read.
    """
    if task.results is None:
        return None
    rows = [result for result in task.results if isinstance(result, dict)]
    lacks_size = any(not row.get("original_width") for row in rows)
    found = regions_of(task.results, sizes.size_of(uri) if lacks_size else None)
    counts.left_out += found.left_out
    counts.rotated += any(row.get("image_rotation") for row in rows)
    return found


def _label_control(regions: list[Regions]) -> str | None:
    """Return the control whose choices are the labels of pictures: the only one, or so called."""
    names = dict.fromkeys(name for one in regions for name in one.choices)
    if len(names) == 1:
        return next(iter(names))
    return next((name for name in names if name.lower() in GUESSES["label"]), None)


def _about(task: Task, regions: Regions | None, control: str | None, several: set[str]) -> Row:
    """Return what becomes columns of a sample.

    Args:
        task: with its data.
        regions: what its annotation says.
        control: whose choices are labels.
        several: the controls where several may be chosen.
    """
    about = {name: value for name, value in task.data.items() if name not in _ABOUT_TASK}
    if regions is None:
        return about
    about |= {name: value for name, value in regions.values.items() if value is not None}
    for name, chosen in regions.choices.items():
        column = name
        if name == control:
            column = "labels" if name in several else "label"
        about[column] = chosen if name in several else chosen[0]
    return about


LABEL_STUDIO = Format(
    "label-studio",
    "an export of Label Studio",
    recognises,
    read,
    "slicedb.export.labelstudio:write_label_studio",
    takes=frozenset({"images"}),
)
