"""A database and a model of it in plain dicts do the same things, and have to agree.

The model shares no code with the package. `SLICEDB_STEPS=50 SLICEDB_EXAMPLES=100 python -m pytest
tests/test_state_machine.py` runs it for long.
"""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fakes_copies import LONG
from fakes_models import COLOURS, MeanColour, png
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import slicedb

FOLDERS = 3
LABELS = [*COLOURS, None]
TAGS = ["night", "rain"]


@dataclass
class World:
    """What a database should hold."""

    samples: dict[str, dict[str, Any]] = field(default_factory=dict)
    """label and tags by id."""
    predictions: dict[str, dict[str, str]] = field(default_factory=dict)
    """Predicted class by id, by model."""
    slices: dict[str, tuple[str, Any]] = field(default_factory=dict)
    """The text of a live slice, or the text and the ids a frozen one was frozen with."""

    def ids(self, text: str) -> set[str]:
        return {i for i in self.samples if TEXTS[text](i, self)}

    def members(self, name: str) -> set[str]:
        text, frozen = self.slices[name]
        return self.ids(text) if frozen is None else frozen & set(self.samples)

    def correct(self, model: str) -> dict[str, bool | None]:
        labels = {i: sample["label"] for i, sample in self.samples.items()}
        said = self.predictions[model]
        return {i: None if labels[i] is None else said[i] == labels[i] for i in said}


TEXTS: dict[str, Callable[[str, World], bool]] = {
    "true": lambda i, w: True,
    "label = 'red'": lambda i, w: w.samples[i]["label"] == "red",
    "label IS NULL": lambda i, w: w.samples[i]["label"] is None,
    "has_tag('night')": lambda i, w: "night" in w.samples[i]["tags"],
    "NOT has_tag('night') AND label <> 'blue'": lambda i, w: (
        "night" not in w.samples[i]["tags"] and w.samples[i]["label"] not in ("blue", None)
    ),
}
SUBSETS = st.sampled_from([f"id LIKE '{start}%'" for start in ("red", "green", "blue/0", "blue")])


def chosen(text: str, world: World) -> set[str]:
    start = text.split("'")[1].rstrip("%")
    return {i for i in world.samples if i.startswith(start)}


