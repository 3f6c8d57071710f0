"""The registry: which models a database knows, and how to load them again."""

from __future__ import annotations

import builtins
import datetime
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from slicedb.errors import ModelError, UnknownModelError, did_you_mean
from slicedb.models.loading import PRETRAINED, RANDOM, load, resolve
from slicedb.models.model import Model
from slicedb.models.names import check_name
from slicedb.schema import MODELS, MODELS_SCHEMA, PER_MODEL, SAMPLES


class Tables(Protocol):
    """What the registry needs of a store."""

    def has(self, name: str) -> bool: ...
    def create(self, name: str, schema: Any) -> None: ...
    def schema(self, name: str, version: int | None = None) -> Any: ...
    def table(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        *,
        where: str | None = None,
        version: int | None = None,
    ) -> Any: ...
    def upsert(self, name: str, batches: Any) -> int: ...
    def delete(self, name: str, ids: Sequence[str]) -> int: ...
    def drop(self, name: str) -> None: ...
    def pins(self, name: str) -> dict[str, int]: ...
    def restore(self, name: str, version: int | None) -> None: ...


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
    preprocessing: dict[str, Any]
    details: dict[str, Any] = field(default_factory=dict)
    """Number of parameters, class of the object, whether pickles are allowed."""
    added_at: datetime.datetime | None = None

    def __str__(self) -> str:
        shown = ", ".join(self.classes[:8]) + (", ..." if len(self.classes) > 8 else "")
        count = self.details.get("parameters")
        source = self.spec or f"Python object {self.details.get('object', '')}"
        lines = [
            f"{self.name}: {source}" + (f", weights {self.weights}" if self.weights else ""),
            f"  {len(self.classes)} classes: {shown}",
            f"  fingerprint {self.fingerprint[:16]}" + (f", {count:,} parameters" if count else ""),
            "  " + ", ".join(f"{key} {value}" for key, value in self.preprocessing.items()),
        ]
        return "\n".join(lines)


class Registry:
    """The models of one database.

    Args:
        store: the tables.
    """

    def __init__(self, store: Tables) -> None:
        self._store = store
        self._loaded: dict[str, Model] = {}

    def add(
        self,
        name: str,
        model: Model | str,
        *,
        weights: str | os.PathLike[str] | None = None,
        classes: Sequence[str] | None = None,
        allow_pickle: bool = False,
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
            replace: give a name that is there another model; its predictions are then stale.

        Raises:
            ModelError: the name is taken or unusable, or the model does not load.
            ClassesError: class list and output differ in number.
        """
        columns = self._store.schema(SAMPLES).names if self._store.has(SAMPLES) else []
        check_name(name, columns=columns)
        file = os.fspath(weights) if weights is not None else None
        if file not in (None, PRETRAINED, RANDOM):
            file = os.path.abspath(os.path.expanduser(str(file)))
        spec = _absolute(model) if isinstance(model, str) else ""
        if isinstance(model, str):
            loaded = load(spec, weights=file, classes=classes, allow_pickle=allow_pickle, name=name)
        else:
            loaded = _object(name, model, file, classes)
        row = _describe(name, spec, file, loaded, allow_pickle)
        before = self._rows().get(name)
        if before is not None and before.fingerprint != row.fingerprint and not replace:
            raise ModelError(
                f"There is a model '{name}' already, with other weights, code or classes.",
                "take another name, or replace=True (--replace): what it predicted is then stale.",
            )
        self._write(row)
        self._loaded[name] = loaded
        return row

    def get(self, name: str) -> Model:
        """Return a model ready to run: the one added in this process, else loaded again.

        Raises:
            UnknownModelError: no model of that name.
            ModelError: it was added as a Python object elsewhere, or is not what it was.
        """
        row = self.show(name)
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
        loaded = load(
            row.spec,
            weights=row.weights,
            classes=row.classes,
            allow_pickle=bool(row.details.get("allow_pickle")),
            name=name,
        )
        if loaded.fingerprint() != row.fingerprint:
            raise ModelError(
                f"Model '{name}' is not what was registered: its weights, code or preprocessing "
                f"changed ({row.spec}).",
                "register it again with replace=True (--replace), or under another name.",
            )
        self._loaded[name] = loaded
        return loaded

    def can_load(self, name: str) -> bool:
        """Return whether `get` has something to run: a spec, or an object of this process."""
        row = self._rows().get(name)
        return row is not None and (bool(row.spec) or name in self._loaded)

    def list(self) -> builtins.list[Registered]:
        """Return all models, by name."""
        rows = self._rows()
        return [rows[name] for name in sorted(rows)]

    def show(self, name: str) -> Registered:
        """Return what is known of a model.

        Raises:
            UnknownModelError: no model of that name.
        """
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
        self.show(name)
        self._store.delete(MODELS, [name])
        self._loaded.pop(name, None)
        for table in (start + name for start in PER_MODEL):
            if self._store.has(table) and self._store.pins(table):
                self._store.restore(table, None)
            elif self._store.has(table):
                self._store.drop(table)

    def __contains__(self, name: object) -> bool:
        return name in self._rows()

    def _rows(self) -> dict[str, Registered]:
        if not self._store.has(MODELS):
            return {}
        return {row["id"]: _read(row) for row in self._store.table(MODELS).to_pylist()}

    def _write(self, row: Registered) -> None:
        self._store.create(MODELS, MODELS_SCHEMA)
        values = {
            "id": row.name,
            "spec": row.spec,
            "weights": row.weights,
            "classes": list(row.classes),
            "fingerprint": row.fingerprint,
            "preprocessing": json.dumps(row.preprocessing),
            "details": json.dumps(row.details),
            "added_at": row.added_at,
        }
        self._store.upsert(MODELS, pa.Table.from_pylist([values], schema=MODELS_SCHEMA))


def _object(name: str, model: Any, weights: str | None, classes: Sequence[str] | None) -> Model:
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


def _absolute(spec: str) -> str:
    """Return the spec with the path of its file made absolute."""
    if ".py:" in spec:
        path, factory = resolve(spec)
        return f"{path}:{factory}"
    if ":" not in spec and os.path.exists(os.path.expanduser(spec)):
        return os.path.abspath(os.path.expanduser(spec))
    return spec


def _describe(
    name: str, spec: str, weights: str | None, model: Model, allow_pickle: bool
) -> Registered:
    details: dict[str, Any] = {"object": type(getattr(model, "module", model)).__name__}
    if (count := model.n_parameters()) is not None:
        details["parameters"] = count
    if allow_pickle:
        details["allow_pickle"] = True
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
