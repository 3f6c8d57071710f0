"""The registry: which models a database knows, and how to load them again."""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Sequence
from dataclasses import replace as replace_

import pyarrow as pa

from slicedb.errors import ConflictError, ModelError, UnknownModelError, did_you_mean, suggesting
from slicedb.models.lineage import judgements
from slicedb.models.loading import load, type_of
from slicedb.models.model import Model
from slicedb.models.names import check_name, refuse_twin
from slicedb.models.noise import differ, outputs_on_noise
from slicedb.models.registered import (
    LOGGED,
    NOISE,
    SETTINGS,
    Registered,
    describe,
    from_row,
    is_other,
    renamed,
    to_table,
    versioned,
)
from slicedb.models.settings import Resize, Settings
from slicedb.models.standing import is_standing, note_standing
from slicedb.models.trust import TRUST_ALL, is_trusted, trust
from slicedb.models.types import PRETRAINED, RANDOM
from slicedb.plugins import LOADING
from slicedb.schema import MODELS, MODELS_SCHEMA, PER_MODEL, PREDICTIONS, RUNS_SCHEMA, SAMPLES
from slicedb.store import Store
from slicedb.store.decoded import decoded_by_gpu
from slicedb.store.tables import COPY_OF
from slicedb.tasks import About

_TRIES = 100
"""How often a model is numbered again; each other writer costs one."""


