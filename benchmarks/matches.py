"""Precision and recall of `matches` with the bundled tiny CLIP and no labels at all.

    python benchmarks/matches.py --cifar ../shared/data/cifar10-train.parquet

The database holds every 20th row of CIFAR-10's training set from the tenth on (held out when the
model was trained, and not among the rows that the cut was chosen on) and 2,000 scenes nothing was
trained or tuned on. About half of the texts are among those the cut was chosen with.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import slicedb
from slicedb.demo.scenes import write

SEED = 6_000_000
CIFAR = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
TEXTS = {f"a photo of a {name}": f"label = '{name}'" for name in CIFAR} | {
    "a dessert from Indian cuisine": "label = 'Dessert' AND cuisine = 'Indian'",
    "food at night": "light = 'night'",
    "a meal on a marble table": "table_top = 'marble'",
    "Japanese food": "cuisine = 'Japanese'",
    "a bowl of soup": "label = 'Soup'",
    "noodles": "label = 'Noodles/Pasta'",
    "a plate of sushi": "dish = 'sushi'",
    "chopsticks": "cutlery = 'chopsticks'",
    "a blurry photo": "blurry",
    "a menu on the table": "extra = 'menu'",
    "an animal": "label IN ('bird', 'cat', 'deer', 'dog', 'frog', 'horse')",
    "a vehicle": "label IN ('airplane', 'automobile', 'ship', 'truck')",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cifar", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        db = slicedb.open(root / "data.slicedb")
        rows = pq.read_table(options.cifar)
        rows = rows.take(pa.array(range(10, len(rows), 20)))
        pq.write_table(rows, root / "photos.parquet")
        db.ingest(root / "photos.parquet")
        db.ingest(write(root / "scenes", 2000, SEED))
        db.embed()
        print(
            f"{db.query().count():,} samples\n{'text':34}{'truth':>6}{'found':>7}"
            f"{'precision':>11}{'recall':>8}"
        )
        groups: dict[str, list[tuple[float, float]]] = {"photos": [], "scenes": []}
        for text, truth in TEXTS.items():
            found = set(db.query(f"matches('{text}')").ids())
            right = set(db.query(truth).ids())
            both = len(found & right)
            precision, recall = both / max(len(found), 1), both / len(right)
            print(f"{text:34}{len(right):6}{len(found):7}{precision:11.2f}{recall:8.2f}")
            groups["photos" if "label" in truth and "a photo" in text else "scenes"].append(
                (precision, recall)
            )
        for name, pairs in groups.items():
            p, r = (sum(column) / len(pairs) for column in zip(*pairs))
            print(f"mean over {name}: precision {p:.2f}, recall {r:.2f}")


if __name__ == "__main__":
    main()
