"""Decode JPEGs on a GPU: nvJPEG, by whichever library of PyTorch has it.

nvJPEG upsamples colours more coarsely than libjpeg-turbo, so that pixels differ by a few of 255
levels, and more at sharp edges of colour. What it reads otherwise than the CPU's decoder, or not
at all, is never given to it: see `media.plain`.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image

from slicedb.errors import ModelError
from slicedb.media import decode_rgb
from slicedb.models.weights import first_line

if TYPE_CHECKING:
    import torch

Read: TypeAlias = "Callable[[list[torch.Tensor], torch.device], list[torch.Tensor]]"
"""From encoded bytes, uint8 (bytes,) each in host memory, to uint8 (3, h, w) each on a device."""

_CUDA = (12, 3)
"""nvJPEG before leaked memory (until 11.6) and crashed on broken EXIF tags (until 12.3)."""
_PIXELS = 64 << 20
"""Pixels that are decoded at once: 200 MB."""
_PROBE_LEVELS = 4.0
"""Levels by which a test picture may differ on average: a channel or a side that is swapped makes
dozens of them."""


class GpuJpegs:
    """Decodes plain JPEGs on one GPU, in a stream of its own.

    nvJPEG writes where it likes to, whatever stream it is given: torchvision decodes in a stream
    that waits for nobody (pytorch/vision#9606), and the decoding engine of a Hopper chip does not
    wait for the stream either (meta-pytorch/torchcodec#1634). It would write into memory that has
    been freed while work that still reads it is queued. So pictures lie in memory of a stream that
    has nothing to do whenever a decoder begins, and others that read a picture have to say so
    (`record_stream`), or else its memory would be given to the next one too early.

    Args:
        device: a CUDA device.

    Raises:
        ModelError: no library decodes JPEGs there.
    """

    def __init__(self, device: torch.device) -> None:
        import torch

        self.device = device
        _check_cuda()
        self._stream = torch.cuda.Stream(device)
        self._read: Read
        self.by = self._open()
        """The library that decodes, for messages."""

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        """Let what this thread makes on the GPU lie in the memory of the stream of pictures.

        At the end, whatever was made is there, for other threads and streams.
        """
        import torch

        with torch.no_grad(), torch.cuda.stream(self._stream):
            yield
            self._stream.synchronize()

    def decode(self, files: Sequence[bytes]) -> list[torch.Tensor]:
        """Return the pixels of plain JPEGs, uint8 (3, h, w) each; inside of `stream`.

        Raises:
            RuntimeError: one of them does not decode, or the memory of the GPU is full.
        """
        import torch

        packed = torch.frombuffer(bytearray(b"".join(files)), dtype=torch.uint8)
        self._stream.synchronize()  # nothing may be queued that reads what is freed
        return self._read(list(packed.split([len(file) for file in files])), self.device)

    def _open(self) -> str:
        """Take the first library that decodes a test picture right, and return its name."""
        reasons = []
        for name, opened in _LIBRARIES.items():
            try:
                self._read = opened()
                with self.stream():
                    levels = _levels_apart(self.decode([_probe()])[0], decode_rgb(_probe()))
            except Exception as error:  # of a library that is not whole, anything comes
                reasons.append(f"{name}: {first_line(error) or type(error).__name__}")
                continue
            if levels <= _PROBE_LEVELS:
                return f"nvJPEG by {name} {_version(name)}".strip()
            reasons.append(f"{name}: a test picture comes out wrong, by {levels:.0f} of 255 levels")
        raise ModelError(
            f"Nothing decodes JPEGs on {self.device} ({'; '.join(reasons)}).",
            "install torchcodec 0.16 or later for the CUDA version of torch, or leave out decode= "
            "(--decode): the CPU decodes then.",
        )


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return by how many of 255 levels two batches of pixels differ on average."""
    host = other.cpu().float()
    return float((one.cpu().float() - host).abs().mean())


def batches_of(sizes: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Return the places of pictures of (height, width) that are decoded at once.

    >>> batches_of([(4000, 6000)] * 3 + [(4000, 4000)])
    [[0, 1], [2, 3]]
    """
    parts: list[list[int]] = []
    held = _PIXELS
    for i, (height, width) in enumerate(sizes):
        if held + height * width > _PIXELS:
            parts.append([])
            held = 0
        parts[-1].append(i)
        held += height * width
    return parts


def _check_cuda() -> None:
    """Refuse versions of CUDA whose nvJPEG is broken, and an allocator that gives memory early."""
    import torch

    cuda = torch.version.cuda
    if cuda is None or tuple(int(part) for part in cuda.split(".")[:2]) < _CUDA:
        built = "without CUDA" if cuda is None else f"for CUDA {cuda}"
        raise ModelError(
            f"torch is built {built}; a GPU decodes JPEGs from CUDA 12.3 on.",
            "install another torch, or leave out decode= (--decode).",
        )
    if torch.cuda.get_allocator_backend() != "native":
        raise ModelError(
            "The allocator of CUDA's memory is not torch's own, and gives memory that is in use.",
            "leave out backend:cudaMallocAsync in PYTORCH_CUDA_ALLOC_CONF, or decode= (--decode).",
        )


def _torchcodec() -> Read:
    from torchcodec.decoders import decode_jpeg

    return lambda files, device: list(decode_jpeg(files, mode="RGB", device=device))


def _torchvision() -> Read:
    from torchvision.io import ImageReadMode, decode_jpeg

    return lambda files, device: list(decode_jpeg(files, ImageReadMode.RGB, device))


_LIBRARIES: dict[str, Callable[[], Read]] = {"torchcodec": _torchcodec, "torchvision": _torchvision}
"""The first that works is taken. torchvision has its decoder until a version after 0.29."""


def _version(package: str) -> str:
    with contextlib.suppress(PackageNotFoundError):
        return version(package)
    return ""


def _probe() -> bytes:
    """Return a JPEG of 64 x 48 pixels whose corners have four colours."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:24, 32:], pixels[24:, :32] = (220, 30, 40), (30, 200, 60)
    pixels[24:, 32:] = (50, 60, 230)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=95)
    return out.getvalue()


def _levels_apart(picture: torch.Tensor, pixels: np.ndarray) -> float:
    """Return the mean difference of uint8 (3, h, w) and (h, w, 3); 255 of other shapes."""
    import torch

    expected = torch.from_numpy(pixels).permute(2, 0, 1)
    return 255.0 if picture.shape != expected.shape else apart(picture, expected)