@suggesting
class Models:
    """The models of one database.

    Args:
        commit_of: gives the id of a commit from its id, tag or branch; raises where there is none.
        runs: gives the rows of the table `runs`, for the lineage of models.
        renamed: lets the texts of slices follow a new name, and returns what to know of it.
    """

    def __init__(
        self,
        store: Store,
        commit_of: Callable[[str], str] | None = None,
        runs: Callable[[], pa.Table] = RUNS_SCHEMA.empty_table,
        renamed: Callable[[str, str], builtins.list[str]] = lambda old, new: [],
    ) -> None:
        self._store = store
        self._runs = runs
        self._renamed_in = renamed
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
        size: int | None = None,
        resize: Resize | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
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
            size: pixels of the square input; by default what the model says, or 224.
            resize: "squash" resizes the whole picture to the input, whatever its shape; "crop"
                resizes its shorter side and crops the centre, a number gives the length of that
                side. By default what the model says, or crop.
            mean: subtracted from the channels in [0, 1], one number or three; by default what the
                model says, or ImageNet's.
            std: divides the channels after that.
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
        settings = Settings.of(size, resize, mean, std)
        if isinstance(model, str):
            loaded = load(
                spec,
                weights=file,
                classes=classes,
                allow_pickle=allow_pickle,
                name=name,
                settings=settings,
            )
        else:
            loaded = _object(name, model, file, classes, settings)
        row = describe(name, spec, file, loaded, allow_pickle, settings)
        row = self._register(row, (commit, trained_on or ""), replace=replace)
        self._loaded[name] = loaded
        if row.runs_code:
            trust(row.spec, row.weights)
        return row

    def trust(self, name: str) -> Registered:
        """Let a model of a database from elsewhere run its code here; look at that code first.

        Only a factory (`file.py:factory`) and a checkpoint that was registered with
        `allow_pickle` run code. One that was registered here is trusted already.

        Args:
            name: a registered model.

        Raises:
            UnknownModelError: no model of that name.
            ModelError: its code lies in the database, or is named by a relative path.
        """
        row = self._row(name)
        if row.runs_code:
            self._refuse_brought(row)
            trust(row.spec, row.weights)
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
            rows = self._rows(version)
            refuse_twin(row.name, [*rows, *self._predicted()])
            before = rows.get(row.name)
            if before is not None and is_other(before, row) and not replace:
                raise ModelError(
                    f"There is a model '{row.name}' already, with other weights, code or classes.",
                    "take another name, or replace=True (--replace): what it predicted is then "
                    "stale.",
                )
            numbered = versioned(row, before, *commit)
            try:
                self._store.upsert(MODELS, to_table(numbered), expected_version=version)
            except ConflictError:
                continue
            self._store.sync()
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
        if row.logged:
            raise ModelError(
                f"Of '{name}' there are logged predictions alone, and no model that could run.",
                f"`slicedb model add {name} SPEC` registers the model itself.",
            )
        if not row.spec:
            raise ModelError(
                f"Model '{name}' was added as a Python object "
                f"({row.details.get('object', 'unknown')}) and lives in that process only.",
                f"add it again here with db.models.add('{name}', model), or register it as "
                "path/to/file.py:factory, which every process can load.",
            )
        self._check_origin(row)
        with LOADING:
            held = self._loaded.get(name)  # another thread may have loaded it meanwhile
            return self._load(row) if held is None else held

    def _load(self, row: Registered) -> Model:
        """Load a model again, and see that it is what it was."""
        loaded = load(
            row.spec,
            weights=row.weights,
            classes=row.classes,
            allow_pickle=bool(row.details.get("allow_pickle")),
            name=row.name,
            settings=Settings.from_json(row.details.get(SETTINGS, {})),
        )
        noise = row.details.get(NOISE, ())
        if loaded.fingerprint() != row.fingerprint or differ(noise, outputs_on_noise(loaded)):
            raise ModelError(
                f"Model '{row.name}' is not what was registered: its weights, code or "
                f"preprocessing changed ({row.spec}).",
                "register it again with replace=True (--replace), or under another name.",
            )
        self._loaded[row.name] = loaded
        note_standing(self._store, row)
        return loaded

    def stands(self, name: str) -> bool:
        """Return whether a model is known to be what was registered, without loading it."""
        row = self._rows().get(name)
        return row is not None and name not in self._loaded and is_standing(self._store, row)

    def _check_origin(self, row: Registered) -> None:
        """Refuse code that the user neither registered here nor trusted."""
        if not row.runs_code:
            return
        self._refuse_brought(row)
        if not is_trusted(row.spec, row.weights):
            raise ModelError(
                f"Model '{row.name}' was registered by somebody else or on another machine, and "
                f"would run the code in {row.code}.",
                f"look at that file; `slicedb model trust {row.name}` lets it run here, and so "
                f"does {TRUST_ALL}=1 where every database is your own.",
            )

    def _refuse_brought(self, row: Registered) -> None:
        """Refuse code that came with the database: `add` writes absolute paths only."""
        root = os.path.realpath(self._store.path) if self._store.is_local else None
        for path in filter(None, (row.code, row.weights)):
            if path in (PRETRAINED, RANDOM):
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
        """Return all models, by name: the registered ones, and those that were logged."""
        rows = self._rows() | self._logged()
        return [rows[name] for name in sorted(rows)]

    def show(self, name: str) -> Registered:
        """Return what is known of a model, with the runs that judged it.

        Raises:
            UnknownModelError: no model of that name.
        """
        row = self._row(name)
        judged = tuple(judgements(self._runs(), name, row.fingerprint))
        decoded = decoded_by_gpu(self._store, PREDICTIONS + name)
        return replace_(row, judged=judged, decoded=decoded)

    def _row(self, name: str) -> Registered:
        rows = self._rows()
        if name not in rows:
            rows |= self._logged()
        if name not in rows:
            raise UnknownModelError(f"No model '{name}'.", did_you_mean(name, rows, "models"))
        return rows[name]

    def drop(self, name: str) -> None:
        """Forget a model, its predictions and whatever else was computed with it.

        Predictions that a commit or a frozen slice keeps come back with it.

        Args:
            name: a registered model, or one whose predictions were logged.

        Raises:
            UnknownModelError: no model of that name.
        """
        self._row(name)
        self.clear(name)
        # The row goes last, so that an interrupted drop can be asked for again.
        if self._store.has(MODELS):
            self._store.delete(MODELS, [name])
        self._store.sync()
        self._loaded.pop(name, None)

    def rename(self, name: str, new: str) -> Registered:
        """Give a model another name, with its predictions, maps and versions.

        Texts and expectations of slices that name it follow; files of slices that do are named in
        `notes`. Runs and commits keep it under its earlier name.

        Args:
            name: a registered model, or one whose predictions were logged.
            new: letters, digits and "_"; a name that is free.

        Raises:
            UnknownModelError: no model of that name.
            ModelError: the new name is taken or unusable.
        """
        row = self._row(name)
        check_name(new, columns=self._store.schema(SAMPLES).names, loose=row.logged)
        refuse_twin(new, [*self._rows(), *self._predicted()])
        tables = [start for start in PER_MODEL if self._store.has(start + name)]
        if new in self._rows() | self._logged() and not self._is_copy(name, new):
            raise ModelError(f"There is a model '{new}' already.", "take another name.")
        for start in tables:
            self._store.copy(start + name, start + new)
        if not row.logged:
            self._store.rewrite(MODELS, renamed(name, new))
        notes = self._renamed_in(name, new)
        for start in tables:  # last, so that an interrupted renaming has lost nothing
            self._store.discard(start + name)
            self._store.set_metadata(start + new, {COPY_OF: ""})
        if name in self._loaded:
            self._loaded[new] = self._loaded.pop(name)
            self._loaded[new].name = new
        self._store.sync()
        return replace_(self._row(new), notes=tuple(notes))

    def _is_copy(self, name: str, new: str) -> bool:
        """Return whether a table of predictions is what an interrupted renaming left."""
        if not self._store.has(PREDICTIONS + new):
            return False
        return self._store.metadata(PREDICTIONS + new).get(COPY_OF) == PREDICTIONS + name

    def clear(self, name: str) -> int:
        """Forget what a model predicted and its maps, and return how many predictions; it stays.

        Predictions that a commit or a frozen slice keeps come back with it.

        Args:
            name: a registered model, or one whose predictions were logged.

        Raises:
            UnknownModelError: no model of that name.
        """
        self._row(name)
        predictions = PREDICTIONS + name
        count = self._store.count(predictions) if self._store.has(predictions) else 0
        for table in (start + name for start in PER_MODEL):
            if self._store.has(table):
                self._store.discard(table)
        self._store.sync()
        return count

    def __contains__(self, name: object) -> bool:
        return name in self._rows()

    def _rows(self, version: int | None = None) -> dict[str, Registered]:
        if not self._store.has(MODELS):
            return {}
        rows = self._store.table(MODELS, version=version).to_pylist()
        return {row["id"]: from_row(row) for row in rows}

    def _logged(self) -> dict[str, Registered]:
        """Return the models that are known by predictions from elsewhere alone."""
        rows = self._rows()
        return {
            name: Registered(
                name,
                "",
                None,
                About.read(self._store, name).classes,
                "",
                {},
                {LOGGED: self._store.count(PREDICTIONS + name)},
            )
            for name in self._predicted()
            if name not in rows
        }

    def _predicted(self) -> builtins.list[str]:
        """Return the names of the models that have predictions."""
        tables = [t for t in self._store.names() if t.startswith(PREDICTIONS)]
        return [t.removeprefix(PREDICTIONS) for t in tables]


def _object(
    name: str,
    model: object,
    weights: str | None,
    classes: Sequence[str] | None,
    settings: Settings,
) -> Model:
    if not isinstance(model, Model):
        raise ModelError(
            f"A {type(model).__name__} is no model.",
            "wrap a torch.nn.Module: slicedb.models.TorchClassifier(module, classes=[...]).",
        )
    if weights is not None or classes is not None or settings.to_json():
        raise ModelError(
            "weights, classes and preprocessing are for a spec; a model object brings its own.",
            "give them to TorchClassifier(module, classes=[...]).",
        )
    model.name = name
    model.check()
    return model
