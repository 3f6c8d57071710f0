"""Run an ingest: look up, verify in threads, write behind.

While one piece is verified by the threads, the piece before it is written by another thread and
the next one is looked up. A piece is written image first, sample last, so that a sample never
lacks its image, and an interrupted ingest goes on where the last whole piece ended.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from slicedb import media, progress
from slicedb.errors import TooManyBrokenError
from slicedb.ingest import following
from slicedb.ingest.absent import nothing_read, refuse_absent
from slicedb.ingest.adopt import Adopted
from slicedb.ingest.bulk import Bulk
from slicedb.ingest.fresh import FreshRows
from slicedb.ingest.judge import Judged, judge
from slicedb.ingest.known import Known
from slicedb.ingest.piece import Piece, pieces
from slicedb.ingest.report import IngestReport
from slicedb.ingest.source import Source
from slicedb.ingest.verify import has_quality, some_of
from slicedb.media import NEARLY_BLACK
from slicedb.schema import IMAGES, IMAGES_SCHEMA, LOOKS, QUALITY, SAMPLES, SHOWN, UNREADABLE
from slicedb.show import numbers
from slicedb.sources import is_remote
from slicedb.store import Store
from slicedb.store.shares import Crew
from slicedb.store.writing import lacking

SAME_BYTES = "sha256 IN (SELECT sha256 FROM samples GROUP BY sha256 HAVING count(*) > 1)"
"""The query of samples that share their bytes with another one."""
_AHEAD = 2
"""Pieces that are verified while the oldest of them is waited for."""

_ADOPTED = "picture is a file that is a sample already, and keeps its"
_ADOPTED_MANY = "pictures are files that are samples already, and keep their"


@dataclass(frozen=True)
class Settings:
    """How to ingest; see `slicedb.ingest.ingest`."""

    by_content: bool = False
    prefix: str = ""
    reference: bool = False
    later: bool = False
    replace: bool = False
    delete_missing: bool = False
    max_broken: float | None = None
    max_pixels: int = media.MAX_PIXELS
    ranges: media.Ranges = field(default_factory=dict)
    threads: int | None = None
    show: progress.Watch = None
    skip_same: bool = False
    quality: bool = False
    """Whether the columns of `QUALITY` are written; they are in any case where they are there."""
    crew: Crew | None = None
    """Processes that decode; None takes threads of this one."""
    following: bool = False
    """Whether samples whose files are gone are marked, and those that moved keep their ids."""


@dataclass
class _Tally:
    """What was counted so far."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    duplicates: int = 0
    same_bytes: int = 0
    carried: int = 0
    adopted: int = 0
    twins: int = 0
    dark: int = 0
    twin: tuple[str, str] = ("", "")
    reasons: Counter[str] = field(default_factory=Counter)

    def count(self, judged: Judged, known: Known) -> None:
        """Count one piece."""
        self.added += len(judged.added)
        self.changed += judged.changed
        self.duplicates += judged.duplicates
        self.same_bytes += judged.same_bytes
        self.carried += judged.carried
        self.twins += len(judged.twins)
        self.twin = self.twin if self.twin[0] or not judged.twins else judged.twins[0]
        total = len(judged.piece) - judged.duplicates
        self.unchanged += total - len(judged.added) - judged.changed
        fresh = [*judged.added, *judged.replaced]
        reasons = Counter(some_of(judged.verified.status, judged.at[fresh]))
        told = list(filter(None, some_of(judged.verified.error, judged.at[fresh])))
        self.dark += sum(text.startswith(NEARLY_BLACK) for text in told)
        for shown in SHOWN:
            del reasons[shown]
        self.reasons.update(reasons)
        rows = judged.piece.rows
        is_old = rows >= 0
        is_old[fresh] = False
        self.reasons.update(known.broken(rows[is_old]))

    def notes(self) -> list[str]:
        """Return what is to be known of pictures that were here before, and of dark ones."""
        notes = []
        if self.dark:
            notes.append(
                f"{numbers.count(self.dark, 'picture is', 'pictures are')} nearly black after "
                "scaling "
                f"to 8 bits: {numbers.verb(self.dark, 'it uses', 'they use')} a small part of the "
                f"range that {numbers.verb(self.dark, 'it declares', 'they declare')}. To see "
                f"them: error LIKE '{NEARLY_BLACK}%'. gray_range= (--gray-range 0,4095) says what "
                "becomes black and white."
            )
        if self.adopted:
            notes.append(
                f"{numbers.count(self.adopted, _ADOPTED, _ADOPTED_MANY)} ids. prefix= (--prefix) "
                "or an id column adds them as samples of their own."
            )
        if self.twins:
            new, old = self.twin
            notes.append(
                f"{self.twins:,} of the added samples have the same bytes as samples from before: "
                f"'{new}' is '{old}'. To see them: {SAME_BYTES}. same='skip' (--same skip) leaves "
                "such pictures out."
            )
        return notes

    def add(self, bulk: Bulk) -> None:
        """Count what was written in columns."""
        self.added += bulk.added
        self.unchanged += bulk.unchanged
        self.reasons.update(bulk.reasons)

    def report(
        self,
        source: Source,
        seconds: float,
        missing: int,
        deleted: int,
        marked: following.Marked,
    ) -> IngestReport:
        """Return what is told of a run."""
        return IngestReport(
            source=source.where,
            added=self.added,
            changed=self.changed,
            unchanged=self.unchanged,
            missing=missing,
            deleted=deleted,
            same_bytes=self.same_bytes,
            moved=self.carried,
            vanished=marked.vanished,
            hidden=marked.hidden,
            back=marked.back,
            duplicates=self.duplicates,
            quarantined=self.reasons.total(),
            reasons=dict(self.reasons.most_common()),
            skipped=source.skipped,
            notes=(*source.notes, *self.notes()),
            seconds=seconds,
        )


