"""Jobs of peers that need a Python of their own, each a program that times itself.

`peers.py --python-of lightly=PYTHON deeplake=PYTHON fiftyone=PYTHON` runs them: they pin other
versions of what SliceDB needs, or bring a server. Imports are timed as whole processes. A job that
a peer does not have is left out. None of them reports its use.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

Times = dict[str, tuple[float, float]]
"""Job -> wall-clock and processor seconds, those of children counted."""

PEERS = {"fiftyone": "FiftyOne", "lightly": "LightlyStudio", "deeplake": "Deep Lake"}
JOBS = ("import", "ingest", "query", "log", "query wrong", "evaluate")
QUIET = {"FIFTYONE_DO_NOT_TRACK": "1", "DO_NOT_TRACK": "1", "CI": "1", "POSTHOG_DISABLED": "1"}

_HEAD = """
import json, resource, statistics, sys, time
from pathlib import Path
times = {}
def clock():
    child = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter(), time.process_time() + child.ru_utime + child.ru_stime
def timed(job, call, repeat=1):
    runs = []
    for number in range(repeat):
        started = clock()
        result = call()
        runs.append([b - a for a, b in zip(started, clock())])
    times[job] = [statistics.median(column) for column in zip(*(runs[1:] or runs))]
    return result
folder, scratch = Path(sys.argv[1]), Path(sys.argv[2])
said = json.loads((scratch / "said.json").read_text())
"""
_TAIL = """
print("\\nTIMES " + json.dumps(times), flush=True)
"""

PROGRAMS = {
    "slicedb": """
import slicedb
db = slicedb.open(scratch / "apart.slicedb")
timed("ingest", lambda: db.ingest(folder, progress=False))
wide = timed("query", lambda: db.query("width > 40").ids(), 6)
table = {"id": list(said), "prediction": [label for label, _ in said.values()],
         "confidence": [sure for _, sure in said.values()]}
timed("log", lambda: db.log_predictions("m", table, classes=list("abcdefghij")))
text = "label <> m.prediction AND m.confidence > 0.9"
wrong = timed("query wrong", lambda: db.query(text).ids(), 6)
timed("evaluate", lambda: db.evaluate("m", [""], metrics=["accuracy", "f1"], record=False), 3)
print("ANSWERS", len(wide), len(wrong))
""",
    "fiftyone": """
import fiftyone as fo
from fiftyone import ViewField as F
paths = sorted(folder.rglob("*.jpg"))
def ingest():
    dataset = fo.Dataset("apart", overwrite=True)
    dataset.add_samples([
        fo.Sample(filepath=str(p), ground_truth=fo.Classification(label=p.parent.name))
        for p in paths
    ], progress=False)
    dataset.compute_metadata(progress=False)
    return dataset
dataset = timed("ingest", ingest)
wide = timed("query", lambda: dataset.match(F("metadata.width") > 40).values("filepath"), 6)
def log():
    values = [said[f"{p.parent.name}/{p.name}"] for p in paths]
    named = [fo.Classification(label=label, confidence=sure) for label, sure in values]
    dataset.set_values("m", named)
timed("log", log)
wrong = timed("query wrong", lambda: dataset.match(
    (F("m.label") != F("ground_truth.label")) & (F("m.confidence") > 0.9)).values("filepath"), 6)
def evaluate():
    results = dataset.evaluate_classifications("m", gt_field="ground_truth", progress=False)
    return results.metrics()
timed("evaluate", evaluate, 2)
print("ANSWERS", len(wide), len(wrong))
fo.delete_dataset("apart")
""",
    "lightly": """
import lightly_studio as ls
from lightly_studio.core.dataset_query.image_sample_field import ImageSampleField
ls.db_manager.connect(db_file=str(scratch / "lightly.duckdb"))
dataset = ls.ImageDataset.create("apart")
timed("ingest", lambda: dataset.add_images_from_path(str(folder), embed=False, tag_depth=1))
def query():
    return [one.file_name for one in dataset.match(ImageSampleField.width > 40)]
