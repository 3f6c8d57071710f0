"""Measure the bundled tiny CLIP on photos and scenes it never saw, through open_clip alone.

    python benchmarks/tiny_clip.py --cifar cifar10-train.parquet

Photos are the rows of CIFAR-10's training file that training held out (index % 10 == 0). Scenes
are rendered from seeds that neither training nor the demo uses.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from demo.clip_captions import LABEL_WORDS
from PIL import Image

import slicedb.demo
from slicedb.demo import scenes
from slicedb.demo.captions import CUTLERY_WORDS, LIGHT_WORDS, TABLE_WORDS
from slicedb.demo.dishes import BY_NAME, CUISINES

FOLDER = Path(slicedb.demo.__file__).parent / "tiny_clip"
SEED = 2_000_000
TEMPLATES = ("a photo of a {}", "a picture of a {}", "a blurry photo of a {}", "{}")
CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

Query = tuple[str, dict[str, Any]]
"""A text, and the attributes a scene must have to be a right answer."""


def load(folder: Path = FOLDER) -> tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]:
    """Return the image and the text encoder: lists in, float32 (n, d) of unit length out."""
    import open_clip
    import torch
    from open_clip.tokenizer import SimpleTokenizer

    open_clip.add_model_config(folder / "slicedb-tiny.json")
    model, _, preprocess = open_clip.create_model_and_transforms(
        "slicedb-tiny", pretrained=str(folder / "slicedb-tiny.safetensors")
    )
    model.eval()
    length = open_clip.get_model_config("slicedb-tiny")["text_cfg"]["context_length"]
    tokens = SimpleTokenizer(bpe_path=str(folder / "merges.txt.gz"), context_length=length)

    @torch.inference_mode()
    def images(batch: Sequence[Image.Image]) -> np.ndarray:
        parts = [
            model.encode_image(torch.stack([preprocess(i) for i in batch[k : k + 256]]), True)
            for k in range(0, len(batch), 256)
        ]
        return np.asarray(torch.cat(parts).numpy())

    @torch.inference_mode()
    def texts(batch: Sequence[str]) -> np.ndarray:
        return np.asarray(model.encode_text(tokens(list(batch)), True).numpy())

    return images, texts


def held_out(path: str) -> tuple[list[Image.Image], np.ndarray]:
    """Decode the held-out rows: pictures, and labels as a string array."""
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["label", "image"])
    table = table.take(np.arange(0, len(table), 10))
    pictures = [Image.open(BytesIO(data)).convert("RGB") for data in table["image"].to_pylist()]
    return pictures, np.array(table["label"].to_pylist())


def precision(scores: np.ndarray, right: np.ndarray, k: int) -> float:
    """Return the share of right answers among the k best scores; both arrays are (n,)."""
    return float(right[np.argsort(-scores, kind="stable")[:k]].mean())


def queries() -> Iterator[tuple[str, Query]]:
    """Yield two- and three-attribute queries with the family they belong to."""
    tables, lights = scenes.TABLES, scenes.LIGHTS
    tools = [tool for tool in scenes.CUTLERY if tool != "none"]
    for dish in BY_NAME.values():
        words = dish.words[0]
        for table in tables:
            yield (
                "dish x table",
                (f"{words} {TABLE_WORDS[table][0]}", {"dish": dish.name, "table_top": table}),
            )
        for light in lights:
            yield (
                "dish x light",
                (f"{words} {LIGHT_WORDS[light][0]}", {"dish": dish.name, "light": light}),
            )
        for tool in tools:
            yield (
                "dish x cutlery",
                (f"{words} {CUTLERY_WORDS[tool][0]}", {"dish": dish.name, "cutlery": tool}),
            )
        for table, light in itertools.product(tables, lights):
            yield (
                "dish x table x light",
                (
                    f"{words} {TABLE_WORDS[table][0]} {LIGHT_WORDS[light][0]}",
                    {"dish": dish.name, "table_top": table, "light": light},
                ),
            )
    for label, table in itertools.product(scenes.CLASSES, tables):
        yield (
            "class x table",
            (
                f"{LABEL_WORDS[label][0]} {TABLE_WORDS[table][0]}",
                {"label": label, "table_top": table},
            ),
        )
    for label, light in itertools.product(scenes.CLASSES, lights):
        yield (
            "class x light",
            (f"{LABEL_WORDS[label][0]} {LIGHT_WORDS[light][0]}", {"label": label, "light": light}),
        )
    for label, cuisine in itertools.product(scenes.CLASSES, CUISINES):
        yield (
            "class x cuisine",
            (
                f"{LABEL_WORDS[label][0]} from {cuisine} cuisine",
                {"label": label, "cuisine": cuisine},
            ),
        )
    for light, tool in itertools.product(lights, tools):
        yield (
            "cutlery x light",
            (
                f"food {CUTLERY_WORDS[tool][0]} {LIGHT_WORDS[light][0]}",
                {"cutlery": tool, "light": light},
            ),
        )


PROMPTS: tuple[Query, ...] = (
    ("desserts from Indian cuisine", {"label": "Dessert", "cuisine": "Indian"}),
    ("a plate of laddu", {"dish": "laddu"}),
    ("restaurant menu", {"extra": "menu"}),
    ("a fork on the table", {"cutlery": "fork"}),
    ("a blurry photo", {"blurry": True}),
    ("food at night", {"light": "night"}),
    ("chopsticks", {"cutlery": "chopsticks"}),
    ("Japanese food", {"cuisine": "Japanese"}),
    (
        "a doughnut on a wooden table at night",
        {"dish": "doughnut", "table_top": "wooden", "light": "night"},
    ),
)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cifar", help="cifar10-train.parquet; left out, only scenes are measured")
    parser.add_argument("--scenes", type=int, default=8000)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    args = parser.parse_args()
    see, read = load(args.folder)
    size = sum(file.stat().st_size for file in args.folder.iterdir() if file.is_file())
    print(f"tiny CLIP: {size / 1e6:.2f} MB in all")
    if args.cifar:
        photos(args.cifar, see, read)
    rendered(args.scenes, see, read)


def photos(path: str, see: Callable[..., np.ndarray], read: Callable[..., np.ndarray]) -> None:
    """Print zero-shot accuracy and retrieval on the held-out photos."""
    pictures, labels = held_out(path)
    clock = time.perf_counter()
    vectors = see(pictures)
    print(f"{len(pictures)} held-out photos, {len(pictures) / (time.perf_counter() - clock):.0f}/s")
    prompts = np.stack([read([t.format(name) for t in TEMPLATES]).mean(axis=0) for name in CIFAR])
    guess = np.array(CIFAR)[(vectors @ prompts.T).argmax(axis=1)]  # (n, d) @ (d, 10) -> (n, 10)
    print(f"  zero-shot top-1, ensemble of {len(TEMPLATES)}: {(guess == labels).mean():.4f}")
    single = read([f"a photo of a {name}" for name in CIFAR])
    guess = np.array(CIFAR)[(vectors @ single.T).argmax(axis=1)]
    print(f"  zero-shot top-1, 'a photo of a ...': {(guess == labels).mean():.4f}")
    values = [precision(vectors @ v, labels == name, 100) for name, v in zip(CIFAR, single)]
    print("  precision@100: " + "  ".join(f"{n} {v:.2f}" for n, v in zip(CIFAR, values)))
    print(f"  mean precision@100: {np.mean(values):.4f}")


def rendered(n: int, see: Callable[..., np.ndarray], read: Callable[..., np.ndarray]) -> None:
    """Print retrieval of scenes by two and three attributes."""
    pictures, facts = zip(*scenes.scenes(n, SEED))
    vectors = see(pictures)
    print(f"{n} unseen scenes; precision at min(50, the right answers there are)")

    def right(want: dict[str, Any]) -> np.ndarray:
        return np.array([all(s[key] == value for key, value in want.items()) for s in facts])

    found: dict[str, list[float]] = {}
    enough: list[float] = []
    pairs: list[float] = []
    for family, (text, want) in queries():
        answers = right(want)
        if not answers.any():
            continue
        value = precision(vectors @ read([text])[0], answers, min(50, int(answers.sum())))
        found.setdefault(family, []).append(value)
        if len(want) == 2:
            pairs.append(value)
        if answers.sum() >= 50 and len(want) == 2:
            enough.append(value)
    for family, values in found.items():
        print(f"  {family:22} {np.mean(values):.3f}  worst {min(values):.2f}  ({len(values)})")
    print(
        f"  mean precision@50, two attributes, 50 answers or more: {np.mean(enough):.4f} "
        f"({len(enough)} queries)"
    )
    print(f"  the same over all {len(pairs)} two-attribute queries: {np.mean(pairs):.4f}")
    for text, want in PROMPTS:
        answers = right(want)
        k = min(50, int(answers.sum()))
        print(f"  '{text}': precision@{k} {precision(vectors @ read([text])[0], answers, k):.2f}")


if __name__ == "__main__":
    main()
