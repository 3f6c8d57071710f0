"""The registry: which models a database knows, and how to load them again."""

from __future__ import annotations

import builtins
import datetime
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replace_
from typing import Any

import pyarrow as pa

from slicedb.errors import ConflictError, ModelError, UnknownModelError, did_you_mean, suggesting
from slicedb.models.lineage import Judgement, judgements
from slicedb.models.loading import load, type_of
from slicedb.models.model import Model
from slicedb.models.names import check_name
from slicedb.models.noise import differ, outputs_on_noise
from slicedb.models.types import PRETRAINED, RANDOM
from slicedb.schema import MODELS, MODELS_SCHEMA, PER_MODEL, RUNS_SCHEMA, SAMPLES
from slicedb.store import Store

_NOISE = "noise"
"""Where the details of a model keep what it said of noise; see `slicedb.models.noise`."""
_SHOWN = 10
"""Runs that the text of a model shows."""
_TRIES = 100
"""How often a model is numbered again; each other writer costs one."""


@dataclass(frozen=True)
class Registered:
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
    judged: tuple[Judgement, ...] = ()
    """Runs it took part in, the newest first; filled in by `show`."""

    @property
    def version(self) -> int:
        """Counts up with each change of weights, code or classes under the name, from 1."""
        return int(self.details.get("version", 1))

    @property
    def trained_on(self) -> str:
        """The commit of its training data, "" where it was not given."""
        return str(self.details.get("trained_on", ""))

    def lineage(self) -> dict[str, object]:
        """Return all that is known as plain values, for JSON."""
        facts = {k: v for k, v in vars(self).items() if k not in ("details", "judged")}
        runs = [{**vars(j), "ran_at": j.ran_at.isoformat()} for j in self.judged]
        at = None if self.added_at is None else self.added_at.isoformat()
        return {
            **facts,
            **{k: v for k, v in self.details.items() if k != _NOISE},
            "classes": list(self.classes),
            "version": self.version,
            "added_at": at,
            "judged": runs,
        }

    def __str__(self) -> str:
        shown = ", ".join(self.classes[:8]) + (", ..." if len(self.classes) > 8 else "")
        count = self.details.get("parameters")
        source = self.spec or f"Python object {self.details.get('object', '')}"
        lines = [
            f"{self.name}: {source}" + (f", weights {self.weights}" if self.weights else ""),
            f"  {len(self.classes)} classes: {shown}",
            f"  version {self.version}, fingerprint {self.fingerprint[:16]}"
            + (f", {count:,} parameters" if count else "")
            + (f", added {self.added_at:%Y-%m-%d %H:%M}" if self.added_at else ""),
            "  " + ", ".join(f"{k} {_line(v)}" for k, v in self.preprocessing.items()),
        ]
        if self.trained_on:
            named = self.details.get("trained_on_name", "")
            lines.append(f"  trained on commit {self.trained_on}{f' ({named})' if named else ''}")
        for old in self.details.get("earlier", []):
            lines.append(
                f"  version {old['version']} was {old['fingerprint'][:16]}, added {old['added_at']}"
            )
        lines += [f"  {judgement}" for judgement in self.judged[:_SHOWN]]
        if len(self.judged) > _SHOWN:
            lines.append(f"  {len(self.judged) - _SHOWN:,} more runs")
        return "\n".join(lines)


def _line(value: object) -> str:
    """Return what is shown of a preprocessing: the first text of a transform, on one line.

    >>> _line("Compose(\\n    ToTensor()\\n)ToTensor()")
    'Compose(ToTensor())'
    """
    text = str(value)
    outer = text[: text.index("\n)") + 2] if "\n)" in text else text
    return re.sub(r",? *(?=\))", "", re.sub(r"\s*\n\s*", ", ", outer).replace("(, ", "("))


