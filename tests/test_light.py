"""The light way to the vectors of texts: the same vectors, from the cache folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import slicedb
from slicedb.embedding import Encoder, load_encoder
from slicedb.embedding.light import LightEncoder, _folder, keep_texts, light_encoder
from slicedb.embedding.prompts import TINY_BACKGROUND
from slicedb.embedding.tower import Tower, tower_of
from slicedb.embedding.words import words_of
from slicedb.errors import EmbeddingError, FingerprintError

TEXTS = [
    "a cat",
    "A  Cat\tasleep ",
    "it's the dog's 3rd bone, isn't it?!",
    "Käsekuchen in der Straße",
    "ein \u201egroßer\u201c Hund \u2026 l\u2019\u00e9t\u00e9",
    "&lt;b&gt; bread &amp; butter",
    "\u5bff\u53f8 and \U0001f363\U0001f363",
    "<start_of_text> <END_OF_TEXT> x",
    "1234567890 ½ ² ٣",
    'snake_case-and/slashes\\ "quotes" #hash',
    "\u212b\ufb01\ufb02 ﾊﾝｶｸ",
    "word " * 100,
    "x" * 300,
    "é" * 90,
    "\x1b[31mred\x1b[0m",
    "don\u2019t",
    "İstanbul ǅ ß",
    "a\u0301 combining",
    *TINY_BACKGROUND[:20],
]

SMALL = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 3},
}


@pytest.fixture(scope="module")
def tiny() -> Encoder:
    return load_encoder()


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    path = tmp_path_factory.mktemp("models") / "small-quick.json"
    path.write_text(json.dumps(SMALL))
    return load_encoder(str(path), "random")


@pytest.mark.parametrize("name", ["tiny", "quick"])
def test_tokens_and_vectors_are_those_of_the_whole_encoder(
    name: str, request: pytest.FixtureRequest
) -> None:
    whole: Encoder = request.getfixturevalue(name)
    towers, tokenizer = whole.parts
    words, found = words_of(tokenizer), tower_of(towers)
    assert words is not None and found is not None
    expected = tokenizer(TEXTS).numpy()
    tokens = words.tokens(TEXTS)
    np.testing.assert_array_equal(tokens, expected[:, : tokens.shape[1]])
    assert not expected[:, tokens.shape[1] :].any()
    vectors = Tower(*found).encode(tokens)
    np.testing.assert_allclose(vectors, whole.encode_texts(TEXTS), atol=1e-6, rtol=0)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_towers_of_other_kinds_are_left_alone(tiny: Encoder) -> None:
    import torch

    assert words_of(lambda texts: texts) is None
    assert tower_of(torch.nn.Linear(2, 2)) is None


@pytest.fixture
def db(scenes: Path) -> slicedb.Database:
    made = slicedb.open(scenes / "data.slicedb")
    shutil.rmtree(Path(made.path) / ".cache", ignore_errors=True)
    keep_texts(made.store, made.encoder())
    return made


def light(db: slicedb.Database) -> LightEncoder:
    found = light_encoder(db.store, "default", db.encoder)
    assert found is not None
    return found


def test_prompts_are_kept_for_the_next_process(
    db: slicedb.Database, tiny: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = light(db)
    for text in ("a plate of laddu", "a photo of soup."):
        expected = tiny.encode_prompt(text)
        np.testing.assert_allclose(first.encode_prompt(text), expected, atol=1e-6, rtol=0)
    together = first.encode_prompts(["a dog", "soup", "a dog"])
    np.testing.assert_array_equal(together[0], together[2])
    np.testing.assert_allclose(together[1], tiny.encode_prompt("soup"), atol=1e-6, rtol=0)
    monkeypatch.setattr(Tower, "encode", None)
    second = light(db)
    np.testing.assert_array_equal(second.encode_prompt("a dog"), together[0])
    assert (second.logit_scale, second.templates) == (tiny.logit_scale, tiny.templates)
    assert second.background == tiny.background
    with pytest.raises(EmbeddingError, match="empty"):
        second.encode_prompt("  ")


def test_queries_answer_the_same_as_with_the_whole_encoder(
    db: slicedb.Database, tiny: Encoder
) -> None:
    texts = (
        "ORDER BY similarity('a plate of sushi') DESC LIMIT 20",
        "ORDER BY matches('soup') DESC LIMIT 20",
        "matches('food at night')",
    )
    whole = slicedb.open(db.path)
    whole.engine.session.vectors.directions.encoder = lambda name: tiny
    for text in texts:
        assert db.query(text).ids() == whole.query(text).ids()


def test_pictures_open_the_whole_encoder(db: slicedb.Database, scenes: Path) -> None:
    picture = next((scenes / "pictures").rglob("*.jpg"))
    assert db.query(f"ORDER BY similarity(image('{picture}')) DESC LIMIT 1").count() == 1


@pytest.mark.parametrize("name", ["about", "tower", "texts"])
@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:100], lambda data: data[:-1] + b"?"]
)
def test_damaged_files_cost_time_only(
    db: slicedb.Database, tiny: Encoder, name: str, damage: Callable[[bytes], bytes]
) -> None:
    light(db).encode_prompt("a dog")
    folder = _folder(db.store, tiny.fingerprint)
    assert folder is not None
    path = folder / name
    path.write_bytes(damage(path.read_bytes()))
    again = slicedb.open(db.path).engine.session.vectors.directions.encoder("default")
    for text in ("a dog", "a horse"):
        expected = tiny.encode_prompt(text)
        np.testing.assert_allclose(again.encode_prompt(text), expected, atol=1e-6, rtol=0)


def test_other_weights_in_the_same_file_are_noticed(scenes: Path, tmp_path: Path) -> None:
    from slicedb.embedding.tiny import TINY_FILES

    weights, config = tmp_path / "w.safetensors", tmp_path / "small.json"
    shutil.copy(TINY_FILES[0], weights)
    shutil.copy(TINY_FILES[1], config)
    db = slicedb.open(scenes / "data.slicedb")
    db.embed(str(config), pretrained=str(weights), name="own")
    assert light_encoder(db.store, "own", lambda: db.encoder("own")) is not None
    from safetensors.numpy import load_file, save_file

    changed = {name: np.asarray(value) for name, value in load_file(weights).items()}
    changed["text_projection"] = changed["text_projection"] * 1.5
    save_file(changed, weights)
    assert light_encoder(db.store, "own", lambda: db.encoder("own")) is None
    from slicedb.embedding.table import _opened

    _opened.cache_clear()
    with pytest.raises(FingerprintError, match="weights changed"):
        slicedb.open(db.path).query("ORDER BY similarity('a dog', using => 'own') LIMIT 1").ids()


def test_a_text_query_imports_neither_torch_nor_open_clip(db: slicedb.Database) -> None:
    code = (
        "import sys\n"
        "from slicedb.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "heavy = ('torch', 'torchvision', 'open_clip', 'timm', 'scipy', 'pandas', 'ftfy')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    for text in ("ORDER BY similarity('a frog') DESC LIMIT 3", "matches('a frog')"):
        command = [sys.executable, "-c", code, "--db", db.path, text, "--ids"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]"
