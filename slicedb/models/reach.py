"""Describe what the code of a model reaches: closures, globals, attributes, defaults, helpers.

The text of a function does not change when a variable that it closes over does. This file follows
such references from a model, its transform and its methods as far as they are the user's own, and
gives a digest for each of them under a name that is the same in every process.

Libraries are not followed: of their functions and classes the name counts, of their objects the
attributes. Counters and caches, which a forward pass itself changes, are found by comparing two
descriptions (`Model.check`) and left out.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import inspect
import site
import sys
import sysconfig
import types
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any

from slicedb.models.fingerprint import ADDRESS, as_array, code_digest, source_digest

_MOST = 200_000
"""Values that are described; a larger graph is data rather than code."""
_DEPTH = 60
_OPEN = frozenset(
    """
    torch torchvision timm open_clip kornia albumentations PIL transformers torchaudio lightning
    pytorch_lightning functools collections types operator
    """.split()
)
"""Libraries whose objects are described by their attributes: modules and transforms."""
_RANDOM = frozenset({"Generator", "RandomState", "Random", "SystemRandom", "PCG64", "MT19937"})
_PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray, range, slice)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def reached(
    root: object, *, skip: Collection[str] = (), weights: Collection[int] = ()
) -> dict[str, str]:
    """Return a digest for each value that `root` reaches, by a path such as `.forward.SCALE`.

    Args:
        root: a function, class, module, transform or model.
        skip: attributes of `root` itself that are described elsewhere.
        weights: identities of tensors that are described elsewhere.
    """
    walk = _Walk(frozenset(weights))
    plain = inspect.isroutine(root) or inspect.isclass(root) or not hasattr(root, "__dict__")
    if plain:
        walk.visit("", root)
    else:
        walk.instance("", root, frozenset(skip))
    return walk.digests


def under(path: str, roots: Collection[str]) -> bool:
    """Return whether a path is one of the roots, or lies below one.

    >>> under(".cache[3]", {".cache"}), under(".cached", {".cache"})
    (True, False)
    """
    return any(path == r or (path.startswith(r) and path[len(r)] in ".[<") for r in roots)


class _Walk:
    """One description in the making."""

    def __init__(self, weights: frozenset[int]) -> None:
        self.digests: dict[str, str] = {}
        self._weights = weights
        self._code: dict[int, str] = {}
        self._open: set[int] = set()
        self._kept: list[object] = []  # so that no identity is used twice

    def visit(self, path: str, value: object, depth: int = 0) -> None:
        """Add the digests of a value and of what it reaches.

        Code is described once, since one process has one of it; data is described wherever it is
        reached, since whether two equal lists are one differs from process to process.
        """
        if isinstance(value, _PLAIN):
            self.add(path, f"{type(value).__name__}:{value!r}")
        elif id(value) in self._code:
            self.add(path, f"= {self._code[id(value)]}")
        elif id(value) in self._open or depth > _DEPTH:
            self.add(path, "within itself")
        elif len(self.digests) < _MOST:
            self._describe(path, value, depth)

    def _describe(self, path: str, value: object, depth: int) -> None:
        self._kept.append(value)
        if inspect.isroutine(value) or inspect.isclass(value) or inspect.ismodule(value):
            self._code[id(value)] = path
        self._open.add(id(value))
        digest = _digest_of_array(value)
        if digest is not None:
            self.add(path, digest)
        else:
            describe = next((d for applies, d in _RULES if applies(value)), _Walk.object_)
            describe(self, path, value, depth + 1)
        self._open.discard(id(value))

    def add(self, path: str, text: str) -> None:
        """Add the digest of a text."""
        self.digests[path] = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]

    # --- values --------------------------------------------------------------------------------

    def items(self, path: str, value: Any, depth: int) -> None:
        self.add(path, f"{type(value).__name__} of {len(value)}")
        for i, item in enumerate(value):
            self.visit(f"{path}[{i}]", item, depth)

    def set_(self, path: str, value: Any, depth: int) -> None:
        self.add(path, f"{type(value).__name__} {sorted(map(_shown, value))}")

    def mapping(self, path: str, value: Any, depth: int) -> None:
        self.add(path, f"{type(value).__name__} of {len(value)}")
        for key, item in list(value.items()):
            self.visit(f"{path}[{_shown(key)}]", item, depth)

    def named(self, path: str, value: object, depth: int) -> None:
        self.add(path, _name(value))

    def program(self, path: str, value: Any, depth: int) -> None:
        """Describe a traced or scripted network by the code it holds."""
        try:
            text = str(value.code)
        except RuntimeError:  # a scripted module without methods
            text = _shown(value)
        self.add(path, text)
        if "_modules" in vars(value):
            self.parts(path, vars(value), depth)

    # --- code ----------------------------------------------------------------------------------

    def partial(self, path: str, value: Any, depth: int) -> None:
        self.add(path, "partial")
        for part in ("func", "args", "keywords"):
            self.visit(f"{path}.{part}", getattr(value, part), depth)

    def method(self, path: str, value: Any, depth: int) -> None:
        self.add(path, f"method {_name(value.__func__)}")
        self.visit(f"{path}.__func__", value.__func__, depth)
        self.visit(f"{path}.__self__", value.__self__, depth)

    def wrapped(self, path: str, value: Any, depth: int) -> None:
        self.add(path, f"wrapper {type(value).__name__}")
        inner = value.__func__ if isinstance(value, (staticmethod, classmethod)) else None
        self.visit(f"{path}.__wrapped__", inner or value.__wrapped__, depth)

    def property_(self, path: str, value: Any, depth: int) -> None:
        self.add(path, "property")
        for part in ("fget", "fset"):
            if getattr(value, part, None) is not None:
                self.visit(f"{path}.{part}", getattr(value, part), depth)

    def function(self, path: str, function: Any, depth: int) -> None:
        if _of_library(function):
            self.add(path, _name(function))
            return
        code = function.__code__
        text = source_digest(function) if "<lambda>" not in function.__qualname__ else None
        self.add(path, f"{function.__qualname__}:{text or code_digest(code)}")
        for what in ("__defaults__", "__kwdefaults__"):
            if getattr(function, what):
                self.visit(f"{path}.{what}", getattr(function, what), depth)
        for name, cell in zip(code.co_freevars, function.__closure__ or ()):
            try:
                self.visit(f"{path}.<{name}>", cell.cell_contents, depth)
            except ValueError:  # not assigned yet
                self.add(f"{path}.<{name}>", "empty")
        if hasattr(function, "__wrapped__"):
            self.visit(f"{path}.__wrapped__", function.__wrapped__, depth)
        self.globals_(path, function.__globals__, _names_in(code), depth)

    def globals_(
        self, path: str, known: Mapping[str, object], names: tuple[str, ...], depth: int
    ) -> None:
        """Describe the globals that code names, and of the user's modules what it may name."""
        for name in names:
            if name not in known:
                continue
            value = known[name]
            if not isinstance(value, types.ModuleType):
                self.visit(f"{path}.{name}", value, depth)
            elif not _is_library(value.__name__):
                below = [other for other in names if other != name and other in vars(value)]
                for other in below:
                    self.visit(f"{path}.{name}.{other}", vars(value)[other], depth)

    def class_(self, path: str, value: type, depth: int) -> None:
        if _of_library(value):
            self.add(path, _name(value))
            return
        self.add(path, f"{_name(value)}:{source_digest(value)}")
        for name, member in list(vars(value).items()):
            if name not in _CLASS_PLUMBING:
                self.visit(f"{path}.{name}", member, depth)
        for i, base in enumerate(value.__bases__):
            self.visit(f"{path}.__bases__[{i}]", base, depth)

    # --- objects -------------------------------------------------------------------------------

    def module(self, path: str, value: types.ModuleType, depth: int) -> None:
        self.add(path, f"module {value.__name__}")

    def object_(self, path: str, value: object, depth: int) -> None:
        kind = type(value)
        if kind.__name__ in _RANDOM:
            self.add(path, kind.__name__)
        elif hasattr(value, "__dict__") and (not _of_library(kind) or _top(kind) in _OPEN):
            self.instance(path, value, frozenset(), depth)
        elif not _of_library(kind) and hasattr(kind, "__slots__"):
            self.add(path, _name(kind))
            self.visit(f"{path}.__class__", kind, depth)
            for name in _slots(kind):
                if hasattr(value, name):
                    self.visit(f"{path}.{name}", getattr(value, name), depth)
        else:
            self.add(path, _shown(value))

    def instance(self, path: str, value: object, skip: frozenset[str], depth: int = 0) -> None:
        """Describe class and attributes; of a torch module what its `state_dict` leaves out."""
        self.add(path, _name(type(value)))
        self.visit(f"{path}.__class__", type(value), depth)
        attributes = dict(vars(value))
        if hasattr(value, "_parameters") and hasattr(value, "_modules"):
            self.parts(path, attributes, depth)
            plumbing = _module_plumbing()
            attributes = {k: v for k, v in attributes.items() if k not in plumbing}
        for name, item in attributes.items():
            if name not in skip:
                self.visit(f"{path}.{name}", item, depth)

    def parts(self, path: str, held: Mapping[str, Any], depth: int) -> None:
        """Describe hooks, tensors and parts of a torch module."""
        for name in _HOOKS:
            for i, hook in enumerate(held.get(name, {}).values()):
                self.visit(f"{path}.{name}[{i}]", hook, depth)
        for group in ("_buffers", "_parameters", "_modules"):
            for name, part in held.get(group, {}).items():
                if id(part) not in self._weights:
                    self.visit(f"{path}.{name}", part, depth)


