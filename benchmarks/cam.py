"""Grad-cam maps a second, against the `grad-cam` package on the same layer.

    python benchmarks/cam.py [--images 16] [--repeat 3] [--nets resnet18 vit_tiny_patch16_224]

Random weights: the work does not depend on them. Both take one batch of tensors (n, 3, 224, 224);
the two run in turn, and the best of the repeats counts. The largest difference is shown too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import timm
import torch
from pytorch_grad_cam import GradCAM

from slicedb.cam import GradCam

NETS = ("mobilenetv2_100", "resnet18", "resnet50", "vit_tiny_patch16_224")


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--nets", nargs="*", default=NETS)
    args = parser.parse_args()
    torch.manual_seed(0)
    images = torch.randn(args.images, 3, 224, 224)
    print(f"{'network':26s} {'layer':18s} {'ours /s':>9s} {'package /s':>11s} {'ratio':>6s}  error")
    for name in args.nets:
        net = timm.create_model(name).eval()
        explain = GradCam(net)
        reshape = None if explain.layer.layout == "channels first" else explain.layer.to_maps
        package = GradCAM(net, [explain.layer.module], reshape)
        ours: list[float] = []
        theirs: list[float] = []
        explain(images[:1]), package(images[:1], None)
        for _ in range(args.repeat):
            spent, cams = seconds(lambda: explain(images).enlarge((224, 224)))  # noqa: B023
            ours.append(spent / args.images)
            spent, reference = seconds(lambda: package(images, None))  # noqa: B023
            theirs.append(spent / args.images)
        error = float(np.abs(cams - reference).max())
        print(
            f"{name:26s} {explain.layer.name:18s} {1 / min(ours):9.1f} {1 / min(theirs):11.1f} "
            f"{min(theirs) / min(ours):6.2f}  {error:.0e}",
            flush=True,
        )


if __name__ == "__main__":
    main()