@suggesting
class Models:
    """The models of one database.

    Args:
        commit_of: gives the id of a commit from its id, tag or branch; raises where there is none.
        runs: gives the rows of the table `runs`, for the lineage of models.
    """

    def __init__(
        self,
        store: Store,
        commit_of: Callable[[str], str] | None = None,
        runs: Callable[[], pa.Table] = RUNS_SCHEMA.empty_table,
    ) -> None:
        self._store = store
        self._runs = runs
        self._commit_of = commit_of or (lambda name: name)
        self._loaded: dict[str, Model] = {}

    def add(
        self,
        name: str,
        model: Model | str,
        *,
        weights: str | os.PathLike[str] | None = None,
        classes: Sequence[str] | None = None,
        allow_pickle: bool = False,
        trained_on: str | None = None,
        replace: bool = False,
    ) -> Registered:
        """Register a model under a name, after one black image went through it.

        Args:
            name: letters, digits and "_"; queries say `<name>.loss`.
            model: a spec (see `slicedb.models.load`), or a `Model`, which lasts as long as this
                process: give it again in the next one.
            weights: see `load`; a file is remembered by its absolute path.
            classes: class names in the order of the logits.
            allow_pickle: see `load`.
            trained_on: the commit, tag or branch of its training data.
            replace: give a name that is there another model; its predictions are then stale.

        Raises:
            DatabaseError: there is no such commit.
            ModelError: the name is taken or unusable, or the model does not load.
            ClassesError: class list and output differ in number.
        """
        columns = self._store.schema(SAMPLES).names if self._store.has(SAMPLES) else []
        check_name(name, columns=columns)
        commit = self._commit_of(trained_on) if trained_on else ""
        file = os.fspath(weights) if weights is not None else None
        if file not in (None, PRETRAINED, RANDOM):
            file = os.path.abspath(os.path.expanduser(str(file)))
        spec = type_of(model).absolute(model) if isinstance(model, str) else ""
        if isinstance(model, str):
            loaded = load(spec, weights=file, classes=classes, allow_pickle=allow_pickle, name=name)
        else:
            loaded = _object(name, model, file, classes)
        row = _describe(name, spec, file, loaded, allow_pickle)
        row = self._register(row, (commit, trained_on or ""), replace=replace)
        self._loaded[name] = loaded
        return row

    def _register(self, row: Registered, commit: tuple[str, str], *, replace: bool) -> Registered:
        """Write a model as the next version of its name, after those that others add meanwhile.

        Args:
            row: what there is to know of it.
            commit: of its training data: the id and the name that was given for it.
            replace: whether the name may belong to another model.
        """
        self._store.create(MODELS, MODELS_SCHEMA)
        for _ in range(_TRIES):
            version = self._store.version(MODELS)
            before = self._rows(version).get(row.name)
            if before is not None and _is_other(before, row) and not replace:
                raise ModelError(
                    f"There is a model '{row.name}' already, with other weights, code or classes.",
                    "take another name, or replace=True (--replace): what it predicted is then "
                    "stale.",
                )
            numbered = _versioned(row, before, *commit)
            try:
                self._store.upsert(MODELS, _to_table(numbered), expected_version=version)
            except ConflictError:
                continue
            return numbered
        raise ConflictError(
            f"Other processes kept changing the models while '{row.name}' was added.",
            "add it again; nothing was written.",
        )

    def get(self, name: str) -> Model:
        """Return a model ready to run: the one added in this process, else loaded again.

        Raises:
            UnknownModelError: no model of that name.
            ModelError: it was added as a Python object elsewhere, or is not what it was.
        """
        row = self._row(name)
        held = self._loaded.get(name)
        if held is not None:
            return held
        if not row.spec:
            raise ModelError(
                f"Model '{name}' was added as a Python object "
                f"({row.details.get('object', 'unknown')}) and lives in that process only.",
                f"add it again here with db.models.add('{name}', model), or register it as "
                "path/to/file.py:factory, which every process can load.",
            )
        self._check_origin(row)
        loaded = load(
            row.spec,
            weights=row.weights,
            classes=row.classes,
            allow_pickle=bool(row.details.get("allow_pickle")),
            name=name,
        )
        noise = row.details.get(_NOISE, ())
        if loaded.fingerprint() != row.fingerprint or differ(noise, outputs_on_noise(loaded)):
            raise ModelError(
                f"Model '{name}' is not what was registered: its weights, code or preprocessing "
                f"changed ({row.spec}).",
                "register it again with replace=True (--replace), or under another name.",
            )
        self._loaded[name] = loaded
        return loaded

    def _check_origin(self, row: Registered) -> None:
        """Refuse code that came with the database: `add` writes absolute paths only."""
        if ".py:" not in row.spec and not row.details.get("allow_pickle"):
            return
        root = os.path.realpath(self._store.path) if self._store.is_local else None
        for path in (row.spec.rpartition(":")[0] or row.spec, row.weights):
            if path is None or not os.path.exists(path):
                continue
            inside = root is not None and os.path.realpath(path).startswith(root + os.sep)
            if inside or not os.path.isabs(path):
                raise ModelError(
                    f"Model '{row.name}' would run code that came with the database: {path}.",
                    "look at that file, copy it elsewhere, and register the model again with "
                    "replace=True (--replace).",
                )

    def can_load(self, name: str) -> bool:
        """Return whether `get` has something to run: a spec, or an object of this process."""
        row = self._rows().get(name)
        return row is not None and (bool(row.spec) or name in self._loaded)

    def list(self) -> builtins.list[Registered]:
        """Return all models, by name."""
        rows = self._rows()
        return [rows[name] for name in sorted(rows)]

    def show(self, name: str) -> Registered:
        """Return what is known of a model, with the runs that judged it.

        Raises:
            UnknownModelError: no model of that name.
        """
        row = self._row(name)
        return replace_(row, judged=tuple(judgements(self._runs(), name, row.fingerprint)))

    def _row(self, name: str) -> Registered:
        rows = self._rows()
        if name not in rows:
            raise UnknownModelError(f"No model '{name}'.", did_you_mean(name, rows, "models"))
        return rows[name]

    def drop(self, name: str) -> None:
        """Forget a model, its predictions and whatever else was computed with it.

        Predictions that a commit or a frozen slice keeps are emptied instead, so that going back
        brings them again.

        Raises:
            UnknownModelError: no model of that name.
        """
        self._row(name)
        for table in (start + name for start in PER_MODEL):
            if self._store.has(table) and self._store.pins(table):
                self._store.restore(table, None)
            elif self._store.has(table):
                self._store.drop(table)
        # The row goes last, so that an interrupted drop can be asked for again.
        self._store.delete(MODELS, [name])
        self._loaded.pop(name, None)

    def __contains__(self, name: object) -> bool:
        return name in self._rows()

    def _rows(self, version: int | None = None) -> dict[str, Registered]:
        if not self._store.has(MODELS):
            return {}
        rows = self._store.table(MODELS, version=version).to_pylist()
        return {row["id"]: _read(row) for row in rows}