def run(store: Store, source: Source, settings: Settings) -> IngestReport:
    """Ingest an opened source.

    Raises:
        IngestError: an id is taken by another image.
        TooManyBrokenError: the share of broken images is too high; the data stays.
    """
    started = time.perf_counter()
    if not settings.later and not settings.following:
        source = refuse_absent(source)
    for note in source.renamed:
        progress.note(note, settings.show)
    _prepare(store, source, settings)
    known = Known(store, with_images=not settings.reference)
    if settings.following and following.is_complete(source):
        known.gone = following.gone(source, known)
    tally = _Tally()
    adopted = Adopted(source.batches, known, source.where)
    if len(known.keys) and not source.named and not settings.by_content:
        source = replace(source, batches=adopted, keys=None)
    _write_all(store, source, settings, known, tally)
    tally.adopted = 0 if settings.following else adopted.count
    missing, deleted = _missing(store, source, known, settings)
    marked = following.Marked()
    if known.gone is not None:
        marked = following.mark(store, known, known.gone & ~known.seen)
    if deleted or marked.vanished or marked.back:
        store.sync()
    report = tally.report(source, time.perf_counter() - started, missing, deleted, marked)
    nothing = report.total and report.reasons.get(UNREADABLE) == report.total
    if nothing and not settings.following:
        raise nothing_read(
            source.where, report.total, _some_uri(store), "the samples are there, quarantined"
        )
    _refuse_broken(report, settings.max_broken)
    return report


def _write_all(
    store: Store, source: Source, settings: Settings, known: Known, tally: _Tally
) -> None:
    """Verify, judge and write a source piece by piece; one piece is written while the next is read.

    Args:
        known: what is stored; what was met is marked in it.
        tally: counts what becomes of every row.
    """
    fresh = {SAMPLES: FreshRows(store, SAMPLES, known.version)}
    if not settings.reference:
        fresh[IMAGES] = FreshRows(store, IMAGES, known.images_version)
    with (
        progress.bar(source.total, "ingest", settings.show) as bar,
        _decoders(settings) as pool,
        ThreadPoolExecutor(1, "slicedb-write") as writer,
    ):
        written: Future[None] | None = None
        bulk = None
        if settings.later and not source.carries_images:
            bulk = Bulk(store, source, known, bar)
            source = replace(source, batches=bulk.changed(), keys=None)
        try:
            new_keys: set[int] = set()
            quality = has_quality(store)
            for piece in _verifying(source, known, pool, settings, quality):
                judged = judge(
                    piece,
                    source,
                    known,
                    new_keys,
                    by_content=settings.by_content,
                    replace=settings.replace,
                    skip_same=settings.skip_same,
                )
                if written is not None:
                    written.result()
                written = writer.submit(_write, store, judged, fresh)
                tally.count(judged, known)
                bar.advance(len(piece))
            if written is not None:
                written.result()
                for rows in fresh.values():
                    rows.close()
                store.sync()
            if bulk is not None:
                bulk.close()
                tally.add(bulk)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _decoders(settings: Settings) -> Executor:
    """Return what verifies images: threads, which decode with the lock released, or a crew."""
    if settings.crew is not None and not settings.later:
        return settings.crew.pool()
    return ThreadPoolExecutor(media.n_threads(settings.threads or None), "slicedb-verify")


