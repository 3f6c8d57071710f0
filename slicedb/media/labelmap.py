"""Label maps: pictures whose pixels are numbers of classes, as palette or gray PNG files."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt

from slicedb.errors import MediaError
from slicedb.media import MAX_PIXELS

Codes = npt.NDArray[np.unsignedinteger]
"""uint8 or uint16 (h, w): the number of the class of each pixel."""

_GRAY = ("L", "P", "1", "I;16", "I;16B", "I;16L", "I")
_BYTE = 256


def codes_in(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Codes:
    """Return the numbers in an encoded label map: indices of a palette, or gray values.

    Args:
        data: an encoded picture, mostly PNG.
        max_pixels: width × height beyond which it is refused.

    Raises:
        MediaError: it does not decode, or has colours instead of one number per pixel.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > max_pixels:
                raise MediaError(
                    "too large", f"a label map of {image.width} x {image.height} pixels"
                )
            codes = np.array(image)
            mode = image.mode
    except MediaError:
        raise
    except Exception as error:  # Pillow raises anything for broken files
        raise MediaError("unreadable", f"it is no label map: {error}") from error
    if codes.ndim == 3:
        codes = _one_channel(codes, mode)
    elif mode not in _GRAY:
        raise MediaError(
            "unsupported", f"a label map has one whole number per pixel, and this one is {mode}"
        )
    if codes.size and int(codes.max()) >= 1 << 16:
        raise MediaError(
            "unsupported", f"the number {int(codes.max()):,} of a class is above 65,535"
        )
    return codes.astype(np.uint8 if codes.dtype.itemsize == 1 else np.uint16)


def _one_channel(codes: npt.NDArray[np.generic], mode: str) -> npt.NDArray[np.generic]:
    colours = codes[..., :3] if mode in ("RGB", "RGBA") else codes[..., :1]
    if (colours != colours[..., :1]).any():
        raise MediaError(
            "unsupported",
            "it has colours, and a label map has one number per pixel (a palette, or gray)",
        )
    return np.asarray(colours[..., 0])


def png_of(codes: npt.NDArray[np.integer]) -> bytes:
    """Return numbers of classes as a gray PNG of 8 bits, or of 16 where one is above 255.

    Args:
        codes: (h, w), from 0 to 65,535.
    """
    from PIL import Image

    wide = codes.size and int(codes.max()) >= _BYTE
    image = Image.fromarray(np.ascontiguousarray(codes, np.uint16 if wide else np.uint8))
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=4)
    return out.getvalue()


def fitted(codes: Codes, size: tuple[int, int]) -> Codes:
    """Return a label map of another size, each pixel that of the nearest old one.

    Args:
        codes: (h, w).
        size: height and width wanted.
    """
    if codes.shape == size:
        return codes
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.int64)
        for new, old in zip(size, codes.shape, strict=True)
    )
    return np.asarray(codes[rows[:, None], columns[None, :]])