class Machine(RuleBasedStateMachine):
    """Does to a database and to its model what the rules say."""

    @initialize()
    def start(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        for number in range(FOLDERS):
            for colour, value in COLOURS.items():
                file = self.root / "in" / str(number) / colour / f"{number}.png"
                file.parent.mkdir(parents=True)
                file.write_bytes(png(value))
        self.world = World()
        self.commits: dict[str, World] = {}
        self.tips: dict[str, str] = {}
        self.branch = "main"
        self.n = 0
        self.db = slicedb.open(self.root / "db")
        self.db.models.add("mean", MeanColour())
        self.ingest(0)
        self.add("a", "label = 'red'")
        self.log("id LIKE 'red%'", "green", False)
        self.predict("id LIKE 'blue%'")
        self.commit()

    def teardown(self) -> None:
        if hasattr(self, "root"):
            shutil.rmtree(self.root)

    # --- samples ------------------------------------------------------------------------------

    @rule(number=st.integers(0, FOLDERS - 1))
    def ingest(self, number: int) -> None:
        self.db.ingest(self.root / "in" / str(number), progress=False)
        for colour in COLOURS:
            sample = {"label": colour, "tags": frozenset[str]()}
            self.world.samples.setdefault(f"{colour}/{number}.png", sample)

    @rule(on=SUBSETS, label=st.sampled_from(LABELS))
    def relabel(self, on: str, label: str | None) -> None:
        self.db.relabel(on, label)
        for i in chosen(on, self.world):
            self.world.samples[i] = {**self.world.samples[i], "label": label}

    @rule(on=SUBSETS, tag=st.sampled_from(TAGS), remove=st.booleans())
    def tag(self, on: str, tag: str, remove: bool) -> None:
        self.db.tag(on, tag, remove=remove)
        for i in chosen(on, self.world):
            held = self.world.samples[i]["tags"]
            after = held - {tag} if remove else held | {tag}
            self.world.samples[i] = {**self.world.samples[i], "tags": after}

    @rule(on=SUBSETS)
    def delete(self, on: str) -> None:
        self.db.delete(on)
        for i in chosen(on, self.world):
            for said in (self.world.samples, *self.world.predictions.values()):
                said.pop(i, None)

    # --- models -------------------------------------------------------------------------------

    @rule(on=SUBSETS, said=st.sampled_from(list(COLOURS)), replace=st.booleans())
    def log(self, on: str, said: str, replace: bool) -> None:
        ids = sorted(chosen(on, self.world))
        if ids:
            table = pa.table({"id": ids, "prediction": [said] * len(ids)})
            self.db.log_predictions("m", table, classes=list(COLOURS), replace=replace)
            before = {} if replace else self.world.predictions.get("m", {})
            self.world.predictions["m"] = {**before, **dict.fromkeys(ids, said)}

    @rule(on=SUBSETS)
    def predict(self, on: str) -> None:
        self.db.models._loaded["mean"] = MeanColour()
        self.db.predict("mean", on, progress=False)
        said = {i: i.split("/")[0] for i in chosen(on, self.world)}
        self.world.predictions["mean"] = {**self.world.predictions.get("mean", {}), **said}

    # --- slices -------------------------------------------------------------------------------

    @rule(name=st.sampled_from(["a", "b"]), text=st.sampled_from(list(TEXTS)))
    def add(self, name: str, text: str) -> None:
        self.db.slices.add(name, text, replace=True)
        self.world.slices[name] = text, None

    @precondition(lambda self: self.world.slices)
    @rule()
    def freeze(self) -> None:
        for name, (text, _) in self.world.slices.items():
            self.db.slices.freeze(name)
            self.world.slices[name] = text, self.world.ids(text)

    @precondition(lambda self: self.world.slices)
    @rule()
    def thaw(self) -> None:
        name = min(self.world.slices)
        self.db.slices.thaw(name)
        self.world.slices[name] = self.world.slices[name][0], None

    # --- commits ------------------------------------------------------------------------------

    @rule()
    def commit(self) -> None:
        self.n += 1
        self.db.commit("what the model says", tag=f"c{self.n}")
        self.commits[f"c{self.n}"] = copy.deepcopy(self.world)
        self.tips[self.branch] = f"c{self.n}"

    @rule()
    def begin_branch(self) -> None:
        self.n += 1
        self.db.commits.branch(f"b{self.n}")
        self.tips[f"b{self.n}"], self.branch = self.tips[self.branch], f"b{self.n}"

    @rule(data=st.data())
    def checkout(self, data: st.DataObject) -> None:
        branch = data.draw(st.sampled_from(sorted(self.tips)))
        self.db.commits.checkout(branch, force=True)
        self.world, self.branch = copy.deepcopy(self.commits[self.tips[branch]]), branch

    @rule(data=st.data())
    def reset(self, data: st.DataObject) -> None:
        tag = data.draw(st.sampled_from(sorted(self.commits)))
        self.db.commits.reset(tag)
        self.world, self.tips[self.branch] = copy.deepcopy(self.commits[tag]), tag

    # --- upkeep -------------------------------------------------------------------------------

    @rule()
    def compact(self) -> None:
        for name in self.db.store.names():
            self.db.store.compact(name)

    @rule()
    def mend(self) -> None:
        self.db.doctor(mend=True)
        self.db.cleanup(0)

    @rule()
    def reopen(self) -> None:
        self.db = slicedb.open(self.root / "db", create=False)

    # --- what holds ---------------------------------------------------------------------------

    @invariant()
    def the_queries_agree(self) -> None:
        for text in TEXTS:
            assert set(self.db.query(text).ids()) == self.world.ids(text), text
        rows = self.db.store.table("samples", ["id", "label", "tags"]).to_pylist()
        held = {r["id"]: (r["label"], frozenset(r["tags"] or ())) for r in rows}
        assert held == {i: (s["label"], s["tags"]) for i, s in self.world.samples.items()}
        assert len(rows) == len(held)

    @invariant()
    def the_predictions_and_their_truths_agree(self) -> None:
        for model in self.world.predictions:
            table = f"predictions__{model}"
            rows = self.db.store.table(table, ["id", "prediction", "correct"]).to_pylist()
            said = {r["id"]: r["prediction"] for r in rows}
            assert said == self.world.predictions[model] and len(said) == len(rows)
            assert {r["id"]: r["correct"] for r in rows} == self.world.correct(model)
            right = {i for i, is_it in self.world.correct(model).items() if is_it}
            assert set(self.db.query(f"{model}.correct").ids()) == right

    @invariant()
    def the_slices_agree(self) -> None:
        assert {s.name for s in self.db.slices.list()} == set(self.world.slices)
        for name in self.world.slices:
            assert set(self.db.slices.get(name).ids()) == self.world.members(name)

    @invariant()
    def the_commits_agree(self) -> None:
        tag = sorted(self.commits)[self.n % len(self.commits)]
        then = self.commits[tag]
        for text in ("true", "label = 'red'"):
            assert set(self.db.query(text, at=tag).ids()) == then.ids(text), (tag, text)
        tags = {t for c in self.db.commits.history() for t in c.tags}
        assert tags == set(self.commits) and self.db.commits.branch_name == self.branch

    @invariant()
    def the_doctor_is_content(self) -> None:
        said = [f for f in self.db.doctor() if f.problem not in ("fragments", "deleted rows")]
        assert said == []


@pytest.mark.slow
def test_a_database_agrees_with_its_model() -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=int(os.environ.get("SLICEDB_EXAMPLES", "6" if LONG else "3")),
            stateful_step_count=int(os.environ.get("SLICEDB_STEPS", "12")),
            deadline=None,
            derandomize="SLICEDB_EXAMPLES" not in os.environ,
            suppress_health_check=list(HealthCheck),
        ),
    )
