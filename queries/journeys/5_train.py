"""Train a ResNet18 on the pictures that were read, and register it under a name."""

import sys
from pathlib import Path

import torch
import torchvision
from safetensors.torch import save_model

import slicedb

COATS = ["black", "grizzly", "teddy"]


def build() -> slicedb.models.TorchClassifier:
    """Return the classifier, for training and for `slicedb predict`."""
    torch.manual_seed(0)
    net = torchvision.models.resnet18(num_classes=len(COATS))
    plain = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    return slicedb.models.TorchClassifier(net, classes=COATS, input_size=48, **plain)


def main(name: str) -> None:
    """Items, labels, splitter, transforms: a query, a column, a query again, and the loader."""
    db = slicedb.open()
    net = build().module.train()
    train, valid = db.query().split(0.25, seed=0)
    db.slices.add("valid", valid, replace=True)
    items = train.to_torch(size=48, dtype="float32", classes=COATS)
    steps = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(3):
        for images, labels, _ in items.loader(batch_size=16, shuffle=True):
            loss = torch.nn.functional.cross_entropy(net(images), labels)
            steps.zero_grad()
            loss.backward()
            steps.step()
    save_model(net, f"{name}.safetensors")
    db.models.add(name, f"{Path(__file__).resolve()}:build", weights=f"{name}.safetensors")


if __name__ == "__main__":
    main(sys.argv[1])
