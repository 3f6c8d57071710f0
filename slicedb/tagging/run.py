"""Run what is asked for over what is new, and write the columns."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.embedding import encoder_of
from slicedb.errors import ModelError
from slicedb.ingest.unverified import verify_at_use
from slicedb.keys import KeyIndex, Keys
from slicedb.models.fingerprint import combine
from slicedb.progress import Bar, Watch, bar
from slicedb.schema import SAMPLES, keys_of
from slicedb.store import Store
from slicedb.store.shares import Crew, Tally, work_off
from slicedb.store.work import Samples, missing, samples_of
from slicedb.tagging import callables, expressions, phrases
from slicedb.tagging.callables import Captioner
from slicedb.tagging.definition import Tag, table_of
from slicedb.tagging.expressions import Ask
from slicedb.tagging.report import TagReport
from slicedb.tagging.shares import TOGETHER, Calling, CallJob, marked, number
from slicedb.tagging.wanted import Wanted, refuse_name, tag_of, with_columns
from slicedb.tagging.writing import ColumnWriter, Written
from slicedb.tasks import About

if TYPE_CHECKING:
    from slicedb.embedding.table import EmbedReport
    from slicedb.predictions import PredictReport

_DEFAULT = "default"


@dataclass(frozen=True)
class Means:
    """What a tag is computed with."""

    store: Store
    ask: Ask
    """Gives the query of a text."""
    predict: Callable[[str], PredictReport | None]
    """Computes the missing predictions of a model; None where they were made elsewhere."""
    embed: Callable[[str], EmbedReport]
    """Computes the missing vectors of an embedding."""
    keys: Keys | None
    """int64 (n,): the samples; None is all of them."""
    overwrite: bool = False
    batch_size: int | None = None
    threads: int | None = None
    progress: Watch = None
    crew: Crew | None = None
    """Processes that a callable runs in; None is this one."""
    decode: str = "cpu"
    """Which chip was asked to decode; Pillow pictures, as callables take them, the CPU makes."""


def tag_with(wanted: Wanted, means: Means) -> tuple[Tag, TagReport, list[str]]:
    """Write a column; see `Database.tag_with`.

    Returns:
        What was written, the report, and the ids of samples with another value now.

    Raises:
        CheckError: the name cannot be used, or what is asked for makes no sense.
        ModelError: a callable fails.
    """
    started = time.perf_counter()
    tag, function = tag_of(wanted, means.store)
    verify_at_use(means.store, means.keys, means.progress)
    if tag.kind == "callable":
        assert function is not None
        tag, report, changed = _by_callable(tag, function, means)
    elif tag.kind == "phrases":
        tag, report, changed = _by_phrases(tag, means)
    else:
        tag, report, changed = _by_model(tag, means)
    values = _counts(means.store, tag)
    seconds = time.perf_counter() - started
    return tag, replace(report, values=values, seconds=seconds), changed


# --- the three ways -------------------------------------------------------------------------------


def _by_model(tag: Tag, means: Means) -> tuple[Tag, TagReport, list[str]]:
    said = means.predict(tag.what)
    about = About.read(means.store, tag.what)
    tag = with_columns(tag, about.task)
    refuse_name(means.store, tag)
    columns = expressions.columns_of(tag, about)
    tag = replace(tag, fingerprint=combine({"model": about.fingerprint, "columns": columns}))
    values = expressions.values_of(means.ask, columns)
    asked = samples_of(means.store, means.keys)
    rows = _beside(asked.rows, values.drop_columns(["id"]), keys_of(values["id"]))
    report, changed = _write(tag, asked, rows, means)
    if said is None:
        return tag, report, changed
    report = replace(
        report,
        computed=said.predicted,
        failed=said.failed,
        empty=max(0, report.empty - said.failed),
        examples=said.examples,
        notes=report.notes + said.notes,
    )
    return tag, report, changed


def _by_phrases(tag: Tag, means: Means) -> tuple[Tag, TagReport, list[str]]:
    if tag.using != _DEFAULT:
        encoder_of(means.store, tag.using)  # only the default one is made where it is not there
    embedded = means.embed(tag.using)
    encoder = encoder_of(means.store, tag.using)
    _, listed = phrases.phrases_in(tag.what)
    texts = phrases.text_vectors(encoder, listed, tag.templates)
    made_by = {key: str(value) for key, value in dict(encoder.fingerprint).items()}
    parts = {"encoder": made_by, "phrases": listed, "templates": tag.templates, "cut": tag.cut}
    tag = replace(tag, fingerprint=combine(parts))
    asked = samples_of(means.store, means.keys)
    keys = asked.rows["key"].to_numpy()
    values = phrases.values_of(means.store, tag, listed, texts, encoder.logit_scale, keys)
    report, changed = _write(tag, asked, _beside(asked.rows, values, keys), means)
    notes = ((encoder.note,) if encoder.note else ()) + embedded.notes
    report = replace(report, computed=embedded.embedded, notes=report.notes + notes)
    return tag, report, changed


def _by_callable(tag: Tag, function: Captioner, means: Means) -> tuple[Tag, TagReport, list[str]]:
    """Run a callable over the samples without a value of its present code."""
    if means.decode == "gpu":
        raise ModelError(
            f"No GPU can decode for {callables.title_of(function)}, which takes Pillow pictures.",
            "leave out decode= (--decode): the CPU decodes then.",
        )
    store = means.store
    tag = replace(tag, fingerprint=callables.fingerprint_of(function))
    asked = samples_of(store, means.keys)
    rows = asked.rows.take(pa.array(_undone(store, tag, asked.rows)))
    with bar(len(rows), f"tag {tag.name}", means.progress) as shown:
        tally, kind = _called(tag, function, rows, means, shown)
    # Every sample that was computed may have another value now: what a process wrote before it
    # died is known by no tally.
    spread = rows["id"].to_pylist() if means.crew is not None else None
    parts = [part for part in tally.written if isinstance(part, Written)]
    writer = ColumnWriter(store, tag, overwrite=means.overwrite)
    nothing = pa.table({tag.name: pa.array([], kind or pa.string())})
    writer.close(marked(tag, rows.slice(0, 0), nothing).schema)
    by_hand = [name for part in parts for name in part.by_hand]
    report = TagReport(
        column=tag.name,
        columns=tag.columns,
        computed=len(rows) - tally.failed,
        changed=sum(part.changed for part in parts),
        unchanged=len(asked.rows) - len(rows) + sum(part.unchanged for part in parts),
        by_hand=len(by_hand),
        by_hand_ids=tuple(by_hand),
        overwritten=means.overwrite,
        empty=sum(part.empty for part in parts) - tally.failed,
        failed=tally.failed,
        quarantined=asked.quarantined,
        examples=tally.examples,
    )
    return tag, report, spread or [name for part in parts for name in part.changed_ids]


def _called(
    tag: Tag, function: Captioner, rows: pa.Table, means: Means, shown: Bar
) -> tuple[Tally, pa.DataType | None]:
    """Run a callable over samples; return what became of them, and the type of its values."""
    kind = _kind_of(means.store, tag)
    size = means.batch_size or callables.BATCH
    if means.crew is not None and not tag.what:
        raise ModelError(
            f"{callables.title_of(function)} is an object of this process.",
            "write it as path/to/file.py:function, which every process can load, or leave out "
            "workers= and engine=.",
        )
    work = Calling(means.store, tag, function, kind, means.overwrite, size, means.threads)
    if means.crew is None or not len(rows):
        return work(rows, shown), work.kind
    # The first ones are done here, for they tell the type of the column.
    first = min(len(rows), TOGETHER)
    tally = work(rows.slice(0, first), shown)
    if first < len(rows):
        job = CallJob(tag, None if work.kind is None else str(work.kind), means.overwrite, size)
        tally += work_off(means.store, job, rows.slice(first), means.crew, shown)
    return tally, work.kind


def _undone(store: Store, tag: Tag, samples: pa.Table) -> Keys:
    """Return the places of samples without a value of this fingerprint and their picture."""
    if not store.has(table_of(tag.name)):
        return np.arange(len(samples))
    done = store.table(table_of(tag.name), ["key", "content", "fingerprint"])
    same = pc.equal(done["fingerprint"], number(tag.fingerprint))
    return missing(samples, done.filter(pc.fill_null(same, False)))


def _kind_of(store: Store, tag: Tag) -> pa.DataType | None:
    stored = store.schema(SAMPLES)
    return stored.field(tag.name).type if tag.name in stored.names else None


# --- writing --------------------------------------------------------------------------------------


def _write(tag: Tag, asked: Samples, values: pa.Table, means: Means) -> tuple[TagReport, list[str]]:
    """Write values that were computed of all samples asked for."""
    writer = ColumnWriter(means.store, tag, overwrite=means.overwrite)
    rows = marked(tag, asked.rows, values)
    writer.write(rows)
    written = writer.close(rows.schema)
    report = TagReport(
        column=tag.name,
        columns=tag.columns,
        computed=0,
        changed=written.changed,
        unchanged=written.unchanged,
        by_hand=len(written.by_hand),
        by_hand_ids=tuple(written.by_hand),
        overwritten=means.overwrite,
        empty=written.empty,
        quarantined=asked.quarantined,
    )
    return report, written.changed_ids


def _beside(samples: pa.Table, values: pa.Table, keys: Keys) -> pa.Table:
    """Return values in the order of samples, null where there are none."""
    at = KeyIndex(keys).find(samples["key"].to_numpy())
    return values.combine_chunks().take(pa.array(at, mask=at < 0))


def _counts(store: Store, tag: Tag) -> dict[str, int]:
    """Return how many samples have each label, the most frequent first; {} where it is none."""
    if len(tag.columns) < 2:
        return {}
    counts = store.table(SAMPLES, [tag.name])[tag.name].combine_chunks().drop_null().value_counts()
    pairs = [(row["values"], row["counts"]) for row in counts.to_pylist()]
    return dict(sorted(pairs, key=lambda pair: -pair[1]))
