"""One row of the table `models`: what is known of a model, and how it became another one."""

from __future__ import annotations

import datetime
import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from dataclasses import replace as replace_
from typing import TYPE_CHECKING, Any

from slicedb.models.lineage import Judgement
from slicedb.models.model import Model
from slicedb.models.noise import differ, outputs_on_noise
from slicedb.models.preprocessing import Preprocessing
from slicedb.models.settings import Settings
from slicedb.schema import MODELS_SCHEMA, Row
from slicedb.show import numbers
from slicedb.show.tabular import Figure, Grid, Part, Tabular
from slicedb.show.text import clean

if TYPE_CHECKING:
    import pyarrow as pa

LOGGED = "logged"
"""Where the details of a model that is not registered say how many predictions it has."""
NOISE = "noise"
"""Where the details of a model keep what it said of noise; see `slicedb.models.noise`."""
SETTINGS = "settings"
"""Where the details of a model keep what its user said of the preprocessing."""
_SHOWN = 10
"""Runs that the text of a model shows."""


@dataclass(frozen=True, repr=False)
class Registered(Tabular):
    """One row of the table `models`."""

    name: str
    spec: str
    """What it is loaded from; empty for a Python object, which only its own process can run."""
    weights: str | None
    classes: tuple[str, ...]
    fingerprint: str
    """Hex digest of architecture, weights, preprocessing and class names."""
    preprocessing: dict[str, object]
    details: dict[str, Any] = field(default_factory=dict)
    """Number of parameters, class of the object, version, trained_on, earlier versions."""
    added_at: datetime.datetime | None = None
    notes: tuple[str, ...] = ()
    """What a renaming changed, and what still has the old name."""
    judged: tuple[Judgement, ...] = ()
    """Runs it took part in, the newest first; filled in by `show`."""
    decoded: str = ""
    """How many of the pictures that it predicted a GPU decoded, and how; "" where the CPU decoded
    all of them. Filled in by `show`."""

    @property
    def version(self) -> int:
        """Counts up with each change of weights, code or classes under the name, from 1."""
        return int(self.details.get("version", 1))

    @property
    def logged(self) -> bool:
        """Whether only its predictions are known, which were made elsewhere."""
        return LOGGED in self.details

    @property
    def trained_on(self) -> str:
        """The commit of its training data, "" where it was not given."""
        return str(self.details.get("trained_on", ""))

    def lineage(self) -> dict[str, object]:
        """Return all that is known as plain values, for JSON."""
        facts = {k: v for k, v in vars(self).items() if k not in ("details", "judged", "notes")}
        runs = [{**vars(j), "ran_at": j.ran_at.isoformat()} for j in self.judged]
        at = None if self.added_at is None else self.added_at.isoformat()
        return {
            **facts,
            **{k: v for k, v in self.details.items() if k != NOISE},
            "classes": list(self.classes),
            "version": self.version,
            "added_at": at,
            "judged": runs,
        }

    def to_arrow(self) -> pa.Table:
        """Return one row with a column per fact; what is nested is JSON."""
        import pyarrow as pa

        nested = (dict, list, tuple)
        facts = {
            name: numbers.to_json(value) if isinstance(value, nested) else value
            for name, value in self.lineage().items()
        }
        return pa.Table.from_pylist([facts])

    def parts(self) -> Iterable[Part]:
        """Yield what it is, its preprocessing, and the runs that it took part in."""
        yield str(self)
        if self.judged:
            head = [f.name for f in fields(self.judged[0])]
            rows = [[getattr(one, name) for name in head] for one in self.judged[:_SHOWN]]
            yield Figure(Grid(head, rows).to_html)

    def __str__(self) -> str:
        shown = ", ".join(self.classes[:8]) + (", ..." if len(self.classes) > 8 else "")
        count = self.details.get("parameters")
        if self.logged:
            return "\n".join(map(clean, self._logged_lines(shown)))
        source = self.spec or f"Python object {self.details.get('object', '')}"
        lines = [
            f"{self.name}: {source}" + (f", weights {self.weights}" if self.weights else ""),
            f"  {numbers.count(len(self.classes), 'class', 'classes')}: {shown}",
            f"  version {self.version}, fingerprint {self.fingerprint[:16]}"
            + (f", {numbers.count(count, 'parameter')}" if count else "")
            + (f", added {self.added_at:%Y-%m-%d %H:%M}" if self.added_at else ""),
            *_steps(self.preprocessing),
        ]
        if self.trained_on:
            named = self.details.get("trained_on_name", "")
            lines.append(f"  trained on commit {self.trained_on}{f' ({named})' if named else ''}")
        if self.decoded:
            lines.append(f"  {self.decoded}")
        for old in self.details.get("earlier", []):
            lines.append(
                f"  version {old['version']} was {old['fingerprint'][:16]}, added {old['added_at']}"
            )
        lines += [f"  {judgement}" for judgement in self.judged[:_SHOWN]]
        if len(self.judged) > _SHOWN:
            lines.append(f"  {numbers.count(len(self.judged) - _SHOWN, 'more run')}")
        return "\n".join(map(clean, lines))

    def _logged_lines(self, classes: str) -> list[str]:
        n = numbers.count(self.details[LOGGED], "prediction")
        lines = [f"{self.name}: {n} logged from elsewhere"]
        lines += (
            [f"  {numbers.count(len(self.classes), 'class', 'classes')}: {classes}"]
            if self.classes
            else []
        )
        return [*lines, *(f"  {judgement}" for judgement in self.judged[:_SHOWN])]

    @property
    def runs_code(self) -> bool:
        """Whether loading the model may run code that is neither SliceDB's nor a library's."""
        return ".py:" in self.spec or bool(self.details.get("allow_pickle"))

    @property
    def code(self) -> str:
        """The file that holds the code of the model, "" where its spec is no file."""
        if ".py:" in self.spec:
            return self.spec.rpartition(":")[0]
        is_file = os.sep in self.spec or os.path.exists(self.spec)
        return self.weights or (self.spec if is_file else "")


