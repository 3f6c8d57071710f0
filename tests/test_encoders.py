"""A kind of encoders that an installed package adds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from test_plugins import install

import slicedb
from slicedb.embedding import ENCODERS, load_encoder
from slicedb.errors import EmbeddingError, FingerprintError

COLOURS = '''
import torch
from slicedb.embedding import Encoder, EncoderType, fingerprint_of
from slicedb.errors import EmbeddingError
from slicedb.models import Preprocessing

WORDS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}


class Colours(torch.nn.Module):
    """The vector of a picture is its mean colour; that of a text the colours it names."""

    def __init__(self, scale):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(scale), requires_grad=False)

    def encode_image(self, images):
        return images.mean(dim=(2, 3)) * self.scale

    def encode_text(self, tokens):
        return tokens.float()


def tokens(texts):
    named = [[WORDS[w] for w in text.strip(".").split() if w in WORDS] for text in texts]
    return torch.tensor([[sum(c) for c in zip((0, 0, 0), *row)] for row in named])


def open_colours(model, pretrained, device):
    if pretrained not in (None, "doubled"):
        raise EmbeddingError(f"No colours '{pretrained}'.", "leave out pretrained.")
    module = Colours(2.0 if pretrained else 1.0).to(device)
    about = {"size": 8, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    preprocessing = Preprocessing(size=(8, 8), mean=about["mean"], std=about["std"])
    fingerprint = fingerprint_of(
        module, model=model, pretrained=pretrained, config={}, preprocessing=about,
        dim=3, logit_scale=10.0,
    )
    return Encoder(
        module, tokens, name=model, fingerprint=fingerprint, preprocessing=preprocessing,
        transform=None, templates=("{}",), background=("red", "green", "blue"), device=device,
    )


COLOURS = EncoderType("colours", lambda model: model == "colours", open_colours)
'''


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[slicedb.Database]:
    """Return a database of three pictures, beside an installed package with an encoder."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(site)])
    install(site, "colours", "slicedb.encoders", {"colours": "colours:COLOURS"}, COLOURS)
    ENCODERS.forget()
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name, colour in {"r": (200, 30, 0), "g": (0, 180, 20), "b": (10, 0, 220)}.items():
        Image.new("RGB", (12, 9), colour).save(pictures / f"{name}.png")
    made = slicedb.open(tmp_path / "data.slicedb")
    made.ingest(pictures)
    yield made
    sys.modules.pop("colours", None)
    ENCODERS.forget()


def test_an_encoder_of_a_package_embeds_and_answers_texts(db: slicedb.Database) -> None:
    assert list(ENCODERS) == ["tiny", "open_clip", "colours"]
    assert db.embed("colours").embedded == 3
    assert db.embed("colours").unchanged == 3
    ordered = db.query("similarity('red') > -1 ORDER BY similarity('red') DESC").ids()
    assert ordered == ["r.png", "b.png", "g.png"]
    again = slicedb.open(db.path)  # which opens the encoder by the name that is stored
    assert again.query("similarity('green') > 0.9").ids() == ["g.png"]


def test_its_vectors_are_not_mixed_with_those_of_other_weights(db: slicedb.Database) -> None:
    db.embed("colours")
    with pytest.raises(FingerprintError, match="made by colours, not by colours: weights differ"):
        db.embed("colours", pretrained="doubled")


@pytest.mark.slow
def test_its_errors_and_those_of_open_clip_say_what_is_wrong(db: slicedb.Database) -> None:
    with pytest.raises(EmbeddingError, match="No colours 'faded'"):
        load_encoder("colours", "faded")
    with pytest.raises(EmbeddingError, match="open_clip has no architecture 'colour'"):
        load_encoder("colour")
