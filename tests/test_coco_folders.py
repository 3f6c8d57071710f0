"""COCO as it is published and as tools write it: several files, outlines, key points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import slicedb
from slicedb.errors import SourceError
from slicedb.ingest import Options, open_source
from slicedb.ingest.outlines import box_around

CATS = [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}]
POLYGON = [[10, 10, 30, 10, 30, 40]]
POINTS = [12, 12, 2, 0, 0, 0, 25, 30, 1]


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48), (len(path.name) * 9 % 256, 99, 7)).save(path)


def write(path: Path, images: list[Any], annotations: list[Any] | None, cats: Any = CATS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {"images": images, "categories": cats}
    path.write_text(
        json.dumps(whole | ({} if annotations is None else {"annotations": annotations})),
        encoding="utf-8",
    )


def image(name: str, number: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": 64, "height": 48, **more}


def person(**more: Any) -> dict[str, Any]:
    return {"id": 7, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40], **more}


def rows(root: Path, **options: Any) -> tuple[dict[str, Any], list[str]]:
    source = open_source(root, Options(**options))
    read = {row.pop("id"): row for batch in source.batches for row in batch.to_pylist()}
    return read, source.notes


def published(root: Path) -> Path:
    picture(root / "val2017" / "1.jpg")
    home = root / "annotations"
    seen = [person(segmentation=POLYGON, iscrowd=0, area=100.0), person(id=8, category_id=2)]
    write(home / "instances_val2017.json", [image("1.jpg")], seen)
    with_points = person(segmentation=POLYGON, keypoints=POINTS, num_keypoints=2, area=100.0)
    write(home / "person_keypoints_val2017.json", [image("1.jpg")], [with_points], CATS[:1])
    said = [{"id": n, "image_id": 1, "caption": text} for n, text in ((1, "one "), (2, "two"))]
    write(home / "captions_val2017.json", [image("1.jpg")], said, [])
    return root


def test_published_files_speak_of_one_sample(tmp_path: Path) -> None:
    found, _ = rows(published(tmp_path))
    assert list(found) == ["val2017/1.jpg"]
    row = found["val2017/1.jpg"]
    assert (row["split"], row["caption"]) == ("val", "one\ntwo")
    assert [(o["label"], o["bbox"]) for o in row["objects"]] == [
        ("person", [1, 2, 30, 40]),
        ("dog", [1, 2, 30, 40]),
    ]
    [first, _] = row["objects"]
    assert json.loads(first["segmentation"]) == POLYGON
    assert first["keypoints"] == POINTS
    assert json.loads(first["attributes"]) == {"area": 100.0, "num_keypoints": 2}


def test_a_list_of_test_images_has_no_boxes_yet(tmp_path: Path) -> None:
    root = published(tmp_path)
    picture(root / "test2017" / "2.jpg")
    write(root / "annotations" / "image_info_test2017.json", [image("2.jpg")], None)
    write(root / "annotations" / "image_info_test-dev2017.json", [image("2.jpg")], None)
    found, notes = rows(root)
    assert sorted(found) == ["test2017/2.jpg", "val2017/1.jpg"]
    assert (found["test2017/2.jpg"]["split"], found["test2017/2.jpg"]["objects"]) == ("test", None)
    assert not any("passed over" in note for note in notes)


def test_a_file_whose_images_are_not_there_is_passed_over_and_named(tmp_path: Path) -> None:
    root = published(tmp_path)
    write(root / "annotations" / "image_info_test2017.json", [image("2.jpg")], None)
    found, notes = rows(root)
    assert list(found) == ["val2017/1.jpg"]
    assert (
        "'image_info_test2017.json' was passed over: none of its 1 image is in the folder." in notes
    )


def test_regions_beside_objects_are_passed_over_and_named(tmp_path: Path) -> None:
    root = published(tmp_path)
    write(root / "annotations" / "stuff_val2017.json", [image("1.jpg")], [person(category_id=2)])
    segments = [{"image_id": 1, "file_name": "1.png", "segments_info": [{"id": 1}]}]
    write(root / "annotations" / "panoptic_val2017.json", [image("1.jpg")], segments)
    found, notes = rows(root)
    assert len(found["val2017/1.jpg"]["objects"]) == 2
    assert sum("passed over: it outlines regions, not objects." in note for note in notes) == 2


@pytest.mark.parametrize(
    ("outline", "expected"),
    [
        ([[10, 10, 30, 10, 30, 40]], [10, 10, 20, 30]),
        ([10, 10, 30, 10, 30, 40], [10, 10, 20, 30]),
        ([[10, 10], [30, 10], [30, 40]], [10, 10, 20, 30]),
        ([[1, 1, 2, 2, 1, 3], [10, 10, 30, 10, 30, 40]], [1, 1, 29, 39]),
        ({"size": [4, 5], "counts": [5, 2, 2, 2, 9]}, [1, 1, 2, 2]),
        ({"size": [4, 5], "counts": "52207"}, [1, 1, 2, 2]),
        ({"size": [4, 5], "counts": [3, 8, 9]}, [0, 0, 3, 4]),
    ],
)
def test_an_outline_without_a_box_has_the_box_around_it(
    tmp_path: Path, outline: Any, expected: list[float]
) -> None:
    picture(tmp_path / "a.jpg")
    bare = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": outline}
    for number, more in enumerate(({}, {"bbox": None}, {"bbox": []})):
        file = tmp_path / f"{number}.json"
        write(file, [image("a.jpg")], [bare | more])
        [box] = rows(file)[0]["a.jpg"]["objects"]
        assert box["bbox"] == expected
        assert json.loads(box["segmentation"]) == outline


def test_what_outlines_nothing_is_left_out_and_counted(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    bare = {"image_id": 1, "category_id": 1}
    nothing = [{"segmentation": []}, {}, {"segmentation": {"size": [2, 2], "counts": [4]}}]
    write(tmp_path / "a.json", [image("a.jpg")], [bare | one for one in nothing])
    found, notes = rows(tmp_path / "a.json")
    assert found["a.jpg"]["objects"] == []
    [note] = [n for n in notes if "neither" in n]
    assert note.startswith("3 annotations of 'a.json' have neither a box nor an outline")


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"bbox": None, "segmentation": [[1, 2, 3]]}, "odd number of coordinates"),
        ({"bbox": None, "segmentation": {"size": [2, 2], "counts": [3]}}, "do not fill"),
        ({"bbox": None, "segmentation": {"size": [2, 2], "counts": "~"}}, "no text of COCO"),
        ({"keypoints": [1, 2]}, "keypoints that are not"),
        ({"bbox": [1, 2, 3]}, "has the bbox"),
    ],
)
def test_broken_annotations_are_refused_with_their_place(
    tmp_path: Path, annotation: Any, message: str
) -> None:
    picture(tmp_path / "a.jpg")
    write(tmp_path / "a.json", [image("a.jpg")], [person(**annotation)])
    with pytest.raises(SourceError, match=r"annotations\[0\].*" + message):
        rows(tmp_path / "a.json")


def test_categories_without_a_name_are_called_by_their_number(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    cats = [{"id": 1}, {"id": 2, "name": None}, {"id": 3, "name": " "}, {"id": 4, "name": "dog"}]
    seen = [person(id=n, category_id=n) for n in (1, 2, 3, 4)]
    write(tmp_path / "a.json", [image("a.jpg")], seen, cats)
    found, notes = rows(tmp_path / "a.json")
    assert [o["label"] for o in found["a.jpg"]["objects"]] == ["1", "2", "3", "dog"]
    assert (
        "3 categories of 'a.json' have no name and are called by their number, such as '1'."
        in notes
    )


@pytest.mark.parametrize(
    "name", ["train\\a.jpg", ".\\train\\a.jpg", "C:\\data\\train\\a.jpg", "./train/a.jpg", "a.jpg"]
)
def test_images_are_found_however_their_paths_are_written(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "train" / "a.jpg")
    picture(tmp_path / "val" / "b.jpg")
    write(tmp_path / "annotations" / "all.json", [image(name), image("b.jpg", 2)], [person()])
    found, _ = rows(tmp_path)
    assert list(found) == ["train/a.jpg", "val/b.jpg"]


def test_outlines_and_key_points_survive_a_round_trip(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "a.slicedb")
    db.ingest(published(tmp_path / "coco"))
    db.export("", tmp_path / "out", form="coco")
    found, _ = rows(tmp_path / "out")
    [first, second] = found["images/val2017/1.jpg"]["objects"]
    assert (json.loads(first["segmentation"]), first["keypoints"]) == (POLYGON, POINTS)
    assert (second["segmentation"], second["keypoints"]) == (None, None)


def test_boxes_around_masks_are_those_of_cocos_own_code() -> None:
    mask = pytest.importorskip("faster_coco_eval.core.mask")
    np = pytest.importorskip("numpy")
    rng = np.random.default_rng(0)
    for size in ((7, 9), (1, 5), (5, 1), (30, 20)):
        pixels = np.asfortranarray(rng.random(size) > 0.9, dtype=np.uint8)
        pixels[0, 0] = 1
        runs = mask.encode(pixels)
        text = {"size": [int(side) for side in runs["size"]], "counts": runs["counts"].decode()}
        assert box_around(text) == mask.toBbox(runs).tolist()
