"""A small database with some of everything, and every verb that changes one."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import torch
from fakes_models import MeanColour, png

import slicedb
from slicedb.database import Database
from slicedb.errors import SliceDBError
from slicedb.models import Model, TorchClassifier

CLASSES = ("red", "green", "blue")
COLOURS = {"red": (230, 20, 10), "green": (10, 220, 30), "blue": (20, 10, 240)}
NAMED = [f"{colour}/{i}.png" for colour in CLASSES for i in range(3)]


class ColourEncoder(MeanColour):
    """Vectors are the mean colours, of unit length."""

    name, dim, logit_scale, note = "colours", 3, 10.0, ""

    def __init__(self, version: str = "1") -> None:
        super().__init__(1.0)
        self.fingerprint = {"model": "colours", "dim": 3, "weights": version}  # type: ignore[assignment]

    def predict_batch(self, images: Any) -> Any:
        means = images.mean((2, 3)) + 1e-3
        return means / means.norm(dim=1, keepdim=True)


class Narrow(torch.nn.Module):
    """Gives the mean colours as logits, behind one layer that grad-cam can look at."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.Conv2d(3, 3, 3, padding=1)
        with torch.no_grad():
            self.features.weight.fill_(0.1)
            self.features.bias.zero_()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.features(images).mean((2, 3))


def narrow() -> Model:
    return TorchClassifier(Narrow(), classes=CLASSES, input_size=8)