wide = timed("query", query, 6)
print("ANSWERS", len(wide))
""",
    "deeplake": """
import deeplake
from PIL import Image
paths = sorted(folder.rglob("*.jpg"))
def ingest():
    dataset = deeplake.create(str(scratch / "apart.deeplake"))
    for name, kind in (("id", "text"), ("label", "text"), ("width", "int64"), ("image", "bytes")):
        dataset.add_column(name, kind)
    held = [p.read_bytes() for p in paths]
    sizes = [Image.open(p).size[0] for p in paths]
    dataset.append({"id": [f"{p.parent.name}/{p.name}" for p in paths],
                    "label": [p.parent.name for p in paths], "width": sizes, "image": held})
    dataset.commit()
    return dataset
dataset = timed("ingest", ingest)
wide = timed("query", lambda: list(dataset.query("SELECT id WHERE width > 40")["id"][:]), 6)
def log():
    dataset.add_column("prediction", "text")
    dataset.add_column("confidence", "float64")
    values = [said[name] for name in dataset["id"][:]]
    dataset["prediction"][:] = [label for label, _ in values]
    dataset["confidence"][:] = [sure for _, sure in values]
    dataset.commit()
timed("log", log)
text = "SELECT id WHERE label != prediction AND confidence > 0.9"
wrong = timed("query wrong", lambda: list(dataset.query(text)["id"][:]), 6)
print("ANSWERS", len(wide), len(wrong))
""",
}
_MODULES = {"slicedb": "slicedb, duckdb, lance", "lightly": "lightly_studio"}


def draw(folder: Path, n: int) -> None:
    """Write n JPEG files of ten classes, and what a model says of them, once."""
    if (folder / "said.json").exists():
        return
    rng = np.random.default_rng(0)
    said = {}
    for i in range(n):
        label, width = "abcdefghij"[i % 10], int(rng.integers(32, 49))
        path = folder / "pictures" / label / f"{i:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (32, width, 3)).astype(np.uint8)).save(path)
        guess = label if rng.random() < 0.8 else "abcdefghij"[int(rng.integers(10))]
        said[f"{label}/{i:06d}.jpg"] = (guess, float(rng.random()))
    (folder / "said.json").write_text(json.dumps(said))


def run(peer: str, python: str, folder: Path) -> tuple[Times, list[int]]:
    """Return the times of a peer's jobs and the sizes of its answers.

    Raises:
        RuntimeError: its program fails; the last line of what it said.
    """
    environment = {**os.environ, **QUIET}
    environment = environment if peer == "slicedb" else _without_ours(environment)
    code = _HEAD + PROGRAMS[peer] + _TAIL
    command = [python, "-c", code, str(folder / "pictures"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    lines = done.stdout.splitlines()
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
    times = json.loads(next(line[6:] for line in lines if line.startswith("TIMES ")))
    answers = next(line for line in lines if line.startswith("ANSWERS")).split()[1:]
    times["import"] = _import(python, _MODULES.get(peer, peer), environment)
    return times, [int(n) for n in answers]


def _import(python: str, modules: str, environment: dict[str, str]) -> tuple[float, float]:
    """Return the times of a process that imports a peer, once its files are in memory."""
    import time

    started, before = time.perf_counter(), os.times()
    command = [python, "-c", f"import {modules}"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    after = os.times()
    cpu = after.children_user + after.children_system
    return time.perf_counter() - started, cpu - before.children_user - before.children_system


def version(peer: str, python: str) -> str:
    """Return the version of a peer in its Python; "" where it is not installed."""
    name = {"lightly": "lightly-studio"}.get(peer, peer)
    code = f"from importlib.metadata import version; print(version('{name}'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _without_ours(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name != "PYTHONPATH"}
