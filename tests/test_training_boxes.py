"""Boxes in training code: scaled and turned with the picture, as torchvision takes them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import fakes_blocks
import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

import slicedb
from slicedb import Database
from slicedb.errors import ClassesError, SliceDBError
from slicedb.training import BoxesLeftOutWarning, collate, detection_losses

BLOCKS = fakes_blocks.WORLD


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    folder = tmp_path_factory.mktemp("boxes")
    db = slicedb.open(folder / "boxes.slicedb")
    db.ingest(fakes_blocks.write(folder / "photos"))
    return db


def check_places(image: torch.Tensor, target: dict[str, torch.Tensor], slack: int = 1) -> None:
    """Hold the boxes against the bright pixels of a picture (3, h, w) of 0 to 1."""
    assert image.dtype == torch.float32 and type(image) is torch.Tensor
    assert target["boxes"].dtype == torch.float32 and type(target["boxes"]) is torch.Tensor
    assert target["labels"].dtype == torch.int64
    pixels = 255 * image.movedim(0, -1).numpy()
    wanted = fakes_blocks.bright(pixels)
    drawn, sure = np.zeros_like(wanted), np.zeros_like(wanted)
    for left, top, right, bottom in target["boxes"].round().int().tolist():
        drawn[max(top - slack, 0) : bottom + slack, max(left - slack, 0) : right + slack] = True
        sure[top + slack : bottom - slack, left + slack : right - slack] = True
    assert (wanted & ~drawn).sum() == 0, "a block sticks out of its box"
    assert (sure & ~wanted).sum() == 0, "a box holds what is no block"


def double(image: Any, target: Any) -> Any:
    """A function of one's own, which turns picture and boxes upside down."""
    boxes = target["boxes"].clone()
    boxes[:, [1, 3]] = image.height - target["boxes"][:, [3, 1]]
    return image.transpose(1), {**target, "boxes": boxes}


TRANSFORMS: dict[str, dict[str, Any]] = {
    "as stored": {},
    "squashed": {"size": (50, 70)},
    "cropped": {"size": 64},
    "flipped": {"transform": v2.RandomHorizontalFlip(1.0)},
    "resized": {"transform": v2.Resize((100, 100)), "size": 40},
    "composed": {
        "transform": v2.Compose(
            [
                v2.ToImage(),
                v2.RandomRotation((90, 90), expand=True),
                v2.ToDtype(torch.float32, True),
            ]
        )
    },
    "my own": {"transform": double},
}


@pytest.mark.filterwarnings("ignore::slicedb.training.BoxesLeftOutWarning")
@pytest.mark.parametrize("name", TRANSFORMS)
def test_boxes_stay_on_what_they_are_around(db: Database, name: str) -> None:
    dataset = db.query("ORDER BY id").to_torch(**TRANSFORMS[name])
    assert dataset.columns == ("objects",) and dataset.box_classes == ("snow", "sun")
    seen = 0
    for image, target, sample in dataset:
        check_places(image, target, slack=2 if name == "composed" else 1)
        seen += len(target["boxes"])
        labels = [label for label, _ in BLOCKS[sample][2]]
        if name != "cropped":
            assert [dataset.box_classes[k - 1] for k in target["labels"].tolist()] == labels
    assert seen == (6 if name != "cropped" else 5)


def test_the_scaled_boxes_of_a_picture_are_these(db: Database) -> None:
    one = "id = 'turned.jpg'"  # 96 x 160 as displayed, stored as 160 x 96
    (_, target, _) = db.query(one).to_torch()[0]
    assert target["boxes"].tolist() == [[24, 96, 64, 128]]
    (_, target, _) = db.query(one).to_torch(size=(80, 96))[0]
    assert target["boxes"].tolist() == [[24, 48, 64, 64]]
    # the shorter side becomes 48, the longer 80, of which rows 16 to 64 are left
    (image, target, _) = db.query(one).to_torch(size=48)[0]
    assert image.shape == (3, 48, 48) and target["boxes"].tolist() == [[12, 32, 32, 48]]
    assert target["labels"].tolist() == [2]


def test_what_a_crop_cuts_off_is_counted(db: Database) -> None:
    with pytest.warns(BoxesLeftOutWarning, match=r"1 of 6 boxes .*size=\(32, 32\) squashes"):
        db.query("").to_torch(size=32)