def sources(root: Path) -> Path:
    """Write what the verbs read: pictures, some of them changed, tables, slice files."""
    for folder, shift in (("pictures", 0), ("later", 9)):
        for i, name in enumerate(NAMED):
            file = root / folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            red, green, blue = COLOURS[name.split("/")[0]]
            colour = (red, green, blue + (i if i % 3 else i + shift))
            file.write_bytes(png(colour, (10 + i, 9)))
    (root / "later" / "blue" / "2.png").unlink()
    (root / "later" / "blue" / "9.png").write_bytes(png((1, 2, 250)))
    (root / "later" / "blue" / "broken.png").write_bytes(png((1, 2, 250))[:40])
    with (root / "columns.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "weather", "label"])
        rows.writerows([name, f"w{i % 2}", CLASSES[i % 3]] for i, name in enumerate(NAMED))
    (root / "slices").mkdir()
    for colour in ("red", "blue"):
        text = f"/*\nslice: {colour}s\nexpect: accuracy >= 0.1\n*/\nlabel = '{colour}'\n"
        (root / "slices" / f"{colour}s.sql").write_text(text)
    for name, colour in (("food/red/a", COLOURS["red"]), ("food/blue/b", COLOURS["blue"])):
        file = root / "templates" / f"{name}.png"
        file.parent.mkdir(parents=True)
        file.write_bytes(png(colour, (8, 8)))
    (root / "templates" / "background").mkdir()
    (root / "templates" / "background" / "white.png").write_bytes(png((250, 250, 250), (16, 16)))
    return root


def world(root: Path, given: Path) -> Database:
    """Return a database with samples, images, vectors, predictions, slices, models, commits."""
    db = slicedb.open(root)
    db.ingest(given / "pictures", label=None, split="test", progress=False)
    db.embed(name="colours", encoder=ColourEncoder(), on="label <> 'blue'")
    db.log_embeddings("own", vectors(1.0))
    db.embed(progress=False)
    db.project("shown", embedding="own", on="label = 'red'")
    db.models.add("mean", MeanColour())
    db.predict("mean", "label <> 'blue'", progress=False)
    db.models.add("net", narrow())
    db.log_predictions("m", guesses("red"), classes=CLASSES)
    db.slices.add("reds", "label = 'red'", expect=["accuracy >= 0.1"])
    db.slices.add("old", "label <> 'red'", expect=["count >= 1"])
    db.slices.freeze("old")
    db.slices.add("shown", "matches('a red plate')")
    db.slices.calibrate("shown", truth="label = 'red'", budget=5)
    db.edit("green/0.png", tag=["edited"], author="ada")
    db.commit("first", tag="first")
    db.tag("label = 'red'", "seen")
    db.slices.add("seen", "has_tag('seen')")
    db.commit("second", tag="second")
    db.tag("label = 'blue'", "seen", "cold")
    db.commit("third")
    db.decide(["blue/0.png", "green/1.png"], label="red", author="ada", queue="labels")
    db.decide("blue/1.png", delete=True, author="ada")
    db.decide("blue/2.png", keep=True, author="eve")
    return db


def guesses(label: str, n: int = 9, **more: object) -> pa.Table:
    return pa.table({"id": NAMED[:n], "prediction": [label] * n, **more})


def vectors(scale: float, width: int = 4) -> pa.Table:
    rng = np.random.default_rng(int(10 * scale))
    return pa.table({"id": NAMED, "vector": rng.random((len(NAMED), width)).tolist()})


def reopened(db: Database) -> Database:
    """Return the database as another process sees it, which knows the models of this one."""
    fresh = slicedb.open(db.path, create=False)
    fresh.models._loaded.update(db.models._loaded)
    return fresh


@dataclass(frozen=True)
class Verb:
    """One verb with its arguments."""

    run: Callable[[Database, Path], object]
    again: bool = True
    """Whether it may be said twice; one that may not is refused the second time."""

    def __call__(self, db: Database, given: Path) -> None:
        """Run it; where it was done already, it may say so."""
        if self.again:
            self.run(db, given)
        else:
            with contextlib.suppress(SliceDBError):
                self.run(db, given)


def predicted(db: Database, model: Model, **options: Any) -> None:
    db.models.add("mean", model, replace=True)
    db.predict("mean", progress=False, **options)


def tagged(db: Database, model: Model) -> None:
    db.models.add("mean", model, replace=True)
    db.tag_with("mean", "hue", progress=False)


def described(images: list[Any]) -> list[str]:
    return [f"{image.width} by {image.height}" for image in images]


def explained(db: Database) -> None:
    db.models.add("net", narrow())
    db.cam("net", "label = 'red'")


def corrupted(db: Database) -> None:
    db.models.add("mean", MeanColour())
    db.corrupt("mean", ["reds"], kinds=["brightness"], severities=[1], progress=False)


def judged(db: Database) -> None:
    db.models.add("mean", MeanColour())
    db.evaluate("mean", ["reds"])


def compared(db: Database) -> None:
    db.models.add("mean", MeanColour())
    db.compare("m", "mean")


def behaved(db: Database, given: Path) -> None:
    db.models.add("mean", MeanColour())
    db.behaviour("mean", given / "templates", minimum=1)


def logged_in_parts(db: Database) -> None:
    with db.log_predictions("n", classes=CLASSES) as log:
        for start in (0, 5):
            log.add(NAMED[start : start + 5], prediction=["red"] * len(NAMED[start : start + 5]))


def left(db: Database) -> None:
    """Make a branch, leave it, and take it away."""
    if "side" not in db.commits.branches():
        db.commits.branch("side")
    db.commits.checkout("main", force=True)
    db.commits.drop_branch("side")


def later(db: Database, given: Path) -> None:
    db.ingest(given / "later", prefix="more", verify="later", progress=False)
    db.verify(progress=False)


def leaked(db: Database) -> object:
    """Tag the leaks of fewer samples than a user may: all of them are of one site."""
    ids = db.query().ids()
    db.attach({"id": ids, "site": ["north"] * len(ids)})
    with mock.patch("slicedb.curate.leaks._LEAST", 2):
        return db.leaks("label", group="site", tag=True)


def foreseen(db: Database) -> object:
    """Estimate for fewer samples than a user may."""
    with mock.patch("slicedb.curate.expected._LEAST", 1):
        return db.expected("mean", "label = 'red'")


def scored(db: Database) -> object:
    """Score the distance to fewer samples than a user may."""
    with mock.patch("slicedb.curate.outliers._LEAST", 1):
        return db.outliers("label = 'red'", k=1, embedding="own", progress=False)


def drifted(db: Database) -> object:
    """Compare fewer samples than a user may."""
    with mock.patch("slicedb.curate.drift.LEAST", 2):
        return db.drift("label = 'red'")


def halved(db: Database) -> object:
    """Split fewer samples than a user may."""
    with mock.patch("slicedb.curate.splits._LEAST", 2):
        return db.split({"train": 0.5, "test": 0.5}, stratify="label", into="half")


def handled(db: Database, apply: Any) -> object:
    options: dict[str, Any] = {"by": "vectors", "name": "own", "cosine": 0.97}
    return db.duplicates(apply=apply, conflicts=True, progress=False, **options)


def doubted(db: Database) -> object:
    """Judge the labels of fewer samples than a user may, and write the scores down."""
    with mock.patch("slicedb.curate.labels._LEAST", 2):
        return db.labels("mean", tag=True, into="label_score")


def discovered(db: Database) -> object:
    """Discover on fewer samples than a user may."""
    with mock.patch("slicedb.curate.judged._LEAST", 2):
        return db.discover("mean", measure="loss")


def mended(db: Database) -> None:
    db.store.delete("samples", ["red/0.png"])
    db.store.unpin("samples", next(tag for tag in db.store.pins("samples")))
    db.store.upsert("samples", pa.table({"id": ["red/1.png"], "label": ["blue"]}), insert=False)
    db.doctor(mend=True)


def other(given: Path) -> Path:
    """Make, once, a database to be merged: some samples are in both, some models and slices too."""
    path = given / "other"
    if not path.exists():
        db = slicedb.open(given / "making")
        db.ingest(given / "later", split="test", progress=False)
        db.tag("label = 'red'", "theirs")
        db.attach({"id": NAMED[:8], "weather": ["fog"] * 8}, partial=True)
        db.columns.add("wide", "width > 12")
        db.log_embeddings("fresh", {"id": NAMED[:8], "vector": [[1.0, 0.0]] * 8})
        db.models.add("mean", MeanColour())
        db.predict("mean", progress=False)
        db.log_predictions("n", guesses("blue", 8), classes=CLASSES)
        db.slices.add("fog", "weather = 'fog' AND mean.correct", expect=["accuracy >= 0.1"])
        db.slices.add("kept", "label = 'green'")
        db.slices.freeze("kept")
        db.commit("made elsewhere")
        db.store.sync()
        (given / "making").rename(path)
    return path


def compacted(db: Database) -> None:
    for name in ("samples", "images", "predictions__m"):
        db.store.compact(name)


VERBS: dict[str, Verb] = {
    "ingest": Verb(lambda db, given: db.ingest(given / "later", replace=True, progress=False)),
    "ingest and delete": Verb(
        lambda db, given: db.ingest(
            given / "later", replace=True, delete_missing=True, progress=False
        )
    ),
    "ingest and verify later": Verb(later),
    "sync": Verb(lambda db, given: db.sync(given / "later", prefix="later", progress=False)),
    "tag with a model": Verb(lambda db, _: tagged(db, MeanColour(2.0))),
    "tag with phrases": Verb(
        lambda db, _: db.tag_with("hue=a red plate,a green plate", cut=0.2, progress=False)
    ),
    "tag with a callable": Verb(lambda db, _: db.tag_with(described, "note", progress=False)),
    "attach": Verb(lambda db, given: db.attach(given / "columns.csv")),
    "merge": Verb(
        lambda db, given: db.merge(
            other(given), on_conflict="theirs", rename=["kept=held"], progress=False
        )
    ),
    "attach masks": Verb(
        lambda db, _: db.attach_masks(
            {"id": NAMED[:4], "mask": [np.full((9, 10), i % 2) for i in range(4)]},
            classes=["plate", "fork"],
        )
    ),
    "compose": Verb(lambda db, given: db.compose(given / "templates", progress=False)),
    "index texts": Verb(lambda db, _: db.index(text=["label"])),
    "embed": Verb(lambda db, _: db.embed(name="colours", encoder=ColourEncoder())),
    "embed anew": Verb(
        lambda db, _: db.embed(name="colours", encoder=ColourEncoder("2"), replace=True)
    ),
    "map": Verb(lambda db, _: db.project("colours", embedding="colours")),
    "map anew": Verb(lambda db, _: db.project("shown", replace=True)),
    "log embeddings": Verb(lambda db, _: db.log_embeddings("fresh", vectors(2.0))),
    "log embeddings anew": Verb(
        lambda db, _: db.log_embeddings("own", vectors(2.0, 5), replace=True)
    ),
    "relabel": Verb(lambda db, _: db.relabel("id = 'red/0.png'", "blue")),
    "edit": Verb(
        lambda db, _: db.edit(
            "red/0.png", label="blue", tag=["night"], untag=["seen"], author="ada"
        )
    ),
    "undo": Verb(lambda db, _: db.undo("green/0.png"), again=False),
    "undo a decision": Verb(lambda db, _: db.undo("blue/0.png", number=1), again=False),
    "decide": Verb(lambda db, _: db.decide(["red/0.png", "red/1.png"], delete=True, author="ada")),
    "apply edits": Verb(lambda db, _: db.apply_edits("by hand")),
    "discard edits": Verb(lambda db, _: db.discard_edits()),
    "map labels": Verb(lambda db, _: db.map_labels({"red": "crimson"})),
    "split": Verb(lambda db, _: halved(db)),
    "measure quality": Verb(lambda db, _: db.quality(progress=False)),
    "outliers": Verb(lambda db, _: scored(db)),
    "tag duplicates": Verb(lambda db, _: handled(db, "tag")),
    "delete duplicates": Verb(lambda db, _: handled(db, "delete")),
    "labels": Verb(lambda db, _: doubted(db)),
    "leaks": Verb(lambda db, _: leaked(db)),
    "tag": Verb(lambda db, _: db.tag("label = 'green'", "night")),
    "untag": Verb(lambda db, _: db.tag("label = 'red'", "seen", remove=True)),
    "delete": Verb(lambda db, _: db.delete("id = 'red/0.png'")),
    "predict": Verb(lambda db, _: predicted(db, MeanColour())),
    "predict anew": Verb(lambda db, _: predicted(db, MeanColour(3.0))),
    "log": Verb(lambda db, _: db.log_predictions("n", guesses("red"), classes=CLASSES)),
    "log more": Verb(lambda db, _: db.log_predictions("m", guesses("blue", 4), classes=CLASSES)),
    "log in parts": Verb(lambda db, _: logged_in_parts(db)),
    "log anew": Verb(
        lambda db, _: db.log_predictions(
            "m", guesses("blue", 4, extra=[1, 2, 3, 4]), classes=CLASSES, replace=True
        )
    ),
    "add model": Verb(lambda db, _: db.models.add("other", MeanColour(2.0))),
    "add model anew": Verb(lambda db, _: db.models.add("mean", MeanColour(2.0), replace=True)),
    "drop model": Verb(lambda db, _: db.models.drop("net"), again=False),
    "drop predicted model": Verb(lambda db, _: db.models.drop("mean"), again=False),
    "drop logged model": Verb(lambda db, _: db.models.drop("m"), again=False),
    "clear model": Verb(lambda db, _: db.models.clear("mean")),
    "rename model": Verb(lambda db, _: db.models.rename("mean", "renamed"), again=False),
    "cam": Verb(lambda db, _: explained(db)),
    "corrupt": Verb(lambda db, _: corrupted(db)),
    "add slice": Verb(lambda db, _: db.slices.add("news", "label = 'blue'"), again=False),
    "add slice anew": Verb(lambda db, _: db.slices.add("reds", "label = 'blue'", replace=True)),
    "restore slice": Verb(lambda db, _: db.slices.restore("old@1")),
    "edit slice": Verb(lambda db, _: db.slices.edit("reds", text="label != 'green'")),
    "answer questions": Verb(lambda db, _: answered(db)),
    "apply": Verb(lambda db, given: db.apply(given / "slices")),
    "calibrate": Verb(lambda db, _: db.slices.calibrate("shown", truth="label = 'red'", budget=9)),
    "write questions": Verb(
        lambda db, given: db.slices.write_questions("shown", given / "questions.csv")
    ),
    "forget calibration": Verb(lambda db, _: db.slices.forget("shown")),
    "freeze": Verb(lambda db, _: db.slices.freeze("reds")),
    "thaw": Verb(lambda db, _: db.slices.thaw("old")),
    "drop slice": Verb(lambda db, _: db.slices.drop("old"), again=False),
    "rename slice": Verb(lambda db, _: db.slices.rename("old", "older"), again=False),
    "commit": Verb(lambda db, _: db.commit("fourth", tag="fourth"), again=False),
    "tag commit": Verb(lambda db, _: db.commits.tag("first", "zero"), again=False),
    "untag commit": Verb(lambda db, _: db.commits.untag("first"), again=False),
    "branch": Verb(lambda db, _: db.commits.branch("side"), again=False),
    "drop branch": Verb(lambda db, _: left(db)),
    "checkout": Verb(lambda db, _: db.commits.checkout("first", force=True)),
    "reset": Verb(lambda db, _: db.commits.reset("first")),
    "drop commit": Verb(lambda db, _: db.commits.drop("first"), again=False),
    "test": Verb(lambda db, _: db.test(["reds", "old"], model="m", predict=False)),
    "evaluate": Verb(lambda db, _: judged(db)),
    "compare": Verb(lambda db, _: compared(db)),
    "behaviour": Verb(behaved),
    "mend": Verb(lambda db, _: mended(db)),
    "compact": Verb(lambda db, _: compacted(db)),
    "clean up": Verb(lambda db, _: db.cleanup(0)),
}
"""Every kind of change a user can ask for."""

WRITES: dict[str, tuple[str, ...]] = {
    "Database.ingest": ("ingest", "ingest and delete", "ingest and verify later"),
    "Database.sync": ("sync",),
    "Database.edit": ("edit",),
    "Database.undo": ("undo", "undo a decision"),
    "Database.decide": ("decide",),
    "Database.apply_edits": ("apply edits",),
    "Database.discard_edits": ("discard edits",),
    "Database.map_labels": ("map labels",),
    "Database.split": ("split",),
    "Database.quality": ("measure quality",),
    "Database.outliers": ("outliers",),
    "Database.duplicates": ("tag duplicates", "delete duplicates"),
    "Database.labels": ("labels",),
    "Database.leaks": ("leaks",),
    "Database.severity": ("corrupt",),
    "Database.verify": ("ingest and verify later",),
    "Database.tag_with": ("tag with a model", "tag with phrases", "tag with a callable"),
    "Database.attach": ("attach",),
    "Database.merge": ("merge",),
    "Database.attach_masks": ("attach masks",),
    "Database.compose": ("compose",),
    "Database.index": ("index texts",),
    "Database.embed": ("embed", "embed anew"),
    "Database.project": ("map", "map anew"),
    "Database.log_embeddings": ("log embeddings", "log embeddings anew"),
    "Database.relabel": ("relabel",),
    "Database.tag": ("tag", "untag"),
    "Database.delete": ("delete",),
    "Database.predict": ("predict", "predict anew"),
    "Database.log_predictions": ("log", "log more", "log in parts", "log anew"),
    "Database.cam": ("cam",),
    "Database.corrupt": ("corrupt",),
    "Database.behaviour": ("behaviour",),
    "Database.test": ("test",),
    "Database.evaluate": ("evaluate",),
    "Database.compare": ("compare",),
    "Database.doctor": ("mend", "compact"),
    "Database.cleanup": ("clean up",),
    "Database.apply": ("apply",),
    "Database.commit": ("commit",),
    "Models.add": ("add model", "add model anew"),
    "Models.drop": ("drop model", "drop predicted model", "drop logged model"),
    "Models.clear": ("clear model",),
    "Models.rename": ("rename model",),
    "Slices.add": ("add slice", "add slice anew"),
    "Slices.register": ("add slice anew",),
    "Slices.edit": ("edit slice",),
    "Slices.restore": ("restore slice",),
    "Slices.labelling": ("answer questions",),
    "Slices.apply": ("apply",),
    "Slices.calibrate": ("calibrate",),
    "Slices.write_questions": ("write questions",),
    "Slices.forget": ("forget calibration",),
    "Slices.freeze": ("freeze",),
    "Slices.thaw": ("thaw",),
    "Slices.drop": ("drop slice",),
    "Slices.rename": ("rename slice",),
    "Commits.commit": ("commit",),
    "Commits.tag": ("tag commit",),
    "Commits.untag": ("untag commit",),
    "Commits.branch": ("branch",),
    "Commits.drop_branch": ("drop branch",),
    "Commits.checkout": ("checkout",),
    "Commits.reset": ("reset",),
    "Commits.drop": ("drop commit",),
}
"""Every public method that changes a table, and the verbs above that say it."""


def answered(db: Database) -> object:
    labelling = db.slices.labelling("shown")
    labelling.answer({q.sample: q.sample.startswith("red") for q in labelling.ask(4)})
    return labelling.save()


def one_slice(folder: Path) -> Path:
    folder.mkdir()
    (folder / "greens.sql").write_text("/*\nslice: greens\n*/\nlabel = 'green'\n")
    return folder


def requested(db: Database) -> object:
    with db.request(timeout=60, client="me"):
        return db.query("label = 'red'").ids()


READS: dict[str, Callable[[Database, Path], object]] = {
    "Database.edits": lambda db, _: db.edits("green/0.png"),
    "Database.app": lambda db, _: db.app(browser=False, port=0).stop(),
    "Database.to_arrow": lambda db, _: db.to_arrow(),
    "Database.to_pandas": lambda db, _: db.to_pandas(),
    "Database.info": lambda db, _: db.info(),
    "Database.encoder": lambda db, _: db.encoder(),
    "Database.export": lambda db, out: db.export("label = 'red'", out / "exported"),
    "Database.cancel": lambda db, _: db.cancel(),
    "Database.request": lambda db, _: requested(db),
    "Database.names": lambda db, _: db.names().columns(),
    "Database.check": lambda db, _: list(db.check("lable = 'red'")),
    "Database.complete": lambda db, _: list(db.complete("label = ")),
    "Database.query": lambda db, _: db.query("label = 'red' AND m.correct").ids(),
    "Database.sql": lambda db, _: db.sql("SELECT label, count(*) FROM samples GROUP BY 1"),
    "Database.keys": lambda db, _: db.keys("reds"),
    "Database.at": lambda db, _: db.at("first").info(),
    "Database.diff": lambda db, _: db.diff("first"),
    "Database.expected": lambda db, _: foreseen(db),
    "Database.rollout": lambda db, _: db.rollout("m", "mean", time="ingested_at"),
    "Database.show": lambda db, _: db.show("green/0.png", embedding="own"),
    "Database.thumbnails": lambda db, _: db.thumbnails("label = 'red'", side=16),
    "Database.health": lambda db, _: db.health(),
    "Database.folds": lambda db, _: db.folds("m", "label", predict=False),
    "Database.drift": lambda db, _: drifted(db),
    # Of slices that gate or are held out these count a look: test_looks_of_verbs.py.
    "Database.power": lambda db, _: db.power("m", "mean", "seen"),
    "Database.confusion": lambda db, _: db.confusion("m"),
    "Database.errors": lambda db, _: db.errors("m", slices=["seen"]),
    "Database.discover": lambda db, _: discovered(db),  # it adds slices as `Slices.add` does
    "Database.sample": lambda db, _: db.sample(2, on="label = 'red'", embedding="own"),
    "Database.try_out": lambda db, _: db.try_out("mean", png((1, 2, 3))),
    "Database.clean": lambda db, _: db.clean("label = 'red'"),  # its `save` is in test_cleaning
    "Database.cost": lambda db, _: db.cost("mean"),
    "Database.calibration": lambda db, _: db.calibration("mean"),
    "Models.get": lambda db, _: db.models.get("mean"),
    "Models.list": lambda db, _: db.models.list(),
    "Models.show": lambda db, _: db.models.show("mean"),
    "Models.stands": lambda db, _: db.models.stands("mean"),
    "Models.can_load": lambda db, _: db.models.can_load("mean"),
    "Models.trust": lambda db, _: db.models.trust("mean"),
    "Slices.list": lambda db, _: db.slices.list(),
    "Slices.get": lambda db, _: db.slices.get("old").ids(),
    "Slices.history": lambda db, _: db.slices.history("old"),
    "Slices.show": lambda db, _: db.slices.show("old"),
    "Slices.states": lambda db, _: db.slices.states(),
    "Slices.labelled": lambda db, _: db.slices.labelled("shown"),
    "Slices.diff": lambda db, _: db.slices.diff("seen", before="first"),
    "Slices.past": lambda db, _: db.slices.past("first").list(),
    "Slices.overlap": lambda db, _: db.slices.overlap(),
    "Slices.coverage": lambda db, _: db.slices.coverage("m", ["seen"]),
    "Slices.breakdown": lambda db, _: db.slices.breakdown(),
    "Slices.load": lambda db, out: db.slices.load(one_slice(out / "slices")),
    "Commits.history": lambda db, _: db.commits.history(),
    "Commits.get": lambda db, _: db.commits.get("first"),
    "Commits.branches": lambda db, _: db.commits.branches(),
    "Commits.is_clean": lambda db, _: db.commits.is_clean(),
    "Commits.cut_off": lambda db, _: db.commits.cut_off(),
    "Commits.diff": lambda db, _: db.commits.diff("first"),
    "Runs.list": lambda db, _: db.runs.list(),
    "Runs.trends": lambda db, _: db.runs.trends(),
}
"""Every other public method, with what it is asked for."""

_OWN = (
    *("edited_at", "synced_at", "listed_at", "vanished_at", "decided_at"),
    *("added_at", "created_at", "ingested_at", "answered_at", "ran_at", "stamp"),
    *("run", "tables", "details", "software", "commit"),
)
"""Columns that differ between two runs of one verb: times (a file that was
just written has no stamp yet), versions, random ids."""


def state(db: Database) -> dict[str, str]:
    """Return what a user sees, without what differs between two runs."""
    tables = {name: _rows(db, name) for name in db.store.names() if name not in _SEEN_OTHERWISE}
    heads = {n: None if c is None else db.commits.get(c).message for n, c in _branches(db)}
    history = sorted((c.message, c.branch, sorted(c.tags)) for c in db.commits.history())
    recorded = db.runs.list().to_pylist()
    trends = db.runs.trends().trends
    n_tests = sum(row["kind"] == "test" for row in recorded)
    seen: dict[str, object] = {
        **tables,
        "slices": {s.name: (s.kind, s.text, sorted(s.ids())) for s in db.slices.list()},
        "commits": [history, heads, db.commits.branch_name],
        "models": [(m.name, m.fingerprint, m.version) for m in db.models.list()],
        # A verb that was killed may have been recorded once more, but never by halves.
        "runs": sorted({(row["kind"], row["what"]) for row in recorded}),
        "trends": sorted({(t.slice, t.check, *sorted(set(t.verdicts))) for t in trends}),
        "whole runs": all(len(t.points) == n_tests for t in trends),
    }
    return {name: json.dumps(value, default=str) for name, value in seen.items()}


_SEEN_OTHERWISE = ("commits", "slices", "models", "runs", "tests")


def _branches(db: Database) -> Iterator[tuple[str, str | None]]:
    return iter(sorted(db.commits.branches().items()))


def _rows(db: Database, name: str) -> list[str]:
    rows = db.store.table(name).to_pylist()
    own = [{k: v for k, v in row.items() if k not in _OWN} for row in rows]
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in own)
