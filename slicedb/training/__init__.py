"""Slices in training code: datasets, loaders, samplers, and predictions logged each epoch.

    dataset = to_torch(db.store, db.slices.get("night"), transform=transform)
    for images, labels, ids in dataset.loader(batch_size=256, seed=7):
        ...

Where samples have boxes, a batch is what torchvision's detectors are trained with:

    dataset = to_torch(db.store, db.slices.get("train"), transform=v2.RandomHorizontalFlip())
    for images, targets, ids in dataset.loader(batch_size=4):
        losses = net(images, targets)

Threads decode; worker processes are spawned or come from a fork server, never forked, since Lance
does not survive a fork.
"""

from slicedb.training.batch import collate
from slicedb.training.dataset import SliceDataset, to_torch
from slicedb.training.epoch_names import epoch_name, epochs_of
from slicedb.training.epochs import EpochLog, EpochLogger
from slicedb.training.forgetting import forgetting
from slicedb.training.lightning import lightning_callback
from slicedb.training.loader import Loader
from slicedb.training.losses import detection_losses
from slicedb.training.sampling import WeightedSampler, class_balanced, slice_weighted
from slicedb.training.targets import BoxesLeftOutWarning

__all__ = [
    "BoxesLeftOutWarning",
    "EpochLog",
    "EpochLogger",
    "Loader",
    "SliceDataset",
    "WeightedSampler",
    "class_balanced",
    "collate",
    "detection_losses",
    "epoch_name",
    "epochs_of",
    "forgetting",
    "lightning_callback",
    "slice_weighted",
    "to_torch",
]
