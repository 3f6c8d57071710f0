"""Keep questions about samples, and the answers to them, in the database."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import schema
from slicedb.errors import SliceError, did_you_mean
from slicedb.store import Store

Reply: TypeAlias = Literal["asked", "yes", "no", "skipped"]

_REPLIES: dict[str, Reply | None] = {
    **dict.fromkeys(("y", "yes", "1", "true", "t", "x"), "yes"),
    **dict.fromkeys(("n", "no", "0", "false", "f"), "no"),
    **dict.fromkeys(("s", "skip", "skipped", "?"), "skipped"),
    "": None,
}


@dataclass(frozen=True)
class Question:
    """Whether a sample shows a text."""

    sample: str
    """Its id."""
    key: int
    text: str
    """What is asked, as the slice writes it."""
    uri: str
    """Where the picture lies, as it was ingested."""


class Answers:
    """The answers about one text of one slice."""

    def __init__(self, store: Store, slice_name: str, text: str) -> None:
        self._store, self._slice, self._text = store, slice_name, text

    def states(self) -> dict[int, Reply]:
        """Return key -> state of every sample asked about."""
        if not self._store.has(schema.ANSWERS):
            return {}
        rows = self._store.table(schema.ANSWERS, ["key", "slice", "text", "state"])
        mine = pc.and_(pc.equal(rows["slice"], self._slice), pc.equal(rows["text"], self._text))
        rows = rows.filter(mine)
        return dict(zip(rows["key"].to_pylist(), rows["state"].to_pylist()))

    def put(self, questions: Sequence[Question], states: Sequence[Reply], source: str) -> None:
        """Keep answers; an earlier one of the same sample is replaced."""
        if not questions:
            return
        now = datetime.now(UTC).replace(tzinfo=None)
        rows = [
            {
                "id": json.dumps([self._slice, self._text, question.sample]),
                "key": question.key,
                "slice": self._slice,
                "text": self._text,
                "sample": question.sample,
                "state": state,
                "source": source,
                "answered_at": now,
            }
            for question, state in zip(questions, states)
        ]
        self._store.create(schema.ANSWERS, schema.ANSWERS_SCHEMA)
        table = pa.Table.from_pylist(rows, schema=schema.ANSWERS_SCHEMA)
        self._store.upsert(schema.ANSWERS, table)
        self._store.sync()

    def question(self, keys: np.ndarray) -> list[Question]:
        """Return the questions about samples, in the order of their keys."""
        rows = self._store.take(schema.SAMPLES, keys, ["id", "uri"]).to_pylist()
        return [
            Question(row["id"], int(key), self._text, row["uri"] or "")
            for row, key in zip(rows, keys)
        ]


def write_csv(path: str | os.PathLike[str], questions: Iterable[Question]) -> None:
    """Write questions with an empty column `answer`, to be filled in with y, n or s."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["sample", "picture", "question", "answer"])
        for question in questions:
            writer.writerow([question.sample, question.uri, f"{question.text}?", ""])


def read_csv(
    path: str | os.PathLike[str], asked: dict[str, Question]
) -> tuple[list[Question], list[Reply]]:
    """Read answers back; empty ones are left open.

    Args:
        path: columns `sample` and `answer`, others are not looked at.
        asked: sample -> what was asked of it.

    Raises:
        SliceError: with the line, where an answer is none, or was not asked for.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {"sample", "answer"} - set(reader.fieldnames or ())
            if missing:
                columns = ", ".join(sorted(missing))
                raise SliceError(f"{path} has no column {columns}.", "`--write-csv` makes such.")
            rows = [(reader.line_num, row["sample"], row["answer"]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SliceError(f"{path} cannot be read: {error}.") from error
    questions, states = [], []
    for line, sample, answer in rows:
        word = (answer or "").strip().lower()
        if word not in _REPLIES:
            raise SliceError(f"{path}, line {line}: {answer!r} is no answer.", "write y, n or s.")
        state = _REPLIES[word]
        if state is None:
            continue
        if sample not in asked:
            hint = "labels chosen otherwise would bend the figures; " + did_you_mean(
                sample or "", asked, "samples asked about"
            )
            raise SliceError(f"{path}, line {line}: {sample!r} was not asked about.", hint)
        questions.append(asked[sample])
        states.append(state)
    return questions, states
