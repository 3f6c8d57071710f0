"""What people said of likely label errors: kept as they come, counted, and when to stop asking.

The precision is that of the answers alone. Since the likeliest errors are asked about first, the
precision falls; what the next ones will have is at most that of the last ones, up to chance.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from slicedb import sql, stats
from slicedb.editing import edits_of
from slicedb.errors import CheckError, SourceError, did_you_mean
from slicedb.schema import ANSWERS, ANSWERS_SCHEMA, DECISIONS, Row, keys_of
from slicedb.show import numbers
from slicedb.store import Store

if TYPE_CHECKING:
    from slicedb.analysis import Cleaner

_SAID = {
    **dict.fromkeys(("wrong", "error", "y", "yes"), "yes"),
    **dict.fromkeys(("right", "ok", "n", "no", "keep"), "no"),
    "delete": "delete",
    **dict.fromkeys(("skip", "s"), "skipped"),
}
"""Words of the column `verdict`, and the state that is kept."""
_WORDS = {"yes": "wrong", "no": "right", "skipped": "skip"}


@dataclass(frozen=True)
class Verdicts:
    """How many of the likely errors were errors, as people said."""

    n: int
    """Answers, those that skip left out."""
    wrong: int
    low: float
    """Wilson bound of the precision."""
    high: float
    last: int
    """Answers of the last block."""
    last_wrong: int
    last_high: float
    """One-sided Wilson bound of the precision of the last block."""
    stop: float
    session: str
    """The session of `clean` that holds the changes of labels."""
    pending: int
    """Changes that are decided and not carried out."""

    @property
    def is_done(self) -> bool:
        """Whether the next ones are not worth asking about."""
        return self.last_high < self.stop

    def lines(self) -> Iterator[str]:
        """Yield what people read of it."""
        share = numbers.percent
        yield (
            f"{numbers.count(self.n, 'answer')}: {numbers.count(self.wrong, 'label')} "
            f"{numbers.verb(self.wrong, 'was', 'were')} wrong, a precision of "
            f"{share(self.wrong / self.n)} ({share(self.low)} to {share(self.high)})."
            if self.n
            else "No answers yet."
        )
        if self.n:
            ends = "below" if self.is_done else "not below"
            advice = "stop here" if self.is_done else "go on"
            yield (
                f"Of the last {numbers.count(self.last, 'answer')} {self.last_wrong:,} found a "
                "wrong label, at most "
                f"{share(self.last_high)}, {ends} {share(self.stop)}: {advice}."
            )
        if self.pending:
            are = "change is" if self.pending == 1 else "changes are"
            yield (
                f"{self.pending:,} {are} decided: `slicedb clean --session {self.session} --apply` "
                "carries them out in one commit."
            )


def session_of(model: str) -> str:
    """Return the session of `clean` in which the labels that a model doubts are decided."""
    return f"labels_{model}"


def queue_of(model: str) -> str:
    """Return the queue of `decide` in which they are decided, as the page does."""
    return f"labels:{model}"


def about(row: Row) -> str:
    """Return what is asked of a row: the kind, and the box or the class it is about."""
    if row.get("kind") in (None, "wrong label"):
        return "wrong label"
    names = ("kind", "label", "suggested", "object", "detection")
    return json.dumps([row.get(name) for name in names])


def said(store: Store, model: str) -> list[tuple[str, str, str, datetime]]:
    """Return sample, what was asked, "yes", "no" or "skipped", and when; the earliest first."""
    found: dict[tuple[str, str], tuple[str, datetime]] = {}
    if store.has(DECISIONS):
        where = sql.equals("session", session_of(model))
        for row in store.table(DECISIONS, where=where).to_pylist():
            state = "no" if row["decision"] == "keep" else "yes"
            found[row["sample"], "wrong label"] = state, row["decided_at"]
    if store.has(ANSWERS):
        where = sql.equals("slice", session_of(model))
        for row in store.table(ANSWERS, where=where).to_pylist():
            found[row["sample"], row["text"]] = row["state"], row["answered_at"]
    for edit in edits_of(store, states=("pending", "applying", "done"), queue=queue_of(model)):
        states = {"keep": "no", "delete": "yes", "skip": "skipped"}
        state = states.get(edit.kind, "yes" if "label" in edit.after else "")
        slot = edit.sample, "wrong label"
        if state and (slot not in found or found[slot][1] <= edit.edited_at):
            found[slot] = state, edit.edited_at
    listed = [(sample, text, state, at) for (sample, text), (state, at) in found.items()]
    return sorted(listed, key=lambda one: one[3])


def words(store: Store, model: str, rows: Sequence[Row]) -> list[str | None]:
    """Return what was said of each row as `verdict` has it, None where nothing was."""
    states = {(sample, text): state for sample, text, state, _ in said(store, model)}
    return [_WORDS.get(states.get((row["id"], about(row)), "")) for row in rows]


def count(store: Store, model: str, block: int, stop: float, confidence: float = 0.95) -> Verdicts:
    """Count what was said.

    Args:
        store: the database.
        model: whose doubts were asked about.
        block: answers of the last block.
        stop: the precision below which asking is not worth while.
        confidence: of the intervals.
    """
    if block < 1 or not 0 <= stop <= 1:
        raise CheckError(
            f"block is {block} and stop {stop:g}.", "a block has an answer, stop lies in [0, 1]."
        )
    states = [state for _, _, state, _ in said(store, model) if state != "skipped"]
    is_wrong = [state == "yes" for state in states]
    n, last = len(is_wrong), is_wrong[-block:]
    low, high = stats.wilson(sum(is_wrong), n, confidence)
    bound = float(stats.wilson(sum(last), len(last), confidence, sides=1).high)
    # Fewer than a block tell too little to stop.
    last_high = bound if len(last) == block else 1.0
    pending = 0
    if store.has(DECISIONS):
        where = f"{sql.equals('session', session_of(model))} AND NOT done AND decision <> 'keep'"
        pending = len(store.table(DECISIONS, ["id"], where=where))
    return Verdicts(
        n,
        sum(is_wrong),
        float(low),
        float(high),
        len(last),
        sum(last),
        last_high,
        stop,
        session_of(model),
        pending,
    )


def read(
    path: str | os.PathLike[str], rows: Sequence[Row], labels: Sequence[str]
) -> list[tuple[Row, str, str | None]]:
    """Read answers: the row, the state, and the label that is right, in the order of the rows.

    With a column `verdict` (wrong, right, delete or skip) rows without one are open; a label other
    than the one there is the right one. Without such a column a label is the answer.

    Args:
        path: a CSV file with `id`, and `verdict` or `label`; of boxes also `kind`, `object` and
            `detection`, as `labels --format csv` writes them.
        rows: what was asked about.
        labels: all labels there are.

    Raises:
        SourceError: the file is missing, or lacks a column.
        CheckError: with the line, where an answer is none, or was not asked for.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
    except OSError as error:
        raise SourceError(f"{os.fspath(path)}: {error.strerror}.", "name a CSV file.") from None
    names = set(lines[0]) if lines else set()
    if "id" not in names or not names & {"verdict", "label"}:
        raise SourceError(
            f"{os.fspath(path)} has no column 'id', or neither 'verdict' nor 'label'.",
            "`slicedb labels MODEL --format csv -o likely.csv` writes a file to fill in.",
        )
    asked = {(row["id"], about(row)): (place, row) for place, row in enumerate(rows)}
    answers = []
    for number, line in enumerate(lines, 2):
        state, label = _answer(line, "verdict" in names, f"{os.fspath(path)}, line {number}")
        if not state:
            continue
        key = line["id"], about(_typed(line))
        if key not in asked:
            raise CheckError(
                f"{os.fspath(path)}, line {number}: '{line['id']}' is not among the likely errors.",
                "keep the columns id, kind, label, suggested, object and detection as they were.",
            )
        place, row = asked[key]
        if label is not None and label != row["label"] and label not in labels:
            raise CheckError(
                f"{os.fspath(path)}, line {number}: no sample has the label '{label}'.",
                did_you_mean(label, labels, "labels"),
            )
        if "verdict" not in names:
            state = "no" if label == row["label"] else "yes"
        corrected = label if label != row["label"] and state == "yes" else None
        answers.append((place, row, state, corrected))
    return [(row, state, label) for _, row, state, label in sorted(answers, key=lambda a: a[0])]


