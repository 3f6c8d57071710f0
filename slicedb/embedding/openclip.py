"""Open encoders of open_clip: architectures with a tag, files, models of the Hugging Face hub."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from slicedb.embedding.encoder import Encoder, Tokenizer, Transform
from slicedb.embedding.fingerprint import fingerprint_of
from slicedb.embedding.prompts import BACKGROUND, TEMPLATES
from slicedb.embedding.type import EncoderType
from slicedb.errors import EmbeddingError, did_you_mean
from slicedb.models import Preprocessing
from slicedb.models.weights import refuse_swollen

if TYPE_CHECKING:
    import open_clip
    import torch

RANDOM = "random"

_SCHEMES = ("hf-hub:", "local-dir:")
_SEED = 0


class Loaded(NamedTuple):
    """What open_clip loads: in float32, on the CPU."""

    clip: open_clip.CLIP
    config: dict[str, Any]
    tokenizer: Tokenizer


def open_encoder(model: str, pretrained: str | None, device: torch.device) -> Encoder:
    """Open an encoder of open_clip; see `load_encoder`."""
    return encoder_from(load(model, pretrained), model, pretrained, device)


def encoder_from(
    loaded: Loaded,
    model: str,
    pretrained: str | None,
    device: torch.device,
    *,
    templates: tuple[str, ...] = TEMPLATES,
    background: tuple[str, ...] = BACKGROUND,
    note: str = "",
) -> Encoder:
    """Return the encoder of a loaded model; its fingerprint is taken, then it moves."""
    import open_clip

    clip, config, tokenizer = loaded
    clip.eval().requires_grad_(False)
    about = clip.visual.preprocess_cfg
    preprocessing, transform = preprocessing_of(about)
    fingerprint = fingerprint_of(
        clip,
        model=model,
        pretrained=source_of(pretrained),
        config=config,
        preprocessing=about,
        dim=int(config["embed_dim"]),
        logit_scale=float(clip.logit_scale.exp()),
        open_clip=open_clip.__version__,
    )
    clip.to(device)
    return Encoder(
        clip,
        tokenizer,
        name=model if pretrained is None else f"{model}, {Path(pretrained).name}",
        fingerprint=fingerprint,
        preprocessing=preprocessing,
        transform=transform,
        templates=templates,
        background=background,
        device=device,
        note=note,
    )


def load(model: str, pretrained: str | None) -> Loaded:
    """Return the module in float32 on the CPU, its config and its tokenizer."""
    import open_clip

    name = _register(model) if model.endswith(".json") else model
    own = name.startswith(_SCHEMES)
    if not own:
        _check(name, pretrained)
    tag = open_clip.get_pretrained_cfg(name, pretrained) if pretrained and not own else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clip = _quietly(
                lambda: open_clip.create_model(
                    name,
                    pretrained=None if pretrained == RANDOM else source_of(pretrained),
                    # the tag knows what its weights were trained with; the plain config does not
                    force_quick_gelu=bool(tag.get("quick_gelu", False)),
                    require_pretrained=pretrained != RANDOM,
                )
            )
            tokenizer = open_clip.get_tokenizer(name)
    except Exception as error:
        raise EmbeddingError(
            f"Encoder '{model}'{f' with {pretrained!r}' if pretrained else ''} cannot be opened: "
            f"{_line(error)}",
            "without a network, give a weights file as pretrained=FILE, or use 'slicedb-tiny', "
            "which is bundled.",
        ) from error
    config = dict(open_clip.get_model_config(name) or {})
    if tag.get("quick_gelu"):
        config["quick_gelu"] = True
    return Loaded(clip, config, tokenizer)


def _quietly(make: Callable[[], open_clip.CLIP]) -> open_clip.CLIP:
    """Call with fixed random numbers, and without log lines; errors are still raised."""
    import torch

    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            return make()
    finally:
        logging.disable(before)


def _register(path: str) -> str:
    """Make a model config file known to open_clip; returns its name."""
    import open_clip

    file = Path(path).expanduser().absolute()
    if not file.is_file():
        raise EmbeddingError(f"No model config '{file}'.")
    open_clip.add_model_config(file)
    if file.stem not in open_clip.list_models():
        raise EmbeddingError(
            f"'{file}' is no open_clip model config.",
            "it needs embed_dim, vision_cfg and text_cfg.",
        )
    return file.stem


def _check(name: str, pretrained: str | None) -> None:
    """Refuse what open_clip would refuse late, or get wrong in silence."""
    import open_clip

    known = open_clip.list_models()
    if name not in known:
        raise EmbeddingError(
            f"open_clip has no architecture '{name}'.", did_you_mean(name, known, "architectures")
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained is None:
        shown = ", ".join(tags[:6]) or "a weights file"
        raise EmbeddingError(
            f"No weights given for '{name}'.", f"give pretrained=FILE, or a tag: {shown}."
        )
    if pretrained == RANDOM or open_clip.is_pretrained_cfg(name, pretrained):
        return
    file = Path(pretrained).expanduser()
    if not file.is_file():
        raise EmbeddingError(
            f"'{pretrained}' is neither a tag of '{name}' nor a file.",
            did_you_mean(pretrained, tags, "tags"),
        )
    refuse_swollen(file)
    config = open_clip.get_model_config(name)
    marked = "quickgelu" in file.name.lower() or "openai" in file.name.lower()
    if marked and not config.get("quick_gelu", False):
        better = f"{name}-quickgelu"
        raise EmbeddingError(
            f"'{file.name}' looks like weights trained with QuickGELU, which '{name}' does not "
            "have: the vectors would be silently wrong.",
            f"name '{better}'." if better in known else "rename the file if they are not.",
        )


def source_of(pretrained: str | None) -> str | None:
    """Return a tag as it is, a file as its absolute path."""
    if pretrained and pretrained != RANDOM and os.path.isfile(os.path.expanduser(pretrained)):
        return os.path.abspath(os.path.expanduser(pretrained))
    return pretrained


def preprocessing_of(config: dict[str, Any]) -> tuple[Preprocessing, Transform | None]:
    """Return our preprocessing, and open_clip's own transform where ours has no such mode."""
    from open_clip.transform import PreprocessCfg, image_transform_v2

    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    mode = config.get("resize_mode", "shortest")
    squash = mode == "squash"
    ours = Preprocessing(
        size=(height, width),
        resize=None if squash else max(height, width),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation="bilinear" if config.get("interpolation") == "bilinear" else "bicubic",
    )
    if squash or (mode == "shortest" and height == width):
        return ours, None
    return ours, image_transform_v2(PreprocessCfg(**config), is_train=False)


def _line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


OPEN_CLIP = EncoderType("open_clip", lambda model: True, open_encoder)
