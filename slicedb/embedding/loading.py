"""Loading open_clip models: the bundled one, named ones with a tag, files."""

from __future__ import annotations

import json
import logging
import os
import warnings
from pathlib import Path
from typing import Any

from slicedb.embedding.encoder import Encoder
from slicedb.embedding.prompts import BACKGROUND, TEMPLATES, TINY_BACKGROUND, TINY_TEMPLATES
from slicedb.errors import EmbeddingError, did_you_mean
from slicedb.inference.runner import pick_device
from slicedb.models import Preprocessing
from slicedb.models.fingerprint import combine, tensors_digest

TINY = "slicedb-tiny"
"""The model that comes with SliceDB."""

TINY_NOTE = (
    "The bundled slicedb-tiny knows a small world: the ten CIFAR classes and rendered plates of "
    "food. For your own photos name a larger model: slicedb embed ViT-B-32 --pretrained "
    "laion2b_s34b_b79k."
)
RANDOM = "random"

_TINY_FOLDER = Path(__file__).parent.parent / "demo" / "tiny_clip"
_SCHEMES = ("hf-hub:", "local-dir:")
_SEED = 0


def load_encoder(
    model: str = TINY, pretrained: str | None = None, *, device: Any = None
) -> Encoder:
    """Open an encoder.

    Args:
        model: an open_clip architecture ("ViT-B-32"), "hf-hub:org/name", "local-dir:path", the
            path of a model config (`.json`), or "slicedb-tiny", which needs no download.
        pretrained: a tag of open_clip (downloaded unless it is in its cache), or a weights file.
            "random" takes the same random numbers each time, for dry runs.
        device: a torch device or its name; None takes a GPU when there is one.

    Raises:
        EmbeddingError: no such architecture, tag or file, or the download fails.
    """
    chosen = pick_device(device)
    if model == TINY and pretrained is None:
        clip, config, tokenizer = _open_tiny()
    else:
        clip, config, tokenizer = _open(model, pretrained)
    clip.eval().requires_grad_(False)
    preprocessing, transform = _preprocessing(clip.visual.preprocess_cfg)
    fingerprint = _fingerprint(clip, config, model, _source(pretrained))
    clip.to(chosen)
    tiny = model == TINY
    return Encoder(
        clip,
        tokenizer,
        name=model if pretrained is None else f"{model}, {Path(pretrained).name}",
        fingerprint=fingerprint,
        preprocessing=preprocessing,
        transform=transform,
        templates=TINY_TEMPLATES if tiny else TEMPLATES,
        background=TINY_BACKGROUND if tiny else BACKGROUND,
        device=chosen,
        note=TINY_NOTE if tiny else "",
    )


def _open_tiny() -> tuple[Any, dict[str, Any], Any]:
    import open_clip

    weights = _TINY_FOLDER / f"{TINY}.safetensors"
    if not weights.is_file():
        raise EmbeddingError(
            f"The bundled model is missing: no file '{weights}'.",
            "install slicedb again, or name another model.",
        )
    clip, config, _ = _open(str(_TINY_FOLDER / f"{TINY}.json"), str(weights))
    tokenizer = open_clip.SimpleTokenizer(
        bpe_path=str(_TINY_FOLDER / "merges.txt.gz"),
        context_length=config["text_cfg"]["context_length"],
    )
    return clip, config, tokenizer


def _open(model: str, pretrained: str | None) -> tuple[Any, dict[str, Any], Any]:
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
                    pretrained=None if pretrained == RANDOM else _source(pretrained),
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
    return clip, config, tokenizer


def _quietly(make: Any) -> Any:
    """Call with fixed random numbers, and without the libraries' remarks: errors say it all."""
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
    """Refuse what open_clip would refuse late, or get wrong without a word."""
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
    config = open_clip.get_model_config(name)
    marked = "quickgelu" in file.name.lower() or "openai" in file.name.lower()
    if marked and not config.get("quick_gelu", False):
        better = f"{name}-quickgelu"
        raise EmbeddingError(
            f"'{file.name}' looks like weights trained with QuickGELU, which '{name}' does not "
            "have: the vectors would be silently wrong.",
            f"name '{better}'." if better in known else "rename the file if they are not.",
        )


def _source(pretrained: str | None) -> str | None:
    """Return a tag as it is, a file as its absolute path."""
    if pretrained and pretrained != RANDOM and os.path.isfile(os.path.expanduser(pretrained)):
        return os.path.abspath(os.path.expanduser(pretrained))
    return pretrained


def _preprocessing(config: dict[str, Any]) -> tuple[Preprocessing, Any]:
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


def _fingerprint(
    clip: Any, config: dict[str, Any], model: str, pretrained: str | None
) -> dict[str, Any]:
    import open_clip

    about = clip.visual.preprocess_cfg
    return {
        "model": model if not model.endswith(".json") else os.path.abspath(model),
        "pretrained": pretrained,
        "architecture": combine({"config": config}),
        "weights": tensors_digest(clip.state_dict()),
        "quick_gelu": bool(config.get("quick_gelu", False)),
        "preprocessing": {key: _plain(about[key]) for key in sorted(about)},
        "precision": "fp32",
        "dim": int(config["embed_dim"]),
        "logit_scale": round(float(clip.logit_scale.exp()), 4),
        "open_clip": open_clip.__version__,
    }


def fingerprint_json(fingerprint: dict[str, Any]) -> str:
    """Return the fingerprint as text."""
    return json.dumps(fingerprint, sort_keys=True)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
