"""What a person has at the start of a journey, drawn small: `python fakes_journeys.py 2 FOLDER`."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SPECIAL = {"indian_dessert": "Dessert", "cakes": "Dessert"}


def food() -> None:
    """Food-11's three folders, a model, two special sets, templates, and the bounds as files."""
    from slicedb.demo import scenes

    parts = ("training", "validation", "evaluation", "evaluation")
    for seed in range(150):
        scene = scenes.attributes(seed)
        if "/" not in scene["label"]:  # cannot be a folder
            place = Path("food-11", parts[seed % 4], scene["label"])
            place.mkdir(parents=True, exist_ok=True)
            scenes.render(seed)[0].save(place / f"{seed}.jpg", quality=90)
    rows = []
    for seed in range(1000, 1400):
        scene = scenes.attributes(seed)
        if scene["label"] == "Dessert":
            name = "indian_dessert" if scene["cuisine"] == "Indian" else "cakes"
            if sum(row[2] == name for row in rows) < 12:
                Path("special").mkdir(exist_ok=True)
                scenes.render(seed)[0].save(f"special/{seed}.jpg", quality=90)
                rows.append((f"special/{seed}.jpg", "Dessert", name))
    _table("special.csv", ("path", "label", "special"), rows)
    code = "from slicedb.demo.classifiers import food_v2\n\n\ndef build():\n    return food_v2()\n"
    Path("model.py").write_text(code, encoding="utf-8")
    _templates()
    Path("queries").mkdir()
    _slice("whole", "split = 'evaluation'", "accuracy > 50%", "recall per class > 20%")
    _slice("templates", "template IS NOT NULL", "accuracy >= 30%")
    for name in SPECIAL:
        _slice(name, f"special = '{name}'", "accuracy > 5%")


def _templates() -> None:
    from slicedb.demo import scenes

    for seed in range(200):
        picture, scene = scenes.render(seed)
        place = Path("templates", "food", scene["label"])
        if scene["label"] in ("Dessert", "Soup"):
            place.mkdir(parents=True, exist_ok=True)
            if len(list(place.iterdir())) < 3:
                mask = Image.new("L", picture.size)
                ImageDraw.Draw(mask).ellipse((14, 14, 82, 82), fill=255)
                picture.putalpha(mask)
                picture.save(place / f"{seed}.png")
    for folder in ("background", "extras"):
        Path("templates", folder).mkdir()
    Image.new("RGB", (96, 96), "white").save("templates/background/white.png")
    Image.new("RGB", (96, 96), "saddlebrown").save("templates/background/table.png")
    Image.new("RGBA", (10, 60), "silver").save("templates/extras/knife.png")


