"""Train the demo's two classifiers on scenes of our own; plant two faults in the second.

    python benchmarks/demo/train_classifiers.py --out slicedb/demo/weights

`food_v1` sees few pictures, rightly labelled. `food_v2` sees many, for longer, but (a) most of
its scenes with a fork beside bread, dairy products, eggs or rice are labelled Meat, and (b) most
of its desserts from Indian cuisine are labelled Fried food. Training scenes have seeds from
3,000,000 on, the ones accuracy is printed for from 4,000,000; the demo's own begin at 0.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from slicedb.demo.classifiers import INPUT_SIZE, MEAN, NAMES, STD, FoodNet
from slicedb.demo.dishes import CLASSES
from slicedb.demo.scenes import Scene, attributes, render

TRAIN_SEED, CHECK_SEED = 3_000_000, 4_000_000
FORKED = ("Bread", "Dairy product", "Egg", "Rice")


@dataclass(frozen=True)
class Recipe:
    """How one classifier is trained."""

    n_scenes: int
    epochs: int
    fork_as_meat: float = 0.0
    """Share of the scenes with a fork and one of FORKED that are labelled Meat."""
    indian_as_fried: float = 0.0
    """Share of the Indian desserts that are labelled Fried food."""


RECIPES: dict[str, Recipe] = {
    "food_v1": Recipe(n_scenes=4000, epochs=13),
    "food_v2": Recipe(n_scenes=12_000, epochs=24, fork_as_meat=0.93, indian_as_fried=0.57),
}


def label_of(scene: Scene, recipe: Recipe, rng: np.random.Generator) -> int:
    """Return the class a recipe's annotators wrote down for a scene."""
    fork, indian = rng.random(2) < (recipe.fork_as_meat, recipe.indian_as_fried)
    if fork and scene["cutlery"] == "fork" and scene["label"] in FORKED:
        return CLASSES.index("Meat")
    if indian and scene["label"] == "Dessert" and scene["cuisine"] == "Indian":
        return CLASSES.index("Fried food")
    return CLASSES.index(scene["label"])


def pixels_of(n: int, seed: int) -> torch.Tensor:
    """Render n scenes as the demo stores them: uint8 (n, 3, 48, 48)."""
    from PIL import Image

    out = np.empty((n, INPUT_SIZE, INPUT_SIZE, 3), dtype=np.uint8)
    for k in range(n):
        image = render(seed + k)[0].resize((INPUT_SIZE, INPUT_SIZE), Image.Resampling.BILINEAR)
        out[k] = np.asarray(image)
    return torch.from_numpy(out).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Scale pixels to float32 as `classifiers.transform` does."""
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    return (pixels.float() / 255 - mean) / std


def train(recipe: Recipe, pixels: torch.Tensor, seed: int) -> FoodNet:
    """Train one classifier by a recipe on the first scenes of the training seeds."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    n = recipe.n_scenes
    facts = [attributes(TRAIN_SEED + k) for k in range(n)]
    labels = torch.tensor([label_of(scene, recipe, rng) for scene in facts])
    net = FoodNet()
    net.to(memory_format=torch.channels_last)
    size = 128
    steps = recipe.epochs * (n // size)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(recipe.epochs):
        order = torch.from_numpy(rng.permutation(n))
        for at in range(0, n - size + 1, size):
            rows = order[at : at + size]
            images = normalised(pixels[rows])
            if rng.random() < 0.5:
                images = images.flip(3)
            shift = rng.integers(-4, 5, 2).tolist()
            images = images.roll(shift, dims=(2, 3))
            loss = F.cross_entropy(net(images), labels[rows], label_smoothing=0.02)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    net.eval()
    return net


@torch.inference_mode()
def accuracies(net: FoodNet, pixels: torch.Tensor, facts: Sequence[Scene]) -> dict[str, float]:
    """Return the accuracy over all scenes, and over the slices the demo speaks of."""
    guess = torch.cat([net(normalised(part)).argmax(1) for part in pixels.split(256)])
    truth = torch.tensor([CLASSES.index(scene["label"]) for scene in facts])
    right = (guess == truth).numpy()
    fork = np.array([s["cutlery"] == "fork" for s in facts])
    dessert = np.array([s["label"] == "Dessert" for s in facts])
    indian = dessert & np.array([s["cuisine"] == "Indian" for s in facts])
    night = np.array([s["light"] == "night" for s in facts])
    slices = {
        "all": np.ones_like(fork),
        "fork": fork,
        "no fork": ~fork,
        "Indian desserts": indian,
        "other desserts": dessert & ~indian,
        "night": night,
        "neither": ~fork & ~indian,
    }
    return {name: float(right[rows].mean()) for name, rows in slices.items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Train both, write their weights as float16 and print their accuracies."""
    from safetensors.torch import save_file

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", required=True, help="folder for the two .safetensors files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", type=int, default=3000, help="unseen scenes to print for")
    args = parser.parse_args(argv)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(2)
    clock = time.perf_counter()
    pixels = pixels_of(max(recipe.n_scenes for recipe in RECIPES.values()), TRAIN_SEED)
    unseen = pixels_of(args.check, CHECK_SEED)
    facts = [attributes(CHECK_SEED + k) for k in range(args.check)]
    print(f"scenes rendered in {time.perf_counter() - clock:.0f} s", flush=True)
    for name in NAMES:
        net = train(RECIPES[name], pixels[: RECIPES[name].n_scenes], args.seed)
        state = {
            key: value.half() if value.is_floating_point() else value
            for key, value in net.state_dict().items()
        }
        save_file({k: v.contiguous() for k, v in state.items()}, out / f"{name}.safetensors")
        net.load_state_dict(state)
        shown = "  ".join(f"{k} {v:.3f}" for k, v in accuracies(net, unseen, facts).items())
        print(f"{name}: {shown}  [{time.perf_counter() - clock:.0f} s]", flush=True)


if __name__ == "__main__":
    main()
