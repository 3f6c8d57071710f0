"""What a user may write: every argument is visible, documented, and suggested when misspelt."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator

import pytest

from slicedb.database import Database
from slicedb.errors import OptionError

PUBLIC = """
slicedb.cam:StoredCams slicedb.commits:Commits slicedb.database:Database
slicedb.judge:Evaluation slicedb.judge:Report slicedb.models:Registry
slicedb.predictions:PredictionLog slicedb.query:Engine
slicedb.query:Query slicedb.runs:Runs slicedb.slices:Slice slicedb.slices:Slices
slicedb.training:EpochLogger slicedb.training:SliceDataset
""".split()

THE_USERS_OWN = {"PredictionLog.add"}
"""Methods whose further arguments are columns that the user names."""

PENDING = {"Slices.calibrate", "Slices.write_questions", "Query.to_torch"}


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
    assert hidden - THE_USERS_OWN - PENDING == set()


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
    assert str(inspect.signature(Database.commit)) == (
        "(self, message: 'str', *, tag: 'str | None' = None) -> 'Commit'"
    )
