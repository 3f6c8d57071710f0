"""Describe a slice: its state, and what `slice show` prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from slicedb.slices.slice import Slice


@dataclass(frozen=True)
class SliceState:
    """How a slice stands to the database as it is."""

    kind: Literal["live", "frozen", "stale", "broken"]
    """stale: frozen, and its query finds other samples now. broken: its text does not bind: a
    model, an embedding, a column or a slice it names is gone."""
    note: str = ""
    """What a stale slice's query would add and remove, or what a broken one lacks."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.note}" if self.note else self.kind


@dataclass(frozen=True)
class SliceInfo:
    """What `slice show` prints."""

    slice: Slice
    count: int | None
    """Members now; None where its text does not bind."""
    deleted: list[str]
    """Ids a frozen slice had that are no longer in the database."""
    state: SliceState = SliceState("live")
    versions: tuple[Slice, ...] = ()
    """Every version, oldest first."""
    looks: str = ""
    """How often models were judged on it, for example "12 looks (v3 8, v4 4)"."""

    def __str__(self) -> str:
        s = self.slice
        count = "unknown" if self.count is None else f"{self.count:,}"
        lines = [f"{s.name}  {s.kind}, version {s.version}, {count} samples"]
        lines += [str(self.state)] if self.state.kind in ("stale", "broken") else []
        lines += [s.description] if s.description else []
        lines += [f"from {s.path}"] if s.path else []
        lines += ["", s.text]
        lines += ["", *(f"expects {e}" for e in s.expect)] if s.expect else []
        if s.holdout is not None:
            of = f" of the groups of {s.group}" if s.group else ""
            lines += ["", f"{s.holdout:.0%}{of} are held out from training"]
        lines += [self.looks] if self.looks else []
        if s.calibration is not None:
            lines += ["", str(s.calibration)]
        if s.tables:
            at = ", ".join(f"{t} {v}" for t, v in sorted(s.tables.items()))
            lines += ["", f"frozen at {at}"]
        if self.deleted:
            shown = ", ".join(self.deleted[:5]) + (" ..." if len(self.deleted) > 5 else "")
            lines += [f"{len(self.deleted):,} samples were deleted since: {shown}"]
        if len(self.versions) > 1:
            lines += ["", *(_version_line(v, v.version == s.version) for v in self.versions)]
        return "\n".join(lines)


def _version_line(s: Slice, shown: bool) -> str:
    when = f"{s.created_at:%Y-%m-%d %H:%M}" if s.created_at else ""
    text = " ".join(s.text.split())
    cut = text if len(text) <= 60 else text[:59] + "…"
    return f"{'*' if shown else ' '} {s.name}@{s.version}  {when}  {s.kind:6}  {cut}"
