"""TIFFs that do not decode: quiet, and called what they are."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_deep_gray import ramp, tiff

from slicedb import media
from slicedb.errors import MediaError
from slicedb.media.libtiff import silence


def broken(compression: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "TIFF", compression=compression)
    data = bytearray(out.getvalue())
    for i in range(100, len(data) - 200, 37):
        data[i] ^= 0x5A
    return bytes(data)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_broken_tiffs_print_nothing(tmp_path: Path, compression: str) -> None:
    if not silence():
        pytest.skip("this Pillow does not bring its own libtiff")
    (tmp_path / "a.tif").write_bytes(broken(compression))
    script = (
        "import sys; from slicedb import media\n"
        "try: media.inspect(open(sys.argv[1], 'rb').read())\n"
        "except media.MediaError as error: print(error.reason)\n"
    )
    run = [sys.executable, "-c", script, str(tmp_path / "a.tif")]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("corrupt", "")


def reason(data: bytes) -> tuple[str, str]:
    with pytest.raises(MediaError) as caught:
        media.inspect(data)
    return caught.value.reason, caught.value.message


@pytest.mark.parametrize(
    ("code", "words"), [(34712, "34712 (JPEG 2000)"), (50002, "50002 (JPEG XL)"), (999, "999")]
)
def test_a_whole_tiff_of_an_unknown_kind_is_unsupported(code: int, words: str) -> None:
    data = bytearray(tiff(ramp(255, "u1")))
    at = data.index(b"\x03\x01\x03\0")  # the tag Compression, 259
    data[at + 8 : at + 10] = code.to_bytes(2, "little")
    kind, message = reason(bytes(data))
    assert kind == "unsupported" and f"compression {words}" in message
    assert reason(bytes(data[:-100]))[0] == "truncated"


def test_samples_of_an_unknown_size_are_unsupported() -> None:
    kind, message = reason(tiff(ramp(100, "f8")))
    assert kind == "unsupported" and "floating samples of 64 bits" in message


def test_a_tiff_that_is_cut_off_is_truncated() -> None:
    whole = tiff(ramp(65535))
    assert media.inspect(whole).format == "tiff"
    for cut in (len(whole) - 1, len(whole) // 2, 60, 6):
        assert reason(whole[:cut])[0] == "truncated"
