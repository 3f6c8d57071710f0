"""Blood cells from VOC to a verdict with a detector that is trained here: the whole path."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes_boxes import coco
from PIL import Image
from test_training_boxes import small_rcnn
from torchvision.transforms import v2

import slicedb
from slicedb.metrics.mistaken import KINDS
from slicedb.models import TorchDetector
from slicedb.schema import keys_of
from slicedb.tasks.drawing import MATCHED, MISSED, WRONG
from slicedb.training import detection_losses

pytestmark = [pytest.mark.realdata, pytest.mark.slow]


def test_a_detector_is_trained_and_looked_at(shared_data: Path, tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "cells.slicedb")
    db.ingest(shared_data / "bccd" / "BCCD")
    train = db.query("split = 'train' ORDER BY hash(id) LIMIT 40")
    flip = v2.Compose([v2.RandomHorizontalFlip(0.5), v2.Resize((120, 160))])
    dataset = train.to_torch(transform=flip)
    assert dataset.columns == ("objects",)
    assert dataset.box_classes == ("Platelets", "RBC", "WBC")
    net = small_rcnn(n_classes=4, size=(120, 160), width=32)
    losses = learn(net, dataset, epochs=14)
    assert losses[-1] < 0.8 * losses[0]

    by_id = detection_losses(net, train.to_torch(size=(120, 160)).loader(8), prefix="rcnn_")
    db.attach(by_id, partial=True)
    assert db.query("rcnn_loss IS NOT NULL").count() == 40

    detector = TorchDetector(net.eval(), classes=dataset.box_classes, confidence=0.4)
    db.models.add("rcnn", detector)
    val = db.slices.add("some", "split = 'val' ORDER BY hash(id) LIMIT 30")
    report = db.predict("rcnn", on="some")
    assert (report.predicted, report.failed) == (30, 0)

    shown = db.evaluate("rcnn", slices="some", metrics=["map", "ap50", "recall"], per_class=True)
    ids = sorted(val.ids())
    rows = {
        table: db.store.take(table, keys_of(ids), ["objects"])["objects"].to_pylist()
        for table in ("samples", "predictions__rcnn")
    }
    plain = {t: [[{**b, "attributes": None} for b in row] for row in of] for t, of in rows.items()}
    judge = coco(plain["predictions__rcnn"], plain["samples"], dataset.box_classes)
    table = shown.to_arrow().to_pylist()
    value = {(r["metric"], r["of"]): r["value"] for r in table}
    assert value["map", None] == pytest.approx(judge.stats_as_dict["AP_all"], abs=1e-9)
    print("AP50", value["ap50", None])
    assert value["ap50", None] > 0.1, "it learnt something"

    mistakes = db.errors("rcnn", on="some")
    assert [f.name for f in mistakes.findings] == list(KINDS)
    for finding in mistakes.findings:
        assert len(db.sql(finding.boxes)) == finding.n
        assert db.query(finding.query).count() == finding.images
    assert mistakes.n_errors > 10

    page = mistakes._repr_html_()
    found = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    assert len(found) == 20
    pictures = [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in found]
    worst = max(drawn(pictures[0], MISSED), drawn(pictures[0], WRONG))
    assert worst > 20, "the worst picture shows what was missed, or is wrong"
    # which picture has a matched box depends on the training
    assert any(drawn(picture, MATCHED, within=60) for picture in pictures)


def drawn(picture: np.ndarray, color: tuple[int, int, int], within: int = 40) -> int:
    """Return how many pixels have about a colour."""
    return int((np.abs(picture.astype(int) - color).max(axis=-1) < within).sum())


def learn(net: torch.nn.Module, dataset: slicedb.training.SliceDataset, epochs: int) -> list[float]:
    """Return the mean loss of each epoch."""
    steps = torch.optim.Adam(net.parameters(), lr=2e-3)
    net.train()
    means = []
    with dataset.loader(batch_size=4) as loader:
        for _ in range(epochs):
            seen = []
            for images, targets, _ in loader:
                loss = sum(net(images, targets).values())
                steps.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
                steps.step()
                seen.append(float(loss.detach()))
            means.append(float(np.mean(seen)))
    return means