def _answer(line: Mapping[str, str], has_verdict: bool, place: str) -> tuple[str, str | None]:
    """Return the state and the label of a line, "" where it is open."""
    label = (line.get("label") or "").strip() or None
    if not has_verdict:
        return ("yes" if label else ""), label
    word = (line.get("verdict") or "").strip().lower()
    if word and word not in _SAID:
        raise CheckError(f"{place}: '{word}' is no verdict.", "say wrong, right, delete or skip.")
    return _SAID.get(word, ""), label


def _typed(line: Mapping[str, str]) -> Row:
    """Return what identifies a row, as `ROWS` has it."""
    row: Row = {k: line.get(k) or None for k in ("kind", "label", "suggested")}
    for name in ("object", "detection"):
        value = line.get(name)
        row[name] = int(value) if value and value.strip().isdigit() else None
    return row


def put(
    store: Store,
    model: str,
    answers: Sequence[tuple[Row, str, str | None]],
    cleaner: Cleaner,
) -> None:
    """Keep answers; an earlier one about the same is replaced.

    A label that is corrected, and a sample to delete, are decided in the session of `clean` too,
    which carries them out.

    Args:
        store: the database.
        model: whose doubts they are about.
        answers: row, state and label, as `read` gives them.
        cleaner: of the session.
    """
    now = datetime.now(UTC).replace(tzinfo=None)
    rows = []
    for number, (row, state, label) in enumerate(answers):
        text = about(row)
        if state == "delete":
            cleaner.decide(row["id"], "delete")
        elif label is not None and text == "wrong label":
            cleaner.decide(row["id"], "relabel", label)
        rows.append(
            {
                "id": json.dumps([session_of(model), text, row["id"]]),
                "key": int(keys_of([row["id"]])[0]),
                "slice": session_of(model),
                "text": text,
                "sample": row["id"],
                "state": "yes" if state == "delete" else state,
                "source": "csv",
                "answered_at": now + timedelta(microseconds=number),  # in the order of the doubts
            }
        )
    if rows:
        store.create(ANSWERS, ANSWERS_SCHEMA)
        store.upsert(ANSWERS, pa.Table.from_pylist(rows, schema=ANSWERS_SCHEMA))
        store.sync()
