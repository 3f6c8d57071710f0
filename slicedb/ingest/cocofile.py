"""One JSON file of COCO annotations: its images, and the boxes and captions of each."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from slicedb.ingest.annotated import box
from slicedb.ingest.outlines import box_around
from slicedb.ingest.pictures import Pictures
from slicedb.ingest.source import Options, Row
from slicedb.ingest.splits import SPLITS, split_in
from slicedb.schema import KEYPOINT_NAMES, Box
from slicedb.show.numbers import count, verb
from slicedb.sources import Location

PUBLISHED = re.compile(
    r"(?P<kind>instances|captions|person_keypoints|image_info|stuff|panoptic)"
    r"_(?P<split>[A-Za-z-]+)(?P<year>\w*)\.json"
)
"""Names of files as COCO publishes them."""

_OWN = frozenset(
    """
    id image_id category_id bbox segmentation keypoints caption iscrowd area attributes score
    """.split()
)
"""Keys of an annotation that are not attributes by themselves."""


class BrokenError(Exception):
    """What is wrong with a file."""


_NAMELESS = "have no name and are called by their"


@dataclass
class CocoImage:
    """One image of one or more files."""

    row: Row
    """The image's object in the file."""
    uri: str
    """Absolute path."""
    split: str | None
    boxes: list[Box] | None = None
    captions: list[str] = field(default_factory=list)
    _from: dict[tuple[object, ...], list[list[int]]] = field(default_factory=dict)
    """By label and sides: places in `boxes`, each with the number of the file that spoke last."""

    def add(self, new: Box, file: int) -> None:
        """Add a box; what another file said of the same box is put together with it."""
        self.boxes = [] if self.boxes is None else self.boxes
        same = self._from.setdefault((new["label"], *new["bbox"]), [])
        for known in same:
            at, spoke = known
            if spoke != file:
                self.boxes[at] = _together(self.boxes[at], new)
                known[1] = file
                return
        same.append([len(self.boxes), file])
        self.boxes.append(new)


def _together(old: Box, new: Box) -> Box:
    """Return one box of what two files say of it."""
    attributes = [json.loads(one["attributes"]) for one in (new, old) if one["attributes"]]
    merged = {name: value for known in attributes for name, value in known.items()}
    return {
        "label": old["label"],
        "bbox": old["bbox"],
        "score": new["score"] if old["score"] is None else old["score"],
        "attributes": json.dumps(merged, ensure_ascii=False) if merged else None,
        "segmentation": old["segmentation"] or new["segmentation"],
        "keypoints": old["keypoints"] or new["keypoints"],
    }


