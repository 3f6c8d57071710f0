"""Load programs that bring their own structure: TorchScript, `torch.export` and ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from slicedb.errors import ModelError
from slicedb.models.weights import first_line, refuse_swollen

if TYPE_CHECKING:
    import onnxruntime
    import torch


def read_program(
    path: Path, *, allow_pickle: bool = False
) -> tuple[Program, tuple[int, int] | None]:
    """Open a TorchScript, `torch.export` or ONNX program.

    Args:
        allow_pickle: open it also where it can run code, see `inspection`.

    Returns:
        A callable from images (n, 3, h, w) to logits with the interface of a module, and the
        (height, width) of its input where the file says it.

    Raises:
        ModelError: it cannot be opened or may run code, or onnxruntime is not installed.
    """
    import torch

    try:
        if path.suffix == ".onnx":
            return _onnx(path)
        refuse_swollen(path)
        if not allow_pickle:
            from slicedb.models.inspection import refuse_code

            refuse_code(path)
        if path.suffix == ".pt2":
            program = torch.export.load(path)
            return Exported(program), _input_size(program)
        return torch.jit.load(str(path), map_location="cpu"), None
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"'{path}' cannot be opened as a program: {first_line(error)}",
            "a file of weights alone needs its architecture: torchvision:NAME, timm:NAME or "
            "path/to/file.py:factory with weights=FILE.",
        ) from error


def _onnx(path: Path) -> tuple[OnnxModule, tuple[int, int] | None]:
    try:
        import onnxruntime  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise ModelError(
            f"'{path}' needs onnxruntime, which is not installed.", "pip install onnxruntime."
        ) from error
    session = onnxruntime.InferenceSession(str(path))
    height, width = session.get_inputs()[0].shape[2:4]
    fixed = isinstance(height, int) and isinstance(width, int)
    return OnnxModule(session, path), (height, width) if fixed else None


def _input_size(program: torch.export.ExportedProgram) -> tuple[int, int] | None:
    """Return the (height, width) of the images a program was exported with."""
    try:
        height, width = program.example_inputs[0][0].shape[-2:]
        return int(height), int(width)
    except (AttributeError, IndexError, TypeError, ValueError):
        return None


class Program(Protocol):
    """What a program has of a module."""

    def __call__(self, images: torch.Tensor, /) -> torch.Tensor: ...
    def state_dict(self) -> Mapping[str, object]: ...


class Exported:
    """A `torch.export` program with the interface of a module; it knows no training mode."""

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        self._program = program
        self._module = program.module()

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return self._module(images.contiguous())

    def to(self, device: torch.device, memory_format: torch.memory_format | None = None) -> None:
        self._module.to(device)

    def state_dict(self) -> dict[str, object]:
        return dict(self._program.state_dict)

    def parameters(self) -> list[torch.Tensor]:
        return list(self._module.parameters())

    def __repr__(self) -> str:
        return f"Exported({self._program.graph_module.code})"


class OnnxModule:
    """An ONNX session with the interface of a module: called with a tensor, returns a tensor."""

    def __init__(self, session: onnxruntime.InferenceSession, path: Path) -> None:
        self._session = session
        self._path = path
        self._input = session.get_inputs()[0].name

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        import torch

        feed = {self._input: images.detach().cpu().float().contiguous().numpy()}
        return torch.from_numpy(self._session.run(None, feed)[0])

    def state_dict(self) -> dict[str, object]:
        import numpy as np

        return {"file": np.frombuffer(self._path.read_bytes(), dtype=np.uint8)}

    def parameters(self) -> tuple[()]:
        return ()

    def __repr__(self) -> str:
        return "OnnxModule()"
