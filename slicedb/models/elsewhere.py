"""Name a model so that another process loads the same one."""

from __future__ import annotations

import socket

from slicedb.errors import ModelError
from slicedb.models.model import Model
from slicedb.models.registered import Registered
from slicedb.models.registry import Models
from slicedb.models.trust import Code, vouch


def code_of(row: Registered) -> Code:
    """Return what another process can load a model from.

    Raises:
        ModelError: it is an object of this process.
    """
    if not row.spec:
        raise ModelError(
            f"Model '{row.name}' is a Python object, which lives in this process only.",
            "register it as path/to/file.py:factory, which every process can load, or leave out "
            "workers= and engine= (--workers, --on ray).",
        )
    return row.spec, row.weights


def meant(models: Models, name: str, code: Code, fingerprint: str) -> Model:
    """Return the model that another process has loaded and named.

    That process has been told to trust the code, so that it may run in this one too.

    Raises:
        ModelError: it is another one here, or has become one since.
    """
    row = models.show(name)
    if (row.spec, row.weights) != tuple(code):
        raise ModelError(
            f"Model '{name}' was registered anew meanwhile, as {row.spec}.", "run it again."
        )
    vouch(*code)
    model = models.get(name)
    if model.fingerprint() != fingerprint:
        raise ModelError(
            f"Model '{name}' is another one on {socket.gethostname()}: its weights, code or "
            f"preprocessing differ ({row.spec}).",
            "give all machines the same files and the same versions of packages.",
        )
    return model
