"""Corruptions: the same pixels whatever the batch, true to their names, fast enough to use."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from slicedb.behaviour.corruptions import CORRUPTIONS, KINDS, SEVERITIES, corrupt
from slicedb.behaviour.corruptions.pixels import blur, rows, whole
from slicedb.errors import CheckError


def pictures(n: int, height: int = 64, width: int = 64) -> np.ndarray:
    """Smooth pictures with an edge in them."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(n):
        grid = Image.fromarray(rng.integers(30, 226, (6, 6, 3), dtype=np.uint8))
        picture = np.array(grid.resize((width, height), Image.Resampling.BICUBIC))
        picture[height // 2 :, : width // 2] //= 2
        made.append(picture)
    return np.stack(made)


KEYS = np.array([5, 9223372036854775807, 0, 77, 123456789], np.int64)


def test_there_are_15_kinds_and_5_severities() -> None:
    assert len(KINDS) == 15
    assert all(CORRUPTIONS[kind].severities == 5 for kind in (*KINDS, "crop"))
    assert set(CORRUPTIONS) - set(KINDS) == {"flip_horizontal", "flip_vertical", "crop"}


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_order_batch_and_threads_do_not_change_a_pixel(kind: str) -> None:
    images = pictures(5)
    for severity in (1, 2, 5):
        all_at_once = corrupt(images, kind, severity, keys=KEYS)
        assert all_at_once.shape == images.shape and all_at_once.dtype == np.uint8
        order = np.array([3, 0, 4])
        some = corrupt(images[order], kind, severity, keys=KEYS[order], threads=1)
        alone = corrupt(images[1:2], kind, severity, keys=KEYS[1:2])
        np.testing.assert_array_equal(some, all_at_once[order])
        np.testing.assert_array_equal(alone, all_at_once[1:2])


@pytest.mark.parametrize("kind", ["gaussian_noise", "glass_blur", "snow", "elastic_transform"])
def test_batches_across_the_threads_chunks_agree(kind: str) -> None:
    images = np.concatenate([pictures(5, 150, 200)] * 2)  # five are a chunk
    keys = np.arange(10)
    whole_batch = corrupt(images, kind, 3, keys=keys)
    np.testing.assert_array_equal(whole_batch[7:9], corrupt(images[7:9], kind, 3, keys=keys[7:9]))


def digest() -> str:
    made = [corrupt(pictures(2), kind, 3, keys=KEYS[:2]).tobytes() for kind in CORRUPTIONS]
    return hashlib.sha256(b"".join(made)).hexdigest()


@pytest.mark.slow
def test_another_process_gives_the_same_pixels() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests'); import test_corruptions as t; print(t.digest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest()


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("brightness", "contrast")])
def test_the_key_decides_what_is_random(kind: str) -> None:
    image = pictures(1)
    a, b = corrupt(np.concatenate([image, image]), kind, 3, keys=np.array([1, 2]))
    random = kind not in ("defocus_blur", "zoom_blur", "pixelate", "jpeg_compression")
    assert (a != b).any() == random


STEADY = {
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "zoom_blur",
    "brightness",
    "contrast",
}
"""Kinds whose every severity is worse than the one before on any picture."""


@pytest.mark.parametrize("kind", KINDS)
def test_damage_grows_with_severity(kind: str) -> None:
    images = pictures(2, 224, 224)
    keys = np.arange(2)
    made = [corrupt(images, kind, severity, keys=keys) for severity in SEVERITIES]
    damage = [float(np.abs(m.astype(int) - images).mean()) for m in made]
    assert min(damage) > 0.2
    if kind != "elastic_transform":  # its first two severities move corners, the others do not
        assert damage[4] > damage[0]
    if kind in STEADY:
        assert damage == sorted(damage)


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(8, 8), (33, 50), (120, 71)])
def test_any_size_works_and_the_input_stays(kind: str, shape: tuple[int, int]) -> None:
    images = pictures(2, *shape)
    before = images.copy()
    for severity in (1, 5):
        assert corrupt(images, kind, severity, keys=KEYS[:2]).shape == images.shape
    np.testing.assert_array_equal(images, before)


def test_tensors_give_tensors_and_an_empty_batch_stays_empty() -> None:
    tensor = torch.from_numpy(pictures(2))
    made = corrupt(tensor, "fog", 2, keys=KEYS[:2])
    assert isinstance(made, torch.Tensor) and made.dtype == torch.uint8
    for kind in CORRUPTIONS:
        assert corrupt(tensor[:0].numpy(), kind, 2, keys=KEYS[:0]).shape == (0, 64, 64, 3)


def test_gaussian_noise_has_the_stated_deviation() -> None:
    gray = np.full((4, 100, 100, 3), 128, np.uint8)
    noise = corrupt(gray, "gaussian_noise", 2, keys=np.arange(4)).astype(float) - 128
    assert abs(noise.mean()) < 0.5
    assert noise.std() == pytest.approx(0.12 * 255, rel=0.02)


