"""Look into the files of programs before they are opened, and refuse what could run code.

`torch.export.load` unpickles members of an archive, evaluates the expressions of its sizes as
Python, resolves the names of its operators among all that `torch` holds, and loads shared
libraries. TorchScript is no Python, but it can write files. All of that is found here from the
bytes alone, read by the reader that torch will use, so that both see the same members.
"""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import torch

from slicedb.errors import ModelError

_MEMBERS = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/\w+|models/model\.json|extra/.*|"
    r"data/(weights/weight|constants/tensor)_\d+|data/sample_inputs/model\.pt|"
    r"data/(weights/model_weights|constants/model_constants)_config\.json"
)
_PAYLOADS = re.compile(r"(weight|tensor)_\d+")
_OPERATORS = re.compile(
    r"torch\.ops\.(aten|prim|prims|torchvision|quantized_decomposed|_quantized)(\.\w+){1,2}|"
    r"torch\.ops\.higher_order\.(cond|while_loop|map|map_impl|scan|associative_scan|out_dtype|"
    r"wrap_with_set_grad_enabled|wrap_with_autocast|invoke_subgraph|auto_functionalized(_v2)?)|"
    r"torch\._?sym_\w+|torch\.sym_\w+|math\.(ceil|floor|sqrt|trunc|pow)|"
    r"_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|neg|pos|pow|eq|ne|lt|le|gt|ge|and_|"
    r"or_|not_|abs|lshift|rshift)"
)
_WRITES = re.compile(r"torch\.ops\.\w+\.(from_file|save|_?print)\b")
_NAMES = re.compile(r"[\w.+\-]*")
_SPECS = re.compile(r"builtins\.(tuple|list|dict)|collections\.(OrderedDict|deque)")
_FREE = frozenset("metadata as_string torch_version stack_trace extra".split())
"""Keys whose text torch only keeps or quotes."""
_FUNCTIONS = frozenset(
    """Symbol Integer Float Rational Eq Ne Lt Le Gt Ge And Or Not Max Min Abs Mod Pow Add Mul
    floor ceiling FloorDiv ModularIndexing Where PythonMod CleanDiv CeilToInt FloorToInt CeilDiv
    LShift RShift PowByNatural FloatPow FloatTrueDiv IntTrueDiv TruncToFloat TruncToInt RoundToInt
    RoundDecimal ToFloat Identity IsNonOverlappingAndDenseIndicator""".split()
)
_ARITHMETIC = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.Load)
_SIGNS = (ast.operator, ast.unaryop, ast.cmpop, ast.boolop, ast.keyword)
_NAMESPACES = re.compile(r"(torch|ops|aten|__torch__\.torch\.classes)\b|__torch__(\.torch)?$")
_CALLS = re.compile(
    r"torch\.(?!(save|from_file)$)\w+|ops\.(aten|prim|prims)\.(?!(save|from_file)$)\w+|"
    r"ops\.(torchvision|quantized|_quantized|sparse|mkldnn|mkldnn_prepacked|prepacked)\.\w+|"
    r"__torch__\.torch\.classes\.(quantized|sparse|mkldnn|xnnpack)(\.\w+)*"
)
"""What TorchScript may name of torch; `image`, for one, reads and writes files."""
_CLASSES = re.compile(rb"torch\.classes\.(?!(quantized|sparse|mkldnn|xnnpack)\.)\w+")


def refuse_code(path: Path) -> None:
    """Refuse a `.pt2` archive or a TorchScript program that does more than compute.

    Raises:
        ModelError: the file names what is in it.
    """
    reader = torch._C.PyTorchFileReader(str(path))
    names = list(reader.get_all_records())
    reasons = (
        _reasons_of_export(reader, names) if path.suffix == ".pt2" else _of_script(reader, names)
    )
    reason = next(reasons, None)
    if reason is not None:
        raise ModelError(
            f"'{path}' is more than tensors and a graph: {reason}.",
            "allow_pickle=True (--allow-pickle) opens it, and runs any code that is in it.",
        )


def _of_script(reader: torch._C.PyTorchFileReader, names: list[str]) -> Iterator[str]:
    for name in names:
        if name.startswith("code/") and not name.endswith(".debug_pkl"):
            yield from (f"'{name}' {what}" for what in _beyond(reader.get_record(name)))
        elif name.endswith(".pkl") and (
            held := _CLASSES.search(reader.get_record(name).replace(b"\n", b"."))
        ):
            yield f"'{name}' holds a {held.group(0).decode()}"


