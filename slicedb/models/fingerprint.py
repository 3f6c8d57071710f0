"""Identify the weights, code and preprocessing that a result was computed with."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Mapping
from types import CodeType

import numpy as np

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def tensors_digest(named: Mapping[str, object] | Iterable[tuple[str, object]]) -> str:
    """Return the sha256 of named tensors: names, dtypes, shapes and values.

    The order does not count, so that a file and the module loaded from it agree.

    Args:
        named: tensors or arrays by name, for example a `state_dict` (buffers included). Values
            that are neither count with their `repr`.
    """
    pairs = named.items() if isinstance(named, Mapping) else named
    digest = hashlib.sha256()
    for name, value in sorted(pairs, key=lambda pair: pair[0]):
        array = as_array(value)
        if array is None:
            digest.update(f"{name}={ADDRESS.sub('', repr(value))}\n".encode())
            continue
        digest.update(f"{name}:{array.dtype}:{array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def as_array(value: object) -> np.ndarray | None:
    """Return a tensor's or array's values as a numpy array, None for anything else."""
    if isinstance(value, np.ndarray):
        return np.atleast_1d(value)
    if not (hasattr(value, "detach") and hasattr(value, "cpu")):
        return None
    tensor = value.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        tensor = tensor.float()  # numpy has no bfloat16; the values stay exact
    return np.atleast_1d(np.asarray(tensor.numpy()))


def code_text(thing: object) -> str:
    """Return text that changes when the code of a function, class or transform does.

    The source counts without its comments and layout, so that another Python gives the same
    text; memory addresses are left out, so that another process does.
    """
    code = getattr(thing, "__code__", None)
    if code is not None:
        return f"{_name(thing)}:{source_digest(thing) or code_digest(code)}"
    if inspect.isclass(thing):
        methods = [m for m in vars(thing).values() if hasattr(m, "__code__")]
        return f"{_name(thing)}:" + (source_digest(thing) or ",".join(map(code_text, methods)))
    shown = ADDRESS.sub("", repr(thing))
    inner = getattr(thing, "transforms", None)  # torchvision's Compose and its like
    if isinstance(inner, (list, tuple)):
        shown += "".join(map(code_text, inner))
    if hasattr(thing, "lambd"):  # torchvision's Lambda
        shown += code_text(thing.lambd)
    return shown


def _name(thing: object) -> str:
    return str(getattr(thing, "__qualname__", ""))


def source_digest(thing: object) -> str | None:
    """Return a digest of the source without comments and layout, None where there is none."""
    try:
        text = textwrap.dedent(inspect.getsource(thing))  # type: ignore[arg-type]
        return hashlib.sha256(ast.unparse(ast.parse(text)).encode()).hexdigest()[:16]
    except (OSError, TypeError, SyntaxError):  # typed at a prompt, or a lambda inside a call
        return None


def code_digest(code: CodeType) -> str:
    """Return a digest of compiled code; it differs between versions of Python."""
    digest = hashlib.sha256(code.co_code)
    digest.update(repr(code.co_names).encode())
    for constant in code.co_consts:
        if hasattr(constant, "co_code"):
            text = code_digest(constant)
        elif isinstance(constant, frozenset):  # its order differs from process to process
            text = repr(sorted(map(repr, constant)))
        else:
            text = repr(constant)
        digest.update(text.encode())
    return digest.hexdigest()[:16]


def combine(parts: Mapping[str, object]) -> str:
    """Return the sha256 (hex) of a JSON-ready mapping."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
