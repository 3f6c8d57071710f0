"""What a loader does with whole batches: collate, move, transform, show; and splits of a query."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

import slicedb
from slicedb.database import Database
from slicedb.errors import CheckError, QueryError, SliceDBError
from slicedb.query.query import Query


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """40 pictures of two colours and several sizes, five of each patient."""
    root = tmp_path_factory.mktemp("batches")
    for i in range(40):
        label, colour = ("dark", (20, 30, 40)) if i % 2 else ("light", (220, 200, 190))
        (root / "photos" / label).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20 + i % 3, 16), colour).save(root / "photos" / label / f"{i:02}.png")
    database = slicedb.open(root / "d.slicedb")
    database.ingest(root / "photos")
    ids = sorted(database.query().ids(), key=lambda name: name[-6:])
    parts = ["training" if i < 24 else "Val" if i < 32 else "test" for i in range(40)]
    patients = [f"p{i // 5}" for i in range(40)]
    database.attach({"id": ids, "part": parts, "patient": patients})
    yield database


def test_a_batch_transform_sees_whole_batches_and_keeps_the_ids(db: Database) -> None:
    dataset = db.query().to_torch(size=16, dtype="float32")
    seen = []

    def darker(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        seen.append((tuple(images.shape), tuple(labels.shape)))
        return images / 2

    plain = list(dataset.loader(batch_size=16, seed=1))
    halved = list(dataset.loader(batch_size=16, seed=1, batch_transform=darker, num_workers=2))
    assert seen == [((16, 3, 16, 16), (16,)), ((16, 3, 16, 16), (16,)), ((8, 3, 16, 16), (8,))]
    for (images, labels, ids), (half, same, names) in zip(plain, halved):
        assert torch.equal(half, images / 2)
        assert torch.equal(labels, same) and ids == names


def test_mixup_and_normalize_of_torchvision_are_batch_transforms(db: Database) -> None:
    dataset = db.query().to_torch(size=16, dtype="float32")
    mix = v2.Compose([v2.Normalize([0.5] * 3, [0.5] * 3), v2.MixUp(num_classes=2)])
    torch.manual_seed(0)
    images, labels, ids = next(iter(dataset.loader(batch_size=8, batch_transform=mix)))
    assert images.shape == (8, 3, 16, 16) and labels.shape == (8, 2) and len(ids) == 8
    assert torch.allclose(labels.sum(dim=1), torch.ones(8))
    assert float(images.min()) < 0


def test_a_batch_transform_that_loses_a_value_is_refused(db: Database) -> None:
    dataset = db.query().to_torch(size=16)
    loader = dataset.loader(batch_size=8, batch_transform=lambda images, labels: (images,))
    with pytest.raises(SliceDBError, match="got 2 values and gave 1"):
        next(iter(loader))


def test_a_batch_goes_to_the_device_before_its_transform(db: Database) -> None:
    loader = (
        db.query()
        .to_torch(size=16)
        .loader(batch_size=4, device="meta", batch_transform=lambda images, labels: images * 2)
    )
    images, labels, ids = next(iter(loader))
    assert (images.device.type, labels.device.type, len(ids)) == ("meta", "meta", 4)


def test_a_collate_function_gets_items_of_any_size(db: Database) -> None:
    def padded(items: list[tuple[torch.Tensor, torch.Tensor, str]]) -> dict[str, object]:
        wide = max(image.shape[2] for image, _, _ in items)
        room = torch.zeros(len(items), 3, 16, wide, dtype=torch.uint8)
        for at, (image, _, _) in enumerate(items):
            room[at, :, :, : image.shape[2]] = image
        return {"x": room, "y": [int(label) for _, label, _ in items]}

    loader = db.query().to_torch().loader(batch_size=10, shuffle=False, collate_fn=padded)
    batches = list(loader)
    assert [batch["x"].shape for batch in batches] == [(10, 3, 16, 22)] * 4
    assert [y for batch in batches for y in batch["y"]] == [0] * 20 + [1] * 20
    assert int(batches[0]["x"][0, 0, 0, 0]) == 20  # dark


def test_show_batch_shows_what_training_gets(db: Database) -> None:
    dataset = db.query().to_torch(size=16, dtype="float32")
    loader = dataset.loader(batch_size=8, seed=3, batch_transform=lambda x, y: (1 - x) * 4 - 2)
    shown = loader.show_batch(4)
    _, labels, ids = next(iter(loader))
    assert shown.ids == ids[:4]
    assert shown.values["label"] == [dataset.classes[int(label)] for label in labels[:4]]
    assert "float32 (3, 16, 16), from -1." in str(shown) and "stretched" in str(shown)
    assert shown._repr_html_().count("<img ") == 4
    assert shown.to_arrow().column_names == ["id", "label"]
    assert len(dataset.show_batch(100).ids) == 40
    with pytest.raises(SliceDBError, match="no batch"):
        dataset.loader(batch_size=64, drop_last=True).show_batch()


def test_show_batch_draws_the_boxes_of_targets(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.new("RGB", (64, 64), "white").save(tmp_path / "a" / "x.png")
    coco = (
        '{"images": [{"id": 1, "file_name": "x.png", "width": 64, "height": 64}], "annotations": '
        '[{"id": 1, "image_id": 1, "category_id": 1, "bbox": [16, 16, 32, 32]}], '
        '"categories": [{"id": 1, "name": "dog"}]}'
    )
    (tmp_path / "a" / "_annotations.coco.json").write_text(coco)
    db = slicedb.open(tmp_path / "d.slicedb")
    db.ingest(tmp_path / "a")
    shown = db.query().to_torch().show_batch()
    assert shown.values == {"objects": ["1 box"]}
    pixels = np.asarray(Image.open(io.BytesIO(shown.pictures[0])).convert("L"))
    side = pixels.shape[0]
    assert pixels[side // 2, side // 2] > 240 and pixels[side // 4, side // 2] < 200


def ids_of(*parts: Query) -> list[set[str]]:
    return [set(part.ids()) for part in parts]


def test_a_split_by_a_fraction_is_the_same_one_each_time_and_leaves_none_out(db: Database) -> None:
    train, valid = ids_of(*db.query().split(0.25, seed=1))
    assert train | valid == set(db.query().ids()) and not train & valid
    assert 4 <= len(valid) <= 16
    assert ids_of(*db.query().split(0.25, seed=1)) == [train, valid]
    assert ids_of(*db.query().split(0.25, seed=2)) != [train, valid]
    dark = db.query("label = 'dark'").split(0.25, seed=1)
    assert ids_of(*dark) == [{i for i in part if i.startswith("dark")} for part in (train, valid)]


def test_a_split_keeps_groups_together(db: Database) -> None:
    of = {
        row["id"]: row["patient"] for row in db.sql("SELECT id, patient FROM samples").to_pylist()
    }
    train, valid = ids_of(*db.query().split(0.5, seed=0, group="patient"))
    assert train and valid and not {of[i] for i in train} & {of[i] for i in valid}


def test_a_split_by_a_column_a_query_or_a_slice(db: Database) -> None:
    assert [len(part) for part in ids_of(*db.query().split("part"))] == [24, 8]
    assert [len(part) for part in ids_of(*db.query().split("patient = 'p7'"))] == [35, 5]
    late = db.slices.add("late", "part <> 'training'", replace=True)
    assert [len(part) for part in ids_of(*db.query().split(late))] == [24, 16]
    assert [len(part) for part in ids_of(*late.split(0.5))] != [0, 0]
    with pytest.raises(CheckError, match=r"No column 'patint' to group by.*'patient'"):
        db.query().split(0.5, group="patint")
    with pytest.raises(CheckError, match=r"between 0 and 1, not 1\.5"):
        db.query().split(1.5)
    with pytest.raises(QueryError):
        db.query().split("parts")


def test_a_null_of_the_condition_is_trained_on(db: Database) -> None:
    ids = db.query().ids()
    db.attach(pa.table({"id": ids[:3], "grade": [1, 2, 3]}), partial=True)
    train, valid = ids_of(*db.query().split("grade > 1"))
    assert (len(train), len(valid)) == (38, 2)