def _some_uri(store: Store) -> str:
    where = f"status = '{UNREADABLE}'"
    return str(store.table(SAMPLES, ["uri"], where=where)["uri"][-1])


def _prepare(store: Store, source: Source, settings: Settings) -> None:
    """Make the table and the columns that are not there yet."""
    if not settings.reference and not store.has(IMAGES):
        store.create(IMAGES, IMAGES_SCHEMA)
    schema = store.schema(SAMPLES)
    fields = [*source.fields, *LOOKS, *(QUALITY if settings.quality else ())]
    if any(lacking(schema, field) for field in fields):
        store.add_columns(SAMPLES, fields)
    if settings.following:
        following.prepare(store)
        source.etags = is_remote(source.where)


def _verifying(
    source: Source,
    known: Known,
    pool: Executor,
    settings: Settings,
    quality: bool,
) -> Iterator[Piece]:
    """Yield the pieces in order, with the next ones already in the hands of the threads."""
    crew = settings.crew
    threads = crew.threads if crew is not None else media.n_threads(settings.threads or None)
    ahead: deque[Piece] = deque()
    for piece in pieces(source, known, by_content=settings.by_content):
        piece.start(
            pool,
            threads,
            known,
            settings.max_pixels,
            settings.later,
            quality,
            settings.ranges,
        )
        ahead.append(piece)
        if len(ahead) > _AHEAD:
            yield ahead.popleft()
    yield from ahead


def _write(store: Store, judged: Judged, fresh: dict[str, FreshRows]) -> None:
    images = judged.images() if IMAGES in fresh else None
    if images is not None:
        if judged.replaced or judged.restored:
            fresh[IMAGES].join(images)
        else:
            fresh[IMAGES].write(images)
    for table, is_new in judged.samples():
        if is_new:
            fresh[SAMPLES].write(table)
        else:
            fresh[SAMPLES].join(table, insert=False)
    store.sync()  # here, so that the disk works while the next piece is verified


def _missing(store: Store, source: Source, known: Known, settings: Settings) -> tuple[int, int]:
    """Return how many samples are gone from their source, and how many of them were removed."""
    if not len(known.keys) or known.seen.all():
        return 0, 0
    if known.gone is not None:
        owned = known.gone
    elif settings.following:
        return 0, 0
    else:
        owned = known.owned(source, settings.prefix, by_content=settings.by_content)
    gone = np.flatnonzero(owned & ~known.seen)
    if not settings.delete_missing or not len(gone):
        return len(gone), 0
    ids = known.ids(gone)
    store.delete(SAMPLES, ids)
    if store.has(IMAGES):
        store.delete(IMAGES, ids)
    return len(gone), len(gone)


def _refuse_broken(report: IngestReport, max_broken: float | None) -> None:
    if max_broken is None or report.broken_share <= max_broken:
        return
    error = TooManyBrokenError(
        f"{report.quarantined:,} of {numbers.count(report.total, 'image')} "
        f"{numbers.verb(report.quarantined, 'is', 'are')} broken "
        f"({report.broken_share:.1%}), more than the {max_broken:.1%} allowed.",
        "the samples are in the database, the broken ones quarantined: status <> 'ok' lists them.",
    )
    error.report = report
    raise error