def test_a_transform_of_the_picture_alone_is_refused(db: Database) -> None:
    from torchvision import transforms as v1

    for alone in (v1.RandomHorizontalFlip(1.0), v1.Compose([v1.ToTensor()]), lambda image: image):
        with pytest.raises(SliceDBError, match="takes the picture alone"):
            db.query("").to_torch(transform=alone)
    broken = db.query("").to_torch(transform=lambda image, target: image)
    with pytest.raises(SliceDBError, match=r"failed on sample '.*: TypeError: a joint transform"):
        broken[0]


def test_boxes_that_a_transform_pushes_out_are_left_out(db: Database) -> None:
    dataset = db.query("id = 'plain.jpg'").to_torch(transform=v2.CenterCrop((40, 40)))
    _, target, _ = dataset[0]
    assert target["boxes"].tolist() == [[0, 4, 8, 20], [32, 20, 40, 40]]
    assert len(target["labels"]) == 2
    dataset = db.query("id = 'plain.jpg'").to_torch(transform=v2.CenterCrop((10, 10)))
    assert dataset[0][1]["boxes"].shape == (0, 4)


@pytest.mark.filterwarnings("ignore::slicedb.training.BoxesLeftOutWarning")
def test_batches_are_lists_with_ids_whatever_loads_them(db: Database) -> None:
    dataset = db.query("ORDER BY id").to_torch(size=48)
    ours = list(dataset.loader(batch_size=3, shuffle=False))
    torchs = list(torch.utils.data.DataLoader(dataset, batch_size=3, collate_fn=collate))
    threads = list(dataset.loader(batch_size=3, shuffle=False, num_workers=2))
    for batches in (ours, torchs, threads):
        assert [ids for *_, ids in batches] == [
            ["empty.jpg", "mirrored.jpg", "plain.jpg"],
            ["turned.jpg", "upside.jpg"],
        ]
        images, targets, _ = batches[0]
        assert isinstance(images, list) and images[0].shape == (3, 48, 48)
        assert targets[0]["boxes"].shape == (0, 4) and targets[0]["labels"].shape == (0,)
        for one, other in zip(targets, ours[0][1]):
            assert torch.equal(one["boxes"], other["boxes"])


def test_other_columns_stand_beside_the_boxes(db: Database) -> None:
    dataset = db.query("ORDER BY id").to_torch(columns=["width", "objects"])
    images, widths, targets, ids = next(iter(dataset.loader(batch_size=5, shuffle=False)))
    assert widths.tolist() == [64, 88, 120, 96, 128]
    assert [len(t["boxes"]) for t in targets] == [0, 2, 2, 1, 1] and len(images) == len(ids) == 5
    assert db.query("").to_torch(columns=["objects"], dtype="uint8")[0][0].dtype == torch.uint8


def test_samples_that_were_never_annotated_and_other_classes_are_named(tmp_path: Path) -> None:
    folder = fakes_blocks.write(tmp_path / "photos")
    db = slicedb.open(tmp_path / "null.slicedb")
    db.ingest(folder)
    with pytest.raises(ClassesError, match="'sun', which is none of the 1 class, as have 3"):
        db.query("").to_torch(classes=["snow"])
    (tmp_path / "more").mkdir()
    fakes_blocks.picture((20, 20), []).save(tmp_path / "more" / "new.jpg")
    db.ingest(tmp_path / "more", prefix="more/")
    with pytest.raises(ClassesError, match=r"'more/new.jpg' was never annotated, as 1 of 6"):
        db.query("").to_torch()
    assert len(db.query("objects IS NOT NULL").to_torch()) == 5


def test_crowds_and_boxes_without_area_are_left_out_and_counted(tmp_path: Path) -> None:
    folder = fakes_blocks.write(tmp_path / "photos")
    file = folder / "_annotations.coco.json"
    data = json.loads(file.read_text())
    data["annotations"][0]["iscrowd"] = 1
    file.write_text(json.dumps(data))
    db = slicedb.open(tmp_path / "crowd.slicedb")
    db.ingest(folder)
    with pytest.warns(BoxesLeftOutWarning, match="1 crowd and 0 boxes without area"):
        dataset = db.query("id = 'plain.jpg'").to_torch()
    assert dataset[0][1]["boxes"].tolist() == [[72, 40, 96, 64]]


