"""Labels and splits from folders, decided for each branch, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from slicedb.ingest import Options, open_source
from slicedb.ingest.source import Source


def folder(root: Path, names: str) -> Source:
    for i, name in enumerate(names.split()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (i * 9, 99, 7)).save(root / name)
    return open_source(root, Options())


def rows(source: Source) -> dict[str, tuple[str | None, str | None]]:
    return {
        row["id"]: (row.get("label"), row.get("split"))
        for batch in source.batches
        for row in batch.to_pylist()
    }


DEEPER = "as ImageFolder has it"
NULL = "lies in no folder of a class: its label is NULL."


@pytest.mark.parametrize(
    ("names", "expected", "notes"),
    [
        (
            "train/cat/1.jpg train/dog/2.jpg test/10.jpg",
            [("cat", "train"), ("dog", "train"), (None, "test")],
            ["1 image of the split 'test' lies in no folder of a class: its label is NULL."],
        ),
        ("cat/a/1.jpg", [("cat", None)], [DEEPER]),
        ("images/cat/a/1.jpg", [("cat", None)], [DEEPER]),
        (
            "cat/a/1.jpg cat/2.jpg dog/b/c/3.jpg",
            [("cat", None), ("cat", None), ("dog", None)],
            ["Labels are the uppermost folders, as ImageFolder has it: cat, dog; 2 folders below"],
        ),
        (
            "train/cat/a/1.jpg train/dog/2.jpg val/cat/b/3.jpg",
            [("cat", "train"), ("dog", "train"), ("cat", "val")],
            [DEEPER],
        ),
        (
            "train/images/cat/1.jpg train/images/dog/2.jpg test/images/3.jpg",
            [("cat", "train"), ("dog", "train"), (None, "test")],
            [NULL],
        ),
        (
            "cat/train/1.jpg cat/test/2.jpg dog/train/3.jpg",
            [("cat", "train"), ("cat", "test"), ("dog", "train")],
            ["Splits, by the folders below the labels: test, train."],
        ),
        (
            "x/cat/1.jpg x/dog/2.jpg y/cat/3.jpg y/dog/4.jpg",
            [("cat", None), ("dog", None), ("cat", None), ("dog", None)],
            ["Labels are the inner folders: cat, dog."],
        ),
        (
            "0.jpg cat/1.jpg dog/2.jpg",
            [(None, None), ("cat", None), ("dog", None)],
            ["1 image lies in no folder of a class: its label is NULL."],
        ),
        ("train/1.jpg train/cat/2.jpg", [(None, "train"), ("cat", "train")], [NULL]),
        ("photos/cat/1.jpg photos/dog/2.jpg", [("cat", None), ("dog", None)], []),
        ("set/train/cat/1.jpg", [("cat", "train")], []),
        ("cat/1.jpg dog/2.jpg test/3.jpg", [("cat", None), ("dog", None), ("test", None)], []),
        (
            "train/cat/1.jpg train/dog/2.jpg extra/3.jpg",
            [("cat", None), ("dog", None), (None, None)],
            ["No splits were taken", NULL],
        ),
        ("train/train/1.jpg test1/test1/2.jpg", [(None, "train"), (None, "test1")], []),
        (
            "train_images/1.jpg test_images/2.jpg",
            [(None, "train_images"), (None, "test_images")],
            [],
        ),
        (
            "train2017/cat/1.jpg val2017/dog/2.jpg",
            [("cat", "train2017"), ("dog", "val2017")],
            [],
        ),
        ("train/1.jpg test/2.jpg", [(None, "train"), (None, "test")], []),
    ],
)
def test_each_branch_is_decided_by_itself(
    tmp_path: Path, names: str, expected: list[tuple[str | None, str | None]], notes: list[str]
) -> None:
    source = folder(tmp_path / "d", names)
    found = rows(source)
    assert [found[name] for name in names.split()] == expected
    for note in notes:
        assert any(note in said for said in source.notes), source.notes
    if not notes:
        assert all(said.startswith(("Splits, by", "No splits")) for said in source.notes)
