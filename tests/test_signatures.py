"""What a user may write: every argument is visible, documented, and suggested when misspelt."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator

import click
import pytest

from slicedb.cli import verbs
from slicedb.database import Database
from slicedb.errors import OptionError

PUBLIC = """
slicedb.cam:StoredCams slicedb.commits:Commits slicedb.database:Database
slicedb.judge:Evaluation slicedb.report:Report slicedb.models:Models
slicedb.predictions:PredictionLog slicedb.query:Engine
slicedb.query:Query slicedb.runs:Runs slicedb.slices:Slice slicedb.slices:Slices
slicedb.training:EpochLogger slicedb.training:SliceDataset
""".split()

THE_USERS_OWN = {"PredictionLog.add", "SliceDataset.loader"}
"""Methods whose further arguments are columns that the user names, or words of torch's loader that
are answered one by one."""


def load(name: str) -> type:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def methods(cls: type) -> Iterator[tuple[str, inspect.Signature, str]]:
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        if not name.startswith("_") and method.__module__.startswith("slicedb"):
            yield name, inspect.signature(method), inspect.getdoc(method) or ""


@pytest.mark.parametrize("name", PUBLIC)
def test_no_public_method_hides_its_arguments(name: str) -> None:
    cls = load(name)
    hidden = {
        f"{cls.__name__}.{method}"
        for method, signature, _ in methods(cls)
        for p in signature.parameters.values()
        if p.kind is p.VAR_KEYWORD
    }
    assert hidden - THE_USERS_OWN == set()


def test_every_argument_of_the_database_is_typed_and_documented() -> None:
    missing = []
    for method, signature, doc in methods(Database):
        arguments = [p for p in signature.parameters.values() if p.name != "self"]
        assert signature.return_annotation is not signature.empty, method
        for p in arguments:
            assert p.annotation is not p.empty, f"{method}: {p.name}"
            if len(arguments) > 1 and not re.search(rf"^\s+\*?{p.name}: \S", doc, re.MULTILINE):
                missing.append(f"{method}: {p.name}")
    assert missing == []


def test_an_unknown_argument_is_answered_with_the_nearest() -> None:
    db = Database.__new__(Database)
    with pytest.raises(OptionError, match=r"evaluate\(\) has no option 'metric'.*'metrics'"):
        db.evaluate("v3", metric=["f1"])  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"did you mean 'label_column'"):
        db.ingest("photos", lable_column="class")  # type: ignore[call-arg]
    with pytest.raises(OptionError, match=r"add\(\) has no option 'expects'.*'expect'"):
        load("slicedb.slices:Slices").add(None, "night", "true", expects=["count > 3"])
    assert str(inspect.signature(Database.commit)) == (
        "(self, message: 'str', *, tag: 'str | None' = None) -> 'Commit'"
    )


VERBS = {
    "query": "slicedb.database:Database.query",
    "facets": "slicedb.query:Query.facets",
    "histogram": "slicedb.query:Query.histogram",
    "summary": "slicedb.query:Query.summary",
    "check": "slicedb.database:Database.check",
    "complete": "slicedb.database:Database.complete",
    "show": "slicedb.database:Database.show",
    "thumbnails": "slicedb.database:Database.thumbnails",
    "app": "slicedb.database:Database.app",
    "ingest": "slicedb.database:Database.ingest",
    "sync": "slicedb.database:Database.sync",
    "verify": "slicedb.database:Database.verify",
    "attach": "slicedb.database:Database.attach",
    "merge": "slicedb.database:Database.merge",
    "attach-masks": "slicedb.database:Database.attach_masks",
    "log-embeddings": "slicedb.database:Database.log_embeddings",
    "compose": "slicedb.database:Database.compose",
    "embed": "slicedb.database:Database.embed",
    "map": "slicedb.database:Database.project",
    "index": "slicedb.database:Database.index",
    "split": "slicedb.database:Database.split",
    "health": "slicedb.database:Database.health",
    "outliers": "slicedb.database:Database.outliers",
    "rollout": "slicedb.database:Database.rollout",
    "expected": "slicedb.database:Database.expected",
    "folds": "slicedb.database:Database.folds",
    "drift": "slicedb.database:Database.drift",
    "duplicates": "slicedb.database:Database.duplicates",
    "quality": "slicedb.database:Database.quality",
    "labels": "slicedb.database:Database.labels",
    "leaks": "slicedb.database:Database.leaks",
    "discover": "slicedb.database:Database.discover",
    "sample": "slicedb.database:Database.sample",
    "export": "slicedb.database:Database.export",
    "relabel": "slicedb.database:Database.relabel",
    "edit": "slicedb.database:Database.edit",
    "undo": "slicedb.database:Database.undo",
    "decide": "slicedb.database:Database.decide",
    "edits": "slicedb.database:Database.edits",
    "apply-edits": "slicedb.database:Database.apply_edits",
    "discard-edits": "slicedb.database:Database.discard_edits",
    "map-labels": "slicedb.database:Database.map_labels",
    "clean": "slicedb.database:Database.clean",
    "tag": "slicedb.database:Database.tag",
    "delete": "slicedb.database:Database.delete",
    "info": "slicedb.database:Database.info",
    "doctor": "slicedb.database:Database.doctor",
    "versions cleanup": "slicedb.database:Database.cleanup",
    "apply": "slicedb.database:Database.apply",
    "predict": "slicedb.database:Database.predict",
    "log-predictions": "slicedb.database:Database.log_predictions",
    "cam": "slicedb.database:Database.cam",
    "evaluate": "slicedb.database:Database.evaluate",
    "compare": "slicedb.database:Database.compare",
    "power": "slicedb.database:Database.power",
    "confusion": "slicedb.database:Database.confusion",
    "errors": "slicedb.database:Database.errors",
    "cost": "slicedb.database:Database.cost",
    "calibration": "slicedb.database:Database.calibration",
    "test": "slicedb.database:Database.test",
    "behaviour run": "slicedb.database:Database.behaviour",
    "behaviour corrupt": "slicedb.database:Database.corrupt",
    "commit": "slicedb.database:Database.commit",
    "diff": "slicedb.database:Database.diff",
    "branch": "slicedb.commits:Commits.branch",
    "checkout": "slicedb.commits:Commits.checkout",
    "reset": "slicedb.commits:Commits.reset",
    "versions tag": "slicedb.commits:Commits.tag",
    "versions untag": "slicedb.commits:Commits.untag",
    "versions drop": "slicedb.commits:Commits.drop",
    "column add": "slicedb.slices.columns:Columns.add",
    "tag-with": "slicedb.database:Database.tag_with",
    "column list": "slicedb.slices.columns:Columns.list",
    "column refresh": "slicedb.slices.columns:Columns.refresh",
    "column drop": "slicedb.slices.columns:Columns.drop",
    "model add": "slicedb.models:Models.add",
    "model list": "slicedb.models:Models.list",
    "model show": "slicedb.models:Models.show",
    "try": "slicedb.database:Database.try_out",
    "model drop": "slicedb.models:Models.drop",
    "model trust": "slicedb.models:Models.trust",
    "model clear": "slicedb.models:Models.clear",
    "model rename": "slicedb.models:Models.rename",
    "slice add": "slicedb.slices:Slices.add",
    "slice list": "slicedb.slices:Slices.states",
    "slice show": "slicedb.slices:Slices.show",
    "slice history": "slicedb.slices:Slices.history",
    "slice freeze": "slicedb.slices:Slices.freeze",
    "slice thaw": "slicedb.slices:Slices.thaw",
    "slice diff": "slicedb.slices:Slices.diff",
    "slice overlap": "slicedb.slices:Slices.overlap",
    "slice coverage": "slicedb.slices:Slices.coverage",
    "slice breakdown": "slicedb.slices:Slices.breakdown",
    "slice drop": "slicedb.slices:Slices.drop",
    "slice restore": "slicedb.slices:Slices.restore",
    "slice edit": "slicedb.slices:Slices.edit",
    "slice rename": "slicedb.slices:Slices.rename",
    "history": "slicedb.runs:Runs.trends",
    "demo": "slicedb.demo.tour:run",
    "slice calibrate": "slicedb.slices:Slices.calibrate",
    "functions": "slicedb.query:functions",
    "metrics": "slicedb.metrics:listed",
    "behaviour list": "slicedb.behaviour.catalogue:catalogue",
    "versions list": "slicedb.store:Store.describe",
}
"""Every command, and what of Python it calls."""

WITHOUT_OPTION = {
    "embed encoder": "an open encoder is an object",
    "predict source": "a loaded model is an object",
    "app wait": "the command line always waits",
    "evaluate on": "another name of slices, which is --on",
    "compare on": "another name of slices, which is --on",
    "power on": "another name of slices, which is --on",
    "behaviour corrupt on": "another name of slices, which is --on",
    "demo echo": "a function that prints",
    "slice calibrate answer": "asked at the terminal",
    "behaviour run decide": "--point",
    "slice add suite": "set by `apply`",
    "slice add path": "set by `apply`",
}
"""Arguments that only Python has, with the reason."""

OTHER_NAMES = {
    "text": "the query whose method it is",
    "file": "data of log-predictions, which Python also takes as a table",
    "spec": "model of model add, which Python also takes as an object",
    "commits": "several in one call",
    "folder": "path of apply",
    "sources": "several in one call",
    "images": "image of try, of which Python also takes one",
}
"""Arguments of commands that Python calls otherwise."""

OTHER_FLAGS = {
    "--on": "slices: the samples of every verb are given with --on",
    "--metric": "repeated",
    "--model": "repeated",
    "--storage-option": "repeated",
    "--kind": "repeated",
    "--severity": "repeated",
    "--slice": "repeated",
    "--class": "repeated",
    "--extra": "repeated",
    "--background": "repeated",
    "--param": "repeated",
    "--as": "form: --format is that of the output",
    "--format": "form, as of every verb that writes",
    "--older-than": "days",
    "--from": "before",
    "--to": "after",
    "--read-csv": "read, beside --write-csv",
    "-n": "one letter",
    "--pending": "short for --state pending",
}
"""Flags that are not the name of their argument, with the reason."""


def commands() -> dict[str, click.Command]:
    found = {}
    for name, command in verbs.commands.items():
        inner = getattr(command, "commands", None)
        found |= {f"{name} {n}": c for n, c in inner.items()} if inner else {name: command}
    return found


def test_every_command_calls_a_verb_of_python() -> None:
    assert set(VERBS) == set(commands())


@pytest.mark.parametrize("name", VERBS)
def test_the_command_line_reaches_every_argument_of_python(name: str) -> None:
    module, _, path = VERBS[name].partition(":")
    verb = importlib.import_module(module)
    for attribute in path.split("."):
        verb = getattr(verb, attribute)
    arguments = {p for p in inspect.signature(verb).parameters if p != "self"}
    reachable = {p.name for p in commands()[name].params}
    skipped = {word.rpartition(" ")[2] for word in WITHOUT_OPTION if word.startswith(f"{name} ")}
    others = reachable & set(OTHER_NAMES)
    unreached = arguments - reachable - skipped
    assert len(unreached) <= len(others), unreached
    for option in commands()[name].params:
        if isinstance(option, click.Option) and option.name in arguments:
            kebab = f"--{option.name.replace('_', '-')}"
            assert kebab in option.opts or set(option.opts) <= set(OTHER_FLAGS), option.opts


def test_the_help_of_an_option_is_the_documentation_of_the_argument() -> None:
    option = next(p for p in commands()["embed"].params if p.name == "batch_size")
    assert option.help == "Images per batch; by default what fits the device."
    assert "batch_size: images per batch; by default what fits the device." in (
        inspect.getdoc(Database.embed) or ""
    )
    for name, command in commands().items():
        bare = [p.opts for p in command.params if isinstance(p, click.Option) and not p.help]
        assert bare == [], name