def test_shot_noise_is_poisson() -> None:
    gray = np.full((4, 100, 100, 3), 100, np.uint8)
    counts = corrupt(gray, "shot_noise", 1, keys=np.arange(4)) / 255 * 60
    assert counts.mean() == pytest.approx(100 / 255 * 60, rel=0.01)
    assert counts.var() == pytest.approx(100 / 255 * 60, rel=0.03)


def test_impulse_noise_sets_the_stated_share() -> None:
    gray = np.full((4, 100, 100, 3), 100, np.uint8)
    made = corrupt(gray, "impulse_noise", 4, keys=np.arange(4))
    assert (made == 0).mean() == pytest.approx(0.085, abs=0.005)
    assert (made == 255).mean() == pytest.approx(0.085, abs=0.005)
    assert set(np.unique(made)) == {0, 100, 255}


def test_blur_equals_scipy() -> None:
    from scipy.ndimage import gaussian_filter

    image = pictures(1)
    ours = blur(rows(torch.from_numpy(image)), 2.0).reshape(image.shape).numpy()
    theirs = gaussian_filter(image.astype(float), (0, 2, 2, 0), mode="mirror", truncate=3)
    assert np.abs(ours - theirs).max() < 0.6


def test_defocus_equals_a_convolution_with_the_disk() -> None:
    from scipy.ndimage import convolve

    image = pictures(1, 224, 224)[:, :, :, :1].repeat(3, 3)
    axis = np.arange(-3, 4)
    disk = (axis[:, None] ** 2 + axis**2 <= 9.5).astype(float)
    theirs = convolve(image[0, ..., 0].astype(float), disk / disk.sum(), mode="mirror")
    ours = corrupt(image, "defocus_blur", 1, keys=KEYS[:1])[0, ..., 0]
    assert np.abs(ours - theirs).max() <= 0.51


def test_brightness_keeps_hue() -> None:
    image = np.array([[[[100, 50, 0], [0, 0, 0], [200, 250, 10]]]], np.uint8)
    made = corrupt(image, "brightness", 1, keys=KEYS[:1])[0, 0]
    assert made.tolist() == [[126, 63, 0], [26, 26, 26], [204, 255, 10]]


def test_pixelate_at_a_half_averages_two_by_two() -> None:
    image = pictures(1)
    made = corrupt(image, "pixelate", 2, keys=KEYS[:1])[0]
    blocks = image[0].reshape(32, 2, 32, 2, 3).mean((1, 3))
    np.testing.assert_allclose(made[::2, ::2], blocks, atol=0.51)
    np.testing.assert_array_equal(made[::2], made[1::2])


def test_motion_blur_of_a_flat_picture_is_flat() -> None:
    flat = np.full((2, 64, 64, 3), 93, np.uint8)
    for kind in ("motion_blur", "zoom_blur", "defocus_blur", "glass_blur", "elastic_transform"):
        np.testing.assert_array_equal(corrupt(flat, kind, 5, keys=KEYS[:2]), flat)


def test_flips_are_flips() -> None:
    images = pictures(2)
    flipped = corrupt(images, "flip_horizontal", 1, keys=KEYS[:2])
    np.testing.assert_array_equal(flipped, images[:, :, ::-1])
    np.testing.assert_array_equal(
        corrupt(images, "flip_vertical", 3, keys=KEYS[:2]), images[:, ::-1]
    )


def test_weights_add_up_exactly() -> None:
    raw = np.asarray(ImageFilter.Kernel((3, 3), [1, 2, 1, 2, 4, 2, 1, 2, 1]).filterargs[3], float)
    assert sum(whole(raw, 4096)) == 4096


def test_errors_name_what_is_wrong() -> None:
    images = pictures(1)
    with pytest.raises(CheckError, match="did you mean 'fog'"):
        corrupt(images, "fogg", 1, keys=KEYS[:1])
    with pytest.raises(CheckError, match="1 to 5"):
        corrupt(images, "fog", 6, keys=KEYS[:1])
    with pytest.raises(CheckError, match="float64"):
        corrupt(images / 255, "fog", 1, keys=KEYS[:1])
    with pytest.raises(CheckError, match="one key per picture"):
        corrupt(images, "fog", 1, keys=KEYS)


def test_the_benchmark_corrupts_image_by_image_with_every_kind() -> None:
    """It says how much faster batches are, as a ratio in one run; a busy machine decides here."""
    sys.path.insert(0, "benchmarks")
    import corruptions as benchmark

    images = benchmark.pictures(2)
    before = images.copy()
    for kind in KINDS:
        benchmark.reference(images, kind, 3)
    assert (images == before).all()