def _digest_of_array(value: object) -> str | None:
    """Return the digest of a tensor or array, None for anything else."""
    try:
        array = as_array(value)
    except (RuntimeError, TypeError, NotImplementedError):  # sparse, quantised, without memory
        return _shown(value)
    if array is None or array.dtype.hasobject:
        return None
    digest = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
    digest.update(array.tobytes())
    return digest.hexdigest()


def _shown(value: object) -> str:
    try:
        return ADDRESS.sub("", repr(value))[:2_000]
    except Exception:  # a repr of the user's that fails says nothing
        return _name(type(value))


def _name(thing: object) -> str:
    """Return the name of code; that of the user's has no module, which differs by how it is run."""
    module = f"{getattr(thing, '__module__', '')}." if _of_library(thing) else ""
    return f"{module}{getattr(thing, '__qualname__', '')}"


def _top(thing: object) -> str:
    return str(getattr(thing, "__module__", "") or "").partition(".")[0]


def _of_library(thing: object) -> bool:
    return _is_library(str(getattr(thing, "__module__", "") or "builtins"))


@cache
def _is_library(module: str) -> bool:
    """Return whether a module belongs to Python, to an installed package, or to SliceDB."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names and top != "__main__":
        return True
    if top in ("slicedb", "builtins"):
        return True
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return any(file.startswith(root) for root in _roots())


@cache
def _roots() -> tuple[str, ...]:
    """Return the folders that installed packages lie in."""
    paths = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
    return tuple({path.rstrip("/") + "/" for path in [*paths, site.getusersitepackages()]})


def _names_in(code: types.CodeType) -> tuple[str, ...]:
    """Return the names of globals and attributes in code, and in the functions inside it."""
    names = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= dict.fromkeys(_names_in(constant))
    return tuple(names)


def _slots(kind: type) -> Iterator[str]:
    for base in kind.__mro__:
        slots = getattr(base, "__slots__", ())
        yield from (slots,) if isinstance(slots, str) else slots


@cache
def _module_plumbing() -> frozenset[str]:
    """Return the attributes that every torch module has."""
    import torch

    return frozenset(vars(torch.nn.Module()))


_CLASS_PLUMBING = frozenset(
    """
    __module__ __dict__ __weakref__ __doc__ __qualname__ __annotations__ __firstlineno__
    __static_attributes__ __abstractmethods__ _abc_impl __parameters__ __orig_bases__
    __dataclass_fields__ __dataclass_params__ __match_args__ __slots__
    """.split()
)

_RULES: tuple[tuple[Any, Any], ...] = (
    (lambda v: hasattr(v, "_modules") and hasattr(v, "code"), _Walk.program),
    (lambda v: isinstance(v, enum.Enum), lambda w, p, v, d: w.add(p, _shown(v))),
    (lambda v: isinstance(v, (list, tuple)), _Walk.items),
    (lambda v: isinstance(v, (set, frozenset)), _Walk.set_),
    (lambda v: isinstance(v, Mapping), _Walk.mapping),
    (lambda v: isinstance(v, functools.partial), _Walk.partial),
    (inspect.ismethod, _Walk.method),
    (inspect.isfunction, _Walk.function),
    (inspect.isbuiltin, _Walk.named),
    (inspect.isclass, _Walk.class_),
    (lambda v: isinstance(v, property), _Walk.property_),
    (lambda v: isinstance(v, (staticmethod, classmethod)), _Walk.wrapped),
    (lambda v: isinstance(v, functools._lru_cache_wrapper), _Walk.wrapped),
    (inspect.ismodule, _Walk.module),
)
"""What a value is, and how it is described; the first that applies."""
