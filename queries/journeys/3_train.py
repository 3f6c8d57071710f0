"""Train a small Faster R-CNN on a branch, and write the loss of every training picture back."""

from pathlib import Path

import torch
from safetensors.torch import save_model
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn
from torchvision.transforms import v2

import slicedb

DIGITS = ["0", "1", "2"]


def build() -> slicedb.models.TorchDetector:
    """Return the detector, for training and for `slicedb predict`."""
    torch.manual_seed(0)
    sizes = {"min_size": 64, "max_size": 128}
    net = fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=4, **sizes
    )
    return slicedb.models.TorchDetector(net, classes=DIGITS)


def main() -> None:
    """Ingest, branch, train, and commit the losses."""
    db = slicedb.open()
    db.ingest("numbers")
    ids = db.query("").ids()
    parts = ["val" if i % 3 == 0 else "train" for i in range(len(ids))]
    db.attach({"id": ids, "part": parts})
    db.commit("pictures and boxes", tag="clean")
    db.commits.branch("training_run")

    net = build().module.train()
    steps = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    train = db.query("part = 'train'").to_torch(
        transform=v2.RandomPhotometricDistort(), classes=DIGITS
    )
    for images, targets, _ in train.loader(batch_size=4, shuffle=True):
        loss = sum(net(images, targets).values())
        steps.zero_grad()
        loss.backward()
        steps.step()

    plain = db.query("part = 'train'").to_torch(classes=DIGITS).loader(batch_size=4)
    losses = slicedb.training.detection_losses(net, plain, prefix="rcnn_")
    db.attach(losses, partial=True)
    db.commit("trained and computed the loss")
    save_model(net, "rcnn.safetensors")
    code = Path(__file__).resolve()
    db.models.add("rcnn", f"{code}:build", weights="rcnn.safetensors")


if __name__ == "__main__":
    main()