def _beyond(code: bytes) -> Iterator[str]:
    """Yield what TorchScript code does beside computing.

    It is written in Python's syntax, so Python's own parser sees what torch will see. `torch` and
    `ops` may only stand before the name of an operator: given another name, or asked by `getattr`,
    they would give operators that no list of names could find.
    """
    try:
        tree = ast.parse(code.decode())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        yield "cannot be read"
        return
    seen: set[ast.AST] = set()
    for node in ast.walk(tree):
        path = "" if node in seen else _dotted(node)
        if path:
            seen.update(ast.walk(node))
            if not _CALLS.fullmatch(path) and _NAMESPACES.match(path):
                yield f"names {path}, which may read or write files"


def _dotted(node: ast.AST) -> str:
    """Return `a.b.c` of a name and its attributes, "" of anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""


def _reasons_of_export(reader: torch._C.PyTorchFileReader, names: list[str]) -> Iterator[str]:
    if "archive_format" not in names or "models/model.json" not in names:
        yield "it is not in the format that torch.export.save writes"
        return
    for name in names:
        if not _MEMBERS.fullmatch(name):
            yield f"'{name}' may hold code"
    for name in names:
        if name.endswith("_config.json"):
            yield from _pickled(json.loads(reader.get_record(name)))
        elif name.startswith("data/sample_inputs/") and (data := reader.get_record(name)):
            try:
                torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            except Exception:
                yield f"'{name}' holds Python objects"
    model = json.loads(reader.get_record("models/model.json"))
    if model.get("guards_code") and not all(map(_is_guard, model["guards_code"])):
        yield "its guards are code"
    yield from _strings(model, "")


def _pickled(config: dict[str, dict[str, dict[str, object]]]) -> Iterator[str]:
    for name, payload in config.get("config", {}).items():
        if payload.get("use_pickle"):
            yield f"'{name}' is a pickle"
        elif not _PAYLOADS.fullmatch(str(payload.get("path_name"))):
            yield f"'{name}' is no tensor"


def _strings(node: object, key: str) -> Iterator[str]:
    """Yield what is wrong with the texts below a node of the graph."""
    if key in _FREE or key == "guards_code":
        return
    if isinstance(node, dict):
        for name, value in node.items():
            if not _NAMES.fullmatch(name):
                yield f"{name!r:.60} is no name"
            yield from _strings(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value, key)
    elif isinstance(node, str) and not _is_plain(node, key):
        yield f"{key} is {node!r:.60}"


def _is_plain(text: str, key: str) -> bool:
    if key == "expr_str":
        return is_arithmetic(text)
    if key in ("in_spec", "out_spec"):
        return not text or all(map(_SPECS.fullmatch, _types(json.loads(text))))
    if key in ("target", "as_operator"):  # torch resolves them among all that it holds
        return bool(_OPERATORS.fullmatch(text)) and not _WRITES.match(text)
    return bool(_NAMES.fullmatch(text))


def _types(spec: object) -> Iterator[str]:
    """Yield the types of the containers in a tree of arguments."""
    if isinstance(spec, dict):
        if spec.get("type") is not None:
            yield str(spec["type"])
        yield from _types(spec.get("children_spec", []))
    elif isinstance(spec, list):
        for part in spec:
            yield from _types(part)


def is_arithmetic(text: str) -> bool:
    """Return whether an expression of sizes only computes with symbols and numbers.

    >>> is_arithmetic("2*Symbol('s0', integer=True) + 1"), is_arithmetic("Max('exit()', 1)")
    (True, False)
    """
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return _computes(tree, quoted=False)


def _computes(node: ast.AST, *, quoted: bool) -> bool:
    if isinstance(node, ast.Constant):
        text = node.value
        return _NAMES.fullmatch(text) is not None and quoted if isinstance(text, str) else True
    if isinstance(node, ast.Name):
        return re.fullmatch(r"[a-z]+_?\d+|oo|int_oo|true|false|True|False", node.id) is not None
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS:
            return False
        quoted = node.func.id == "Symbol"  # any other function evaluates its texts
        return all(_computes(part, quoted=quoted) for part in [*node.args, *node.keywords])
    if not isinstance(node, (*_ARITHMETIC, *_SIGNS)):
        return False
    return all(_computes(part, quoted=False) for part in ast.iter_child_nodes(node))


def _is_guard(text: str) -> bool:
    """Return whether a guard only compares sizes: L['x'].size()[0] <= 64."""
    if len(text) > 10_000:
        return False
    size = r"L(\[('\w+'|\d+)\]|\.\w+)*\.size\(\)\[\d+\]"
    return is_arithmetic(re.sub(size, "s0", text))
