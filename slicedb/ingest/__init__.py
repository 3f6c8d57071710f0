"""Read images and their metadata into a database: verified, hashed, recognised the next time.

A reader is a `Format`: the built-in ones, and those of installed packages.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa

from slicedb import media
from slicedb import progress as shown
from slicedb.errors import IngestError, SourceError, did_you_mean
from slicedb.ingest import panlabel
from slicedb.ingest.format import FORMATS, Format, Written, recognise
from slicedb.ingest.gray import keep_ranges
from slicedb.ingest.pipeline import Settings, run
from slicedb.ingest.report import IngestReport
from slicedb.ingest.source import IdBy, Options, Source
from slicedb.schema import SAMPLES, SAMPLES_SCHEMA
from slicedb.sources import (
    Location,
    address,
    forget,
    is_pattern,
    is_remote,
    is_utf8,
    listed,
    matching,
    path_of,
)
from slicedb.store import Store
from slicedb.store.shares import Crew
from slicedb.tasks.label_names import Given, LabelNames


def ingest(
    store: Store,
    source: str | os.PathLike[str],
    *,
    form: str | None = None,
    images: str | os.PathLike[str] | None = None,
    split: str | None = None,
    label: str | None = None,
    labels: Given | None = None,
    split_folders: bool = False,
    prefix: str = "",
    id_by: IdBy = "path",
    path_column: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    labels_column: str | Sequence[str] | None = None,
    labels_separator: str | None = None,
    split_column: str | None = None,
    caption_column: str | None = None,
    id_column: str | None = None,
    reference: bool = False,
    verify: Literal["now", "later"] = "now",
    replace: bool = False,
    delete_missing: bool = False,
    same: Literal["add", "skip"] = "add",
    max_broken: float | None = None,
    max_pixels: int = media.MAX_PIXELS,
    threads: int | None = None,
    quality: bool = False,
    progress: shown.Watch = None,
    following: bool = False,
    gray_range: media.GivenRanges | None = None,
    crew: Crew | None = None,
) -> IngestReport:
    """Read images and metadata: folders, tables, tars, and what annotation tools write.

    Every image is decoded in full. A broken one is quarantined: its sample stays, with the reason
    in `status` and the decoder's words in `error`. Run again, it recognises what it has; what was
    changed in the database (a label, say) is only overwritten where the row of the CSV or Parquet
    file is another than last time.

    Args:
        store: the database.
        source: path of a folder, or of a .csv, .tsv, .parquet, .json (COCO) or .yaml (YOLO) file.
        form: one of `FORMATS`; None recognises it.
        following: mark the samples whose files are gone, and let those that moved keep their ids.
        crew: processes that decode; None takes threads of this one.

    The other arguments are those of `Database.ingest`.

    Raises:
        SourceError: the source is missing, empty, unreadable or of an unknown format.
        IngestError: a named column is not there, a type disagrees with the existing column, an id
            stands twice or belongs to another image. Nothing is written then, but in the last
            case.
        TooManyBrokenError: the share passed `max_broken`; its `.report` says more, the data stays.
    """
    _check(id_by, verify, same, max_broken)
    later = verify == "later"
    named = {
        "path": path_column,
        "image": image_column,
        "label": label_column,
        "split": split_column,
        "caption": caption_column,
        "id": id_column,
    }
    options = Options(
        split=split,
        label=label,
        prefix=prefix.strip("/"),
        columns={role: column for role, column in named.items() if column is not None},
        labels=(labels_column,) if isinstance(labels_column, str) else tuple(labels_column or ()),
        separator=labels_separator,
        images=None if images is None else os.fspath(images),
        split_folders=split_folders,
        later=later,
        existing=_with_whole_objects(store.schema(SAMPLES)),
    )
    names = None if labels is None else LabelNames(labels)
    ranges = None if gray_range is None else media.ranges_of(gray_range)
    opened = open_source(source, options, form, show=progress)
    if names is not None:
        opened.batches = map(names.rename_batch, opened.batches)
    opened.named |= bool(options.prefix)
    if reference and opened.carries_images:
        raise IngestError(
            f"'{source}' carries the images itself, so there is nothing to refer to.",
            "leave out reference.",
        )
    about = [] if ranges is None else keep_ranges(store, ranges)
    report = run(
        store,
        opened,
        Settings(
            by_content=id_by == "sha256",
            prefix=options.prefix,
            reference=reference or (later and not opened.carries_images),
            later=later,
            replace=replace,
            delete_missing=delete_missing,
            max_broken=max_broken,
            max_pixels=max_pixels,
            ranges=store.gray_ranges(),
            threads=threads,
            show=progress,
            skip_same=same == "skip",
            following=following,
            quality=quality,
            crew=crew,
        ),
    )
    return report.noting([*about, *([] if names is None else names.notes())])


def _check(id_by: str, verify: str, same: str, max_broken: float | None) -> None:
    """Raise for a choice that is none, or two that exclude each other."""
    if id_by not in ("path", "sha256"):
        raise IngestError(f"No id_by '{id_by}'.", "choose 'path' or 'sha256'.")
    if verify not in ("now", "later"):
        raise IngestError(f"No verify '{verify}'.", "choose 'now' or 'later'.")
    if same not in ("add", "skip"):
        raise IngestError(f"No same '{same}'.", "choose 'add' or 'skip'.")
    if verify == "later" and id_by == "sha256":
        raise IngestError(
            "Ids by sha256 need the bytes of every image, which verify='later' does not read.",
            "leave out one of the two.",
        )
    if max_broken is not None and not 0 <= max_broken <= 1:
        raise IngestError(f"max_broken is {max_broken}.", "give a share between 0 and 1.")


def open_source(
    source: str | os.PathLike[str],
    options: Options,
    form: str | None = None,
    show: shown.Watch = None,
) -> Source:
    """Open a source with the reader of its format.

    Args:
        source: path of a folder or a file, or its address.
        options: what the caller asks of the reader.
        form: one of `FORMATS`; None recognises it.
        show: whether the listing of a bucket is shown, see `slicedb.progress.Watch`.

    Raises:
        SourceError: it is missing, or of an unknown format.
        IngestError: `form` is none of the formats.
    """
    asked = form
    form, _, kind = (form or "").partition(":")
    if form and (form not in FORMATS or (kind and form != panlabel.NAME)):
        raise IngestError(f"No format '{asked}'.", did_you_mean(form, FORMATS, "formats"))
    location = _located(source, show)
    if not is_utf8(location.path):
        raise SourceError(
            f"The name of {location.path!r} is not UTF-8, so it could not be written down.",
            "rename the folder or the file; nothing was written.",
        )
    try:
        is_there = location.exists()
        if not is_there and not (is_pattern(location.text) and matching(location.text)):
            raise SourceError(f"No folder or file '{source}'.", _nearest(location))
        chosen = FORMATS[form] if form else recognise(location)
        if kind and chosen is not None:
            chosen = panlabel.of_kind(chosen, kind)
        if chosen is not None:
            _refuse_idle(chosen, location, options)
            return chosen.open(location, options)
    except PermissionError as error:
        raise SourceError(
            f"Cannot read '{source}': {error.strerror}.", "check its permissions."
        ) from error
    known = ", ".join(member.title for member in FORMATS.values())
    raise SourceError(f"'{source}' is of no format that can be ingested.", f"give {known}.")


def _refuse_idle(form: Format, location: Location, options: Options) -> None:
    """Raise where an option is given that does nothing for a format."""
    labels = "labels_column" if options.labels else "labels_separator"
    given = {
        "images": options.images is not None,
        "columns": bool(options.columns),
        labels: bool(options.labels) or options.separator is not None,
        "split_folders": options.split_folders,
    }
    for name, is_given in given.items():
        asked = "columns" if name == labels else name
        if is_given and asked not in form.takes:
            what = next(iter(options.columns)) + "_column" if name == "columns" else name
            raise IngestError(
                f"{what} (--{what.replace('_', '-')}) does nothing for '{location}', which is read "
                f"as {form.title}.",
                "leave it out, or name the format that was meant: --as.",
            )


def _with_whole_objects(schema: pa.Schema) -> pa.Schema:
    """Return a schema of samples whose boxes have every field, as they will when it is written.

    Databases of the first releases lack some, which are added where a source brings boxes.
    """
    at = schema.get_field_index("objects")
    return schema if at < 0 else schema.set(at, SAMPLES_SCHEMA.field("objects"))


def _located(source: str | os.PathLike[str], show: shown.Watch) -> Location:
    """Return where a source lies; a bucket is listed anew."""
    text = path_of(os.fspath(source))
    if not is_remote(text):
        return Location(str(Path(text).expanduser()))
    forget(address(text).root)
    location = Location(text)
    if location.is_folder():
        with shown.bar(None, "list", show, unit="object", keeps=False) as bar:
            listed(text, bar.advance)
    return location


def _nearest(location: Location) -> str:
    """Return a hint with the deepest folder of the path that exists."""
    if location.is_remote:
        return "check the address; a folder of a bucket is there if objects lie below it."
    path = Path(location.text)
    parent = next((p for p in path.absolute().parents if p.exists()), None)
    return f"'{parent}' exists, '{path.name}' is not below it." if parent else "check the path."


__all__ = [
    "FORMATS",
    "Format",
    "IngestReport",
    "Location",
    "Options",
    "Source",
    "Written",
    "ingest",
    "open_source",
]