def _steps(held: dict[str, Any]) -> list[str]:
    """Return the whole preprocessing in words."""
    names = {field.name for field in fields(Preprocessing)}
    if set(held) != names:  # a transform of the user's own, or a detector
        return ["  " + ", ".join(f"{k} {_line(v)}" for k, v in held.items())] if held else []
    parts: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in held.items()}
    return [f"  {Preprocessing(**parts)}"]


def _line(value: object) -> str:
    """Return what is shown of a preprocessing: the first text of a transform, on one line.

    >>> _line("Compose(\\n    ToTensor()\\n)ToTensor()")
    'Compose(ToTensor())'
    """
    text = str(value)
    outer = text[: text.index("\n)") + 2] if "\n)" in text else text
    return re.sub(r",? *(?=\))", "", re.sub(r"\s*\n\s*", ", ", outer).replace("(, ", "("))


def describe(
    name: str,
    spec: str,
    weights: str | None,
    model: Model,
    allow_pickle: bool,
    settings: Settings,
) -> Registered:
    details: dict[str, Any] = {"object": type(getattr(model, "module", model)).__name__}
    if (count := model.n_parameters()) is not None:
        details["parameters"] = count
    if allow_pickle:
        details["allow_pickle"] = True
    if settings.to_json():
        details[SETTINGS] = settings.to_json()
    if noise := outputs_on_noise(model):
        details[NOISE] = list(noise)
    return Registered(
        name=name,
        spec=spec,
        weights=weights,
        classes=tuple(model.classes),
        fingerprint=model.fingerprint(),
        preprocessing=json.loads(model.preprocessing_text()),
        details=details,
        added_at=datetime.datetime.now(datetime.UTC).replace(tzinfo=None),
    )


def is_other(before: Registered, now: Registered) -> bool:
    """Return whether a name has another model now: by its fingerprint, or by what it says."""
    noise = [row.details.get(NOISE, ()) for row in (before, now)]
    return before.fingerprint != now.fingerprint or differ(*noise)


def versioned(row: Registered, before: Registered | None, commit: str, named: str) -> Registered:
    """Return the row with its version, the commit it was trained on, and what came before."""
    facts: dict[str, Any] = {"version": 1}
    if before is not None:
        lasting = ("version", "earlier", "trained_on", "trained_on_name")
        facts |= {k: before.details[k] for k in lasting if k in before.details}
        if is_other(before, row):
            old = {
                "version": before.version,
                "fingerprint": before.fingerprint,
                "trained_on": before.trained_on,
                "added_at": f"{before.added_at:%Y-%m-%d %H:%M}" if before.added_at else "",
            }
            facts = {
                "version": before.version + 1,
                "earlier": [*before.details.get("earlier", []), old],
            }
    if commit:
        facts |= {"trained_on": commit, "trained_on_name": named if named != commit else ""}
    return replace_(row, details={**row.details, **facts})


def from_row(row: Row) -> Registered:
    return Registered(
        name=row["id"],
        spec=row["spec"] or "",
        weights=row["weights"],
        classes=tuple(row["classes"] or ()),
        fingerprint=row["fingerprint"] or "",
        preprocessing=json.loads(row["preprocessing"] or "{}"),
        details=json.loads(row["details"] or "{}"),
        added_at=row["added_at"],
    )


def to_table(row: Registered) -> pa.Table:
    """Return the row of the table `models`."""
    import pyarrow as pa

    texts = {name: json.dumps(getattr(row, name)) for name in ("preprocessing", "details")}
    values = {**vars(row), **texts, "id": row.name, "classes": list(row.classes)}
    return pa.Table.from_pylist([values], schema=MODELS_SCHEMA)


def renamed(name: str, new: str) -> Callable[[pa.Table], pa.Table]:
    """Return the change of the table `models` that gives a model another name."""
    import pyarrow as pa

    def change(rows: pa.Table) -> pa.Table:
        changed = rows.to_pylist()
        for row in changed:
            if row["id"] == name:
                details = json.loads(row["details"] or "{}")
                details["renamed_from"] = [*details.get("renamed_from", []), name]
                row["id"], row["details"] = new, json.dumps(details)
        return pa.Table.from_pylist(changed, schema=rows.schema)

    return change