# --- torchvision ----------------------------------------------------------------------------------


def small_rcnn(
    n_classes: int = 3, size: tuple[int, int] = (64, 128), width: int = 16
) -> torch.nn.Module:
    """Return a Faster R-CNN of three layers.

    Args:
        n_classes: with the background.
        size: pixels that the shorter side becomes, and at most of the longer one.
        width: channels.
    """
    from torchvision.models.detection.faster_rcnn import FasterRCNN, FastRCNNPredictor
    from torchvision.models.detection.rpn import AnchorGenerator
    from torchvision.ops import MultiScaleRoIAlign

    torch.manual_seed(0)
    layers: list[torch.nn.Module] = []
    for before, after in ((3, width), (width, width), (width, width)):
        layers += [torch.nn.Conv2d(before, after, 3, stride=2, padding=1), torch.nn.ReLU()]
    backbone = torch.nn.Sequential(*layers)
    backbone.out_channels = width  # type: ignore[assignment]
    head = (torch.nn.Flatten(), torch.nn.Linear(width * 9, 2 * width), torch.nn.ReLU())
    return FasterRCNN(
        backbone,
        rpn_anchor_generator=AnchorGenerator(((16, 32, 64),), ((0.5, 1.0, 2.0),)),
        box_roi_pool=MultiScaleRoIAlign(["0"], 3, 2),
        min_size=size[0],
        max_size=size[1],
        box_head=torch.nn.Sequential(*head),
        box_predictor=FastRCNNPredictor(2 * width, n_classes),
    )


def test_a_faster_rcnn_trains_an_epoch_and_its_loss_is_logged_by_id(db: Database) -> None:
    net = small_rcnn()
    dataset = db.query("ORDER BY id").to_torch(transform=v2.RandomHorizontalFlip(0.5))
    with dataset.loader(batch_size=2) as loader:
        before, after = train(net, loader)
    assert after < before and np.isfinite(after)
    plain = db.query("ORDER BY id").to_torch().loader(batch_size=2, shuffle=False)
    losses = detection_losses(net, plain, prefix="rcnn_")
    assert (
        losses.column_names[:2] == ["id", "rcnn_loss"]
        and "rcnn_loss_classifier" in losses.schema.names
    )
    assert losses["id"].to_pylist() == sorted(BLOCKS)
    assert losses.equals(detection_losses(net, plain, prefix="rcnn_"))
    db.attach(losses)
    worst = db.query("ORDER BY rcnn_loss DESC LIMIT 1").ids()
    assert worst == [losses["id"].to_pylist()[int(np.argmax(losses["rcnn_loss"].to_numpy()))]]


@pytest.mark.slow
def test_two_worker_processes_train_it_too(db: Database, tmp_path: Path) -> None:
    if os.name == "nt":
        pytest.skip("spawned workers import this file by its name")
    dataset = db.query("ORDER BY id").to_torch(transform=v2.RandomHorizontalFlip(1.0))
    with dataset.loader(batch_size=2, num_workers=2, workers="spawn", seed=3) as loader:
        for images, targets, _ in loader:
            for image, target in zip(images, targets):
                check_places(image, target)
        before, after = train(small_rcnn(), loader)
    assert after < before


def train(net: torch.nn.Module, loader: Any, epochs: int = 6) -> tuple[float, float]:
    """Return the mean loss of the first and of the last epoch."""
    steps = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    net.train()
    means = []
    for _ in range(epochs):
        seen = []
        for images, targets, _ in loader:
            loss = sum(net(images, targets).values())
            steps.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            steps.step()
            seen.append(float(loss.detach()))
        means.append(float(np.mean(seen)))
    return means[0], means[-1]


def test_boxes_are_given_to_a_transform_as_tv_tensors(db: Database) -> None:
    seen: list[Any] = []

    def look(image: Any, target: Any) -> Any:
        seen.append((image.mode, image.size, type(target["boxes"]), target["boxes"].canvas_size))
        return image, target

    db.query("id = 'turned.jpg'").to_torch(transform=look)[0]
    assert seen == [("RGB", (96, 160), tv_tensors.BoundingBoxes, (160, 96))]