class CocoFile:
    """One JSON file.

    Args:
        file: where it is.
        root: what is ingested, the file itself or a folder that holds it.
        options: of the ingest.
        notes: what the user should know; the file adds to it.

    Raises:
        BrokenError: it cannot be read.
    """

    def __init__(self, file: Location, root: Location, options: Options, notes: list[str]) -> None:
        self.file = file
        self._notes = notes
        self._data = _load(file)
        self.images = self._list("images")
        named = PUBLISHED.fullmatch(file.name)
        self.kind = named["kind"] if named else ""
        self._split = _split(file, root)
        self._names = self._category_names()
        names = [str(image.get("file_name")) for image in self.images]
        pictures = Pictures(file, root, options, names, _spots(file, root))
        self._at = [self._place(row, pictures) for row in self.images]
        self.n_there = sum(pictures.has(at) for at, _ in self._at) if root.is_folder() else 0
        """How many of the images lie below the root."""

    def _list(self, key: str, needed: bool = True) -> list[Row]:
        rows = self._data.get(key)
        if rows is None and not needed:
            return []
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise BrokenError(f"'{key}' is not a list of objects")
        return rows

    def _category_names(self) -> dict[object, str]:
        """Return the name of each category by its id, and note how its key points are called.

        One without a name is called by its id.
        """
        names: dict[object, str] = {}
        self._points: dict[object, list[str]] = {}
        nameless = []
        for row in self._list("categories", False):
            name = str(row.get("name") or "").strip()
            if not name:
                name = str(row.get("id"))
                nameless.append(name)
            names[row.get("id")] = name
            points = row.get("keypoints")
            if isinstance(points, list) and points:
                self._points[row.get("id")] = [str(point) for point in points]
        if nameless:
            self._notes.append(
                f"{count(len(nameless), 'category', 'categories')} of '{self.file.name}' "
                f"{verb(len(nameless), 'has no name and is called by its', _NAMELESS)} number, "
                f"such as '{nameless[0]}'."
            )
        return names

    def _place(self, row: Row, pictures: Pictures) -> tuple[str, str]:
        """Return where an image lies, below the root, and its absolute path."""
        file_name = row.get("file_name")
        if not file_name or "id" not in row:
            raise BrokenError(f"images[{self.images.index(row)}] has no file_name or no id")
        return pictures.find(str(file_name))

    def add_to(self, images: dict[str, CocoImage], number: int) -> None:
        """Add the images of this file, and its annotations to those that another file added.

        Args:
            images: those of the files before, by where they lie.
            number: of this file, which tells its boxes from those of others.

        Raises:
            BrokenError: something is wrong with the file.
        """
        here: dict[object, CocoImage] = {}
        for row, (name, uri) in zip(self.images, self._at):
            new = CocoImage(row, uri, row.get("split") or self._split)
            if isinstance(row.get("caption"), str):
                new.captions.append(row["caption"])
            image = images.setdefault(name, new)
            image.row = {**row, **image.row}
            if row["id"] in here:
                raise BrokenError(f"two images have the id {row['id']}")
            here[row["id"]] = image
        annotations = self._list("annotations", False)
        if not annotations and "annotations" not in self._data:
            return
        if self._names or any("bbox" in row for row in annotations):
            for image in here.values():
                if image.row.get("annotated") is not False:  # our export marks the unannotated
                    image.boxes = image.boxes or []
        lost = without = 0
        for i, row in enumerate(annotations):
            image_of = here.get(row.get("image_id"))
            if image_of is None:
                lost += 1
            elif (new_box := self._box(i, row)) is not None:
                image_of.add(new_box, number)
            elif isinstance(row.get("caption"), str):
                image_of.captions.append(row["caption"].strip())
            else:
                without += 1
        if lost:
            self._notes.append(
                f"{count(lost, 'annotation')} of '{self.file.name}' "
                f"{verb(lost, 'speaks', 'speak')} of no image in it: left out."
            )
        if without:
            self._notes.append(
                f"{count(without, 'annotation')} of '{self.file.name}' "
                f"{verb(without, 'has', 'have')} neither a box nor an outline nor a caption: "
                "left out."
            )

    def _box(self, number: int, row: Row) -> Box | None:
        """Return the box of an annotation, or the box around its outline; None without both."""
        outline = row.get("segmentation")
        if row.get("bbox"):
            sides = self._sides(number, row["bbox"])
        elif outline is None:
            return None
        else:
            try:
                around = box_around(json.loads(outline))
            except ValueError as error:
                raise BrokenError(
                    f"annotations[{number}] has a segmentation that is none: {error}"
                ) from error
            if around is None:
                return None
            sides = around
        category = row.get("category_id")
        if category not in self._names:
            known = ", ".join(map(str, list(self._names)[:8])) or "none"
            raise BrokenError(
                f"annotations[{number}] has the category_id {category!r}, which is none of {known}"
            )
        extra = _attributes(row, sides[2] * sides[3])
        points = self._keypoints(number, row)
        if points and category in self._points:
            extra[KEYPOINT_NAMES] = self._points[category]
        score = row.get("score")
        return box(
            self._names[category],
            *sides,
            attributes=json.dumps(extra, ensure_ascii=False) if extra else None,
            score=float(score) if isinstance(score, int | float) else None,
            segmentation=outline if outline != "[]" else None,
            keypoints=points,
        )

    def _sides(self, number: int, numbers: object) -> list[float]:
        try:
            x, y, w, h = (float(value) for value in numbers)  # type: ignore[attr-defined]
            whole = all(abs(value) < float("inf") for value in (x, y, w, h))
        except (TypeError, ValueError):
            whole = False
        if not whole:
            raise BrokenError(f"annotations[{number}] has the bbox {numbers!r}, not [x, y, w, h]")
        return [x, y, w, h]

    def _keypoints(self, number: int, row: Row) -> list[float] | None:
        points = row.get("keypoints")
        if not points:
            return None
        if (
            not isinstance(points, list)
            or len(points) % 3
            or not all(isinstance(value, int | float) for value in points)
        ):
            raise BrokenError(
                f"annotations[{number}] has keypoints that are not [x, y, visibility, ...]"
            )
        return [float(value) for value in points]


def _attributes(row: Row, area: float) -> Row:
    extra = {k: v for k, v in row.items() if k not in _OWN and _is_scalar(v)}
    inner = row.get("attributes")
    extra |= {k: v for k, v in inner.items() if _is_scalar(v)} if isinstance(inner, dict) else {}
    if row.get("iscrowd"):
        extra["iscrowd"] = int(row["iscrowd"])
    given = row.get("area")
    if isinstance(given, int | float) and abs(given - area) > 1e-3 * max(area, 1):
        extra["area"] = given  # of the segmentation
    return extra


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float | bool)


def _load(file: Location) -> Row:
    """Read a file; outlines, which are most of it, become text as they are read."""

    def lean(value: Row) -> Row:
        if value.get("segmentation") is not None:
            value["segmentation"] = json.dumps(value["segmentation"], separators=(",", ":"))
        return value

    try:
        data = json.loads(file.read_bytes().decode("utf-8-sig"), object_hook=lean)
    except json.JSONDecodeError as error:
        raise BrokenError(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BrokenError(str(getattr(error, "strerror", None) or error)) from error
    if not isinstance(data, dict) or "images" not in data:
        raise BrokenError("it has no 'images', so it is not COCO")
    return data


def _spots(file: Location, root: Location) -> list[str]:
    """Return the folders that images of a file as COCO publishes it are in, from its own."""
    named = PUBLISHED.fullmatch(file.name)
    words = [named["split"] + named["year"], named["split"]] if named else []
    if split := _split(file, root):
        words.append(split)
    ups = ("", "../", "images/", "../images/")
    return [up + word for word in dict.fromkeys(words) for up in ups]


def _split(file: Location, root: Location) -> str | None:
    """Return the split in the name of a file or its folder: instances_train2017 is train."""
    named = PUBLISHED.fullmatch(file.name)
    if named and named["split"].split("-")[0].lower() in SPLITS:
        return named["split"].split("-")[0]  # test-dev is a part of test
    if file.stem.lower() in SPLITS:
        return file.stem
    parent = file.parent
    return split_in(parent.parts_below(root) if root.is_folder() else (parent.name,))