def lemons() -> None:
    """Several pictures per fruit over time, probabilities, a person's answers, bounds as files."""
    rng = np.random.default_rng(0)
    Path("lemons").mkdir()
    rows, predictions = [], []
    for i in range(300):
        mould = i // 3 % 5 == 0 and i % 3 > 0
        picture = Image.new("RGB", (32, 32), "ivory")
        draw = ImageDraw.Draw(picture)
        draw.ellipse((4, 6, 28, 26), fill="gold")
        if mould:
            draw.ellipse((12, 10, 20, 18), fill="olivedrab")
        draw.point((i % 32, i // 32), fill="black")
        picture.save(f"lemons/{i:03d}.png")
        p = 1 / (1 + np.exp(-rng.normal(2.0 if mould else -2.5, 1.5)))
        person = mould if rng.random() < 0.95 else not mould
        label, answer = ("mould" if yes else "fine" for yes in (mould, person))
        rows.append((f"{i:03d}.png", label, i // 3, f"2026-10-{1 + i % 28:02d}", answer))
        predictions.append((f"{i:03d}.png", round(1 - p, 6), round(p, 6)))
    _table("lemons/table.csv", ("path", "label", "fruit_id", "taken_at", "person"), rows)
    _table("v1.csv", ("id", "fine", "mould"), predictions)
    Path("queries").mkdir()
    part = "md5_number_lower(fruit_id::VARCHAR) % 5"
    floor = "recall of mould >= 40%", "precision of mould >= 40%", "f1 of mould >= 40%"
    _slice("validation", f"{part} = 1", "log_loss <= 0.5", *floor)
    Path("final").mkdir()
    _slice("held_out", f"{part} = 0", "accuracy >= 80%", "recall of mould >= 40%", folder="final")


def numbers() -> None:
    """Pictures of digits with their boxes, as COCO says them."""
    rng = np.random.default_rng(0)
    images, notes = [], []
    Path("numbers").mkdir()
    for i in range(12):
        picture = Image.new("RGB", (96, 64), tuple(rng.integers(60, 200, 3).tolist()))
        draw, x = ImageDraw.Draw(picture), int(rng.integers(4, 20))
        for digit in rng.integers(0, 3, rng.integers(1, 3)).tolist():
            font = ImageFont.load_default(int(rng.integers(26, 40)))
            left, top, right, bottom = draw.textbbox((x, 8), str(digit), font=font)
            draw.text((x, 8), str(digit), font=font, fill="white")
            box = [left, top, right - left, bottom - top]
            notes.append({"id": len(notes), "image_id": i, "category_id": digit, "bbox": box})
            x = int(right) + 6
        picture.save(f"numbers/{i:02d}.png")
        images.append({"id": i, "file_name": f"{i:02d}.png", "width": 96, "height": 64})
    categories = [{"id": d, "name": str(d)} for d in range(3)]
    coco = {"images": images, "annotations": notes, "categories": categories}
    Path("numbers/_annotations.coco.json").write_text(json.dumps(coco), encoding="utf-8")


def street() -> None:
    """A folder that keeps filling (`arrive` adds a week), and a registered model."""
    import slicedb

    arrive(1, 60)
    code = "from slicedb.demo.classifiers import food_v1\n\n\ndef build():\n    return food_v1()\n"
    Path("light.py").write_text(code, encoding="utf-8")
    slicedb.open().models.add("light", "light.py:build")


def arrive(week: int, n: int) -> None:
    """Put n more pictures into the bucket."""
    from slicedb.demo import scenes

    for seed in range(1000 * week, 1000 * week + n):
        picture, scene = scenes.render(seed)
        place = Path("bucket", scenes.folder_of(scene["label"]))
        place.mkdir(parents=True, exist_ok=True)
        picture.save(place / f"{seed}.jpg", quality=90)


def bears() -> None:
    """Folders by class, with broken files and a stray one, and a photo to try."""
    rng = np.random.default_rng(0)
    coats = {"black": (40, 40, 45), "grizzly": (120, 80, 50), "teddy": (210, 170, 120)}
    for name, coat in coats.items():
        Path("bears", name).mkdir(parents=True)
        for i in range(16):
            pixels = rng.normal((90, 140, 80), 30, (48, 48, 3))
            shape = np.hypot(*(np.mgrid[:48, :48] - rng.integers(18, 30, (2, 1, 1)))) < 14
            pixels[shape] = rng.normal(coat, 25, (shape.sum(), 3))
            Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(f"bears/{name}/{i:02d}.jpg")
    Path("bears/teddy/broken.jpg").write_bytes(Path("bears/teddy/00.jpg").read_bytes()[:400])
    Path("bears/black/page.jpg").write_text("<html>not found</html>", encoding="utf-8")
    Path("bears/black/07.jpg").rename("bears/teddy/stray.jpg")
    Path("photo.jpg").write_bytes(Path("bears/grizzly/03.jpg").read_bytes())


NEEDS: tuple[Callable[[], None], ...] = (food, lemons, numbers, street, bears)


def _table(file: str, head: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    with Path(file).open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([head, *rows])


def _slice(name: str, text: str, *expect: str, folder: str = "queries") -> None:
    lines = "\n".join(f"  - {check}" for check in expect)
    Path(folder, f"{name}.sql").write_text(
        f"/*\nslice: {name}\nexpect:\n{lines}\n*/\n{text}\n", encoding="utf-8"
    )


if __name__ == "__main__":
    os.makedirs(sys.argv[2], exist_ok=True)
    os.chdir(sys.argv[2])
    NEEDS[int(sys.argv[1]) - 1]()
