"""Embeddings: encoders, fingerprints, prompt ensembles, only what is missing."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes_models import COLOURS, coloured_store, colours, fill, png, rows
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import save_file

from slicedb import embedding
from slicedb.embedding import Encoder, embed, encoder_of, load_encoder
from slicedb.embedding.openclip import load, preprocessing_of
from slicedb.embedding.prompts import BACKGROUND, TEMPLATES, TINY_TEMPLATES, wordings
from slicedb.embedding.tiny import TINY
from slicedb.errors import EmbeddingError, FingerprintError, UnknownEmbeddingError
from slicedb.schema import EMBEDDINGS
from slicedb.store import Store

CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {
        "image_size": 32,
        "layers": 1,
        "width": 32,
        "patch_size": 8,
        "head_width": 16,
    },
    "text_cfg": {
        "context_length": 16,
        "vocab_size": 49408,
        "width": 16,
        "heads": 2,
        "layers": 1,
    },
}
TABLE = EMBEDDINGS + "default"


@pytest.fixture(scope="module")
def config(tmp_path_factory: Any) -> str:
    path = tmp_path_factory.mktemp("clip") / "slicedb-test-clip.json"
    path.write_text(json.dumps(CONFIG))
    return str(path)


@pytest.fixture(scope="module")
def encoder(config: str) -> Encoder:
    return load_encoder(config, "random", device="cpu")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return coloured_store(tmp_path)


# --- the encoder -------------------------------------------------------------------------------


def test_vectors_are_of_unit_length_and_one_space(encoder: Encoder) -> None:
    images = encoder.encode_images([Image.new("RGB", (40, 30), c) for c in COLOURS.values()])
    texts = encoder.encode_texts(["red", "green"])
    assert images.shape == (3, 16) and texts.shape == (2, 16)
    assert images.dtype == texts.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-6)
    assert encoder.dim == 16 and encoder.logit_scale == pytest.approx(14.2857)
    assert encoder.encode_images([]).shape == (0, 16)
    assert encoder.encode_texts([]).shape == (0, 16)


def photo(width: int, height: int) -> bytes:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (height // 10, width // 10, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(out, "JPEG")
    return out.getvalue()


@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(160, 120), (120, 250)])
def test_preprocessing_equals_that_of_open_clip(
    mode: str, interpolation: str, size: tuple[int, int]
) -> None:
    from slicedb.media import decode

    about = {
        "size": 32,
        "resize_mode": mode,
        "interpolation": interpolation,
        "mean": (0.5, 0.4, 0.3),
        "std": (0.3, 0.27, 0.26),
    }
    theirs = image_transform_v2(PreprocessCfg(**about), is_train=False)
    data = photo(*size)
    expected = theirs(Image.open(io.BytesIO(data)))
    ours, transform = preprocessing_of(about)
    if transform is not None:
        found = transform(decode(data))
    else:
        pixels = np.empty((32, 32, 3), dtype=np.uint8)
        ours.fill(data, pixels)
        found = ours.normalise(torch.from_numpy(pixels[None]))[0]
    assert (transform is not None) == (mode == "longest")
    assert (found - expected).abs().max() < 2.1 / 255 / 0.26


def test_embedding_equals_open_clip_called_directly(encoder: Encoder, config: str) -> None:
    clip, _, tokenizer = load(config, "random")
    clip.eval()
    transform = image_transform_v2(PreprocessCfg(**clip.visual.preprocess_cfg), is_train=False)
    picture = Image.open(io.BytesIO(photo(150, 100)))
    with torch.inference_mode():
        image = clip.encode_image(transform(picture)[None], normalize=True).numpy()
        text = clip.encode_text(tokenizer(["a red plate"]), normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode_images([picture]), image, atol=1e-4)
    np.testing.assert_allclose(encoder.encode_texts(["a red plate"]), text, atol=1e-6)


def test_prompt_is_the_mean_of_its_wordings(encoder: Encoder) -> None:
    mean = encoder.encode_texts([t.format("a frog") for t in TEMPLATES]).mean(axis=0)
    expected = mean / np.linalg.norm(mean)
    np.testing.assert_allclose(encoder.encode_prompt("a frog"), expected, atol=1e-6)
    np.testing.assert_allclose(encoder.encode_prompt("A photo of a frog."), expected, atol=1e-6)
    plain = encoder.encode_prompt("a frog", ["{}"])
    np.testing.assert_allclose(plain, encoder.encode_texts(["a frog"])[0], atol=1e-6)


def test_bad_prompts_are_refused(encoder: Encoder) -> None:
    with pytest.raises(EmbeddingError, match="is empty"):
        encoder.encode_prompt("  ")
    with pytest.raises(EmbeddingError, match=r"has no \{\}"):
        encoder.encode_prompt("a frog", ["a photo"])


def test_words_around_words() -> None:
    assert len(TEMPLATES) == 12 and len(set(BACKGROUND)) == len(BACKGROUND) > 50
    assert wordings("the photo of the sea", TINY_TEMPLATES)[1] == "a photo of the sea"
    assert wordings("a photo of", ("{}",)) == ["a photo of"]


# --- fingerprints and loading ------------------------------------------------------------------


def test_fingerprint_says_what_a_vector_depends_on(encoder: Encoder) -> None:
    about = encoder.fingerprint
    assert set(about) == {
        "model",
        "pretrained",
        "architecture",
        "weights",
        "quick_gelu",
        "preprocessing",
        "precision",
        "dim",
        "logit_scale",
        "open_clip",
    }
    assert about["preprocessing"]["resize_mode"] == "shortest"
    assert about["preprocessing"]["interpolation"] == "bicubic"
    assert about["quick_gelu"] is False
    json.dumps(about)


def test_weights_come_from_a_file(encoder: Encoder, config: str, tmp_path: Path) -> None:
    clip, _, _ = load(config, "random")
    path = tmp_path / "weights.safetensors"
    save_file({name: t.clone() for name, t in clip.state_dict().items()}, path)
    loaded = load_encoder(config, str(path))
    assert loaded.fingerprint["weights"] == encoder.fingerprint["weights"]
    assert loaded.fingerprint["pretrained"] == str(path)


def test_what_cannot_be_opened_says_why(tmp_path: Path, config: str) -> None:
    with pytest.raises(EmbeddingError, match="did you mean 'ViT-B-32'"):
        load_encoder("ViT-B-33", "openai")
    with pytest.raises(EmbeddingError, match=r"No weights given for 'ViT-B-32'.*openai"):
        load_encoder("ViT-B-32")
    with pytest.raises(EmbeddingError, match=r"neither a tag of 'ViT-B-32' nor a file.*laion2b"):
        load_encoder("ViT-B-32", "laion2b_s34b")
    with pytest.raises(EmbeddingError, match="No model config"):
        load_encoder(str(tmp_path / "none.json"))
    (tmp_path / "odd.json").write_text("{}")
    with pytest.raises(EmbeddingError, match="is no open_clip model config"):
        load_encoder(str(tmp_path / "odd.json"), "random")
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    with pytest.raises(EmbeddingError, match="cannot be opened"):
        load_encoder(config, str(tmp_path / "torn.safetensors"))


def test_a_download_that_fails_names_the_way_out(monkeypatch: Any) -> None:
    def offline(*args: Any, **options: Any) -> str:
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr("open_clip.factory.download_pretrained", offline)
    with pytest.raises(EmbeddingError, match=r"Name or service not known.*bundled"):
        load_encoder("ViT-B-32", "laion2b_s34b_b79k")


def test_quick_gelu_follows_the_tag(monkeypatch: Any, tmp_path: Path) -> None:
    asked = {}

    def create(name: str, **options: Any) -> Any:
        asked.update(options)
        raise RuntimeError("enough")

    monkeypatch.setattr("open_clip.create_model", create)
    for tag, expected in (("openai", True), ("laion2b_s34b_b79k", False)):
        with pytest.raises(EmbeddingError, match="enough"):
            load_encoder("ViT-B-32", tag)
        assert asked["force_quick_gelu"] is expected
    file = tmp_path / "vit_b_32-quickgelu.pt"
    file.write_bytes(b"")
    with pytest.raises(EmbeddingError, match=r"silently wrong.*name 'ViT-B-32-quickgelu'"):
        load_encoder("ViT-B-32", str(file))


# --- the table ---------------------------------------------------------------------------------


def test_embed_writes_unit_vectors_with_their_fingerprint(
    store: Store, encoder: Encoder, config: str
) -> None:
    report = embed(store, model=config, pretrained="random")
    assert (report.embedded, report.unchanged, report.failed) == (9, 0, 0)
    stored = rows(store, TABLE)
    picture = encoder.encode_images([Image.new("RGB", (12, 10), COLOURS["green"])])[0]
    np.testing.assert_allclose(stored["4_green"]["vector"], picture, atol=1e-5)
    about = json.loads(store.metadata(TABLE)["slicedb:fingerprint"])
    assert about["weights"] == encoder.fingerprint["weights"]
    assert "9 embedded, 0 unchanged" in str(report) and "random" in str(report)


def test_only_missing_and_changed_images_are_embedded(store: Store, encoder: Encoder) -> None:
    embed(store, encoder=encoder)
    version = store.version(TABLE)
    assert embed(store, encoder=encoder).unchanged == 9
    assert store.version(TABLE) == version
    fill(store, {**colours(2, "new"), "0_red": png(COLOURS["blue"])})
    report = embed(store, encoder=encoder)
    assert (report.embedded, report.unchanged) == (3, 8)
    found = rows(store, TABLE)
    np.testing.assert_allclose(found["0_red"]["vector"], found["2_blue"]["vector"], atol=1e-5)
    assert len(found) == 11


def test_a_bad_image_costs_one_row_and_is_tried_again(store: Store, encoder: Encoder) -> None:
    fill(store, {"bad": b"junk"})
    report = embed(store, encoder=encoder)
    assert (report.embedded, report.failed) == (9, 1)
    assert "bad: not_an_image" in str(report)
    assert "bad" not in rows(store, TABLE)
    fill(store, {"bad": png(COLOURS["red"])})
    assert embed(store, encoder=encoder).embedded == 1


def test_an_interrupted_run_goes_on(store: Store, encoder: Encoder, monkeypatch: Any) -> None:
    real, calls = Encoder.predict_batch, []

    def interrupted(self: Encoder, images: Any) -> Any:
        calls.append(len(images))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, images)

    monkeypatch.setattr(Encoder, "predict_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        embed(store, encoder=encoder, batch_size=2)
    assert store.count(TABLE) == 4
    assert embed(store, encoder=encoder).embedded == 5


def test_mixing_is_refused_and_says_what_differs(
    store: Store, encoder: Encoder, tmp_path: Path
) -> None:
    embed(store, encoder=encoder)
    wide = tmp_path / "slicedb-test-wide.json"
    wide.write_text(json.dumps({**CONFIG, "embed_dim": 24}))
    other = load_encoder(str(wide), "random")
    with pytest.raises(FingerprintError, match=r"architecture, weights differ.*--name.*--replace"):
        embed(store, encoder=other)
    assert store.count(TABLE) == 9
    assert embed(store, encoder=other, name="wide").embedded == 9
    assert embed(store, encoder=other, replace=True).embedded == 9
    assert len(rows(store, TABLE)["0_red"]["vector"]) == 24
    assert embed(store, encoder=encoder, replace=True).embedded == 9


def test_encoder_of_opens_what_was_stored(store: Store, encoder: Encoder, config: str) -> None:
    with pytest.raises(UnknownEmbeddingError, match="run `slicedb embed` first"):
        encoder_of(store)
    embed(store, model=config, pretrained="random")
    assert encoder_of(store).fingerprint == encoder.fingerprint
    assert encoder_of(store) is encoder_of(store)
    with pytest.raises(UnknownEmbeddingError, match="did you mean 'default'"):
        encoder_of(store, "defualt")


def test_encoder_of_notices_other_weights(store: Store, config: str, tmp_path: Path) -> None:
    clip, _, _ = load(config, "random")
    path = tmp_path / "w.safetensors"
    tensors = {name: tensor.clone() for name, tensor in clip.state_dict().items()}
    save_file(tensors, path)
    embed(store, model=config, pretrained=str(path))
    tensors["text_projection"] += 1
    save_file(tensors, path)
    with pytest.raises(FingerprintError, match="whose weights changed since"):
        encoder_of(store)
    path.unlink()
    embedding.table._opened.cache_clear()
    with pytest.raises(EmbeddingError, match=r"neither a tag .* nor a file"):
        encoder_of(store)


def test_names_of_embeddings(store: Store, encoder: Encoder) -> None:
    with pytest.raises(EmbeddingError, match="is no name for an embedding"):
        embed(store, encoder=encoder, name="a/b")


tiny = pytest.mark.skipif(
    not embedding.tiny._FOLDER.joinpath(f"{TINY}.safetensors").is_file(),
    reason="the bundled weights are not built",
)


@pytest.mark.slow
@tiny
def test_the_bundled_model_runs_without_a_network(store: Store) -> None:
    report = embed(store)
    assert report.embedded == 9
    assert "small world" in str(report) and report.model == TINY
    encoder = encoder_of(store)
    assert encoder.templates == TINY_TEMPLATES
    assert encoder.encode_prompt("a frog").shape == (encoder.dim,)


@pytest.mark.slow
@tiny
@pytest.mark.realdata
def test_the_bundled_model_knows_the_cifar_classes() -> None:
    import pyarrow.parquet as pq

    path = Path(__file__).parents[2] / "shared" / "data" / "cifar10-train.parquet"
    if not path.is_file():
        pytest.skip("no ../shared/data here")
    sample = pq.read_table(path).take(list(range(0, 50_000, 250))).to_pylist()
    encoder = load_encoder()
    pictures = [Image.open(io.BytesIO(row["image"])) for row in sample]
    names = sorted({row["label"] for row in sample})
    texts = np.stack([encoder.encode_prompt(f"a {name}") for name in names])
    best = (encoder.encode_images(pictures) @ texts.T).argmax(axis=1)
    right = [names[i] == row["label"] for i, row in zip(best, sample)]
    assert np.mean(right) >= 0.5