def _to_table(row: Registered) -> pa.Table:
    """Return the row of the table `models`."""
    texts = {name: json.dumps(getattr(row, name)) for name in ("preprocessing", "details")}
    values = {**vars(row), **texts, "id": row.name, "classes": list(row.classes)}
    return pa.Table.from_pylist([values], schema=MODELS_SCHEMA)


def _object(name: str, model: object, weights: str | None, classes: Sequence[str] | None) -> Model:
    if not isinstance(model, Model):
        raise ModelError(
            f"A {type(model).__name__} is no model.",
            "wrap a torch.nn.Module: slicedb.models.TorchClassifier(module, classes=[...]).",
        )
    if weights is not None or classes is not None:
        raise ModelError(
            "weights and classes are for a spec; a model object brings its own.",
            "give them to TorchClassifier(module, classes=[...]).",
        )
    model.name = name
    model.check()
    return model


def _describe(
    name: str, spec: str, weights: str | None, model: Model, allow_pickle: bool
) -> Registered:
    details: dict[str, Any] = {"object": type(getattr(model, "module", model)).__name__}
    if (count := model.n_parameters()) is not None:
        details["parameters"] = count
    if allow_pickle:
        details["allow_pickle"] = True
    if noise := outputs_on_noise(model):
        details[_NOISE] = list(noise)
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


def _is_other(before: Registered, now: Registered) -> bool:
    """Return whether a name has another model now: by its fingerprint, or by what it says."""
    noise = [row.details.get(_NOISE, ()) for row in (before, now)]
    return before.fingerprint != now.fingerprint or differ(*noise)


def _versioned(row: Registered, before: Registered | None, commit: str, named: str) -> Registered:
    """Return the row with its version, the commit it was trained on, and what came before."""
    facts: dict[str, Any] = {"version": 1}
    if before is not None:
        lasting = ("version", "earlier", "trained_on", "trained_on_name")
        facts |= {k: before.details[k] for k in lasting if k in before.details}
        if _is_other(before, row):
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


def _read(row: dict[str, Any]) -> Registered:
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
