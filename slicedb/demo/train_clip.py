"""Train the bundled tiny CLIP: scenes of our own with compositional captions, CIFAR with classes.

    python -m slicedb.demo.train_clip --cifar cifar10-train.parquet --out slicedb/demo/tiny_clip

Writes `slicedb-tiny.json` (open_clip's model config), `merges.txt.gz` (byte pairs learned from our
own captions) and `slicedb-tiny.safetensors` (float16). Every tenth CIFAR row (index % 10 == 0) is
held out and never trained on; scenes for training have seeds from TRAIN_SEED on, so that the demo
(from 0) and the benchmark (from 2,000,000) see scenes the model never saw.

The loss is contrastive in both directions with several positives (SupCon, Khosla et al. 2020): a
caption carries its claims, so which pictures of the batch it is true of is known exactly. Beside
it, every attribute is classified by prompts ("food with a fork", "food with a spoon", ...), which
makes small things on the table count as much as large ones.

The bundled weights come of three runs with these data: 2,000 steps at 2e-3 before the prompts were
added (then with 112 scene captions, 24 photo captions and 12 fillers a step), then twice more with
`--start` at the one before and `--scenes 14000`:

    --steps 1300 --lr 1.5e-3 --warmup 60 --seed 1
    --steps 700 --lr 1.2e-3 --warmup 40 --seed 2 --prompt-weight 2

The defaults do about the same amount of work in one run. Equal seeds give equal data, captions and
batches; weights differ in the last digits with the machine and the number of threads.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from slicedb.demo import scenes
from slicedb.demo.captions import prompts
from slicedb.demo.words import KINDS, NOTHING, OBJECTS, PLURAL_TEMPLATES, TEMPLATES

if TYPE_CHECKING:
    import torch

NAME = "slicedb-tiny"
SIZE = 64
CONTEXT = 32
TRAIN_SEED = 1_000_000
N_MERGES = 1200
CONFIG: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": SIZE, "layers": [1, 2, 2, 1], "width": 16, "patch_size": None},
    "text_cfg": {"context_length": CONTEXT, "vocab_size": 0, "width": 128, "heads": 4, "layers": 2},
}
ATTRIBUTES = ("kind", "label", "dish", "cuisine", "table_top", "light", "blurry", "cutlery",
              "vessel", "vessel_color", "extra", "object")  # fmt: skip


def learn_merges(texts: Iterable[str], n: int) -> list[tuple[str, str]]:
    """Learn byte-pair merges (Sennrich et al. 2016) from lower-case words.

    Args:
        texts: the corpus; words are runs of letters.
        n: at most so many merges; fewer when every word is one token.
    """
    counts = Counter(word for text in texts for word in text.lower().replace("/", " ").split())
    words = {(*word[:-1], word[-1] + "</w>"): c for word, c in counts.items() if word.isalpha()}
    merges: list[tuple[str, str]] = []
    while len(merges) < n:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in pairwise(word):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = {_merged(word, best): count for word, count in words.items()}
    return merges


def _merged(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out: list[str] = []
    for part in word:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return tuple(out)


class Codes:
    """Attribute values as small numbers, -1 where nothing is said."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[str, Any], int] = {}

    def row(self, values: dict[str, Any]) -> list[int]:
        """Return int codes in the order of ATTRIBUTES."""
        return [
            self.numbers.setdefault((key, values[key]), len(self.numbers)) if key in values else -1
            for key in ATTRIBUTES
        ]


def photo_caption(name: str, rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """Word a CIFAR class: singular or plural, a synonym, now and then only its kind."""
    if rng.random() < 0.12:
        kind = KINDS[name]
        words = (kind, f"a photo of {'an' if kind[0] in 'aeiou' else 'a'} {kind}", f"{kind}s")
        return words[int(rng.integers(3))], {"kind": kind}
    singulars, plurals = OBJECTS[name]
    k = int(rng.integers(len(singulars))) if rng.random() < 0.4 else 0
    if rng.random() < 0.15:
        template = PLURAL_TEMPLATES[int(rng.integers(len(PLURAL_TEMPLATES)))]
        return template.format(plurals[k]), {"object": name}
    template = TEMPLATES[int(rng.integers(len(TEMPLATES)))]
    text = template.format(singulars[k])
    if singulars[k][0] in "aeiou":
        text = text.replace(f" a {singulars[k]}", f" an {singulars[k]}")
        text = "an " + text[2:] if text.startswith(f"a {singulars[k]}") else text
    return text, {"object": name}


def load_photos(path: str) -> tuple[np.ndarray, list[str]]:
    """Decode CIFAR rows: uint8 (n, SIZE, SIZE, 3), and their labels."""
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["label", "image"])
    images = np.empty((len(table), SIZE, SIZE, 3), dtype=np.uint8)
    for k, data in enumerate(table["image"].to_pylist()):
        image = Image.open(BytesIO(data)).convert("RGB")
        images[k] = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return images, table["label"].to_pylist()


def _render(span: tuple[int, int, int]) -> tuple[np.ndarray, list[scenes.Scene]]:
    first, n, size = span
    images, facts = np.empty((n, size, size, 3), dtype=np.uint8), []
    for k, (image, scene) in enumerate(scenes.scenes(n, first)):
        images[k] = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
        facts.append(scene)
    return images, facts


def load_scenes(
    n: int, seed: int, size: int = SIZE, workers: int = 2
) -> tuple[np.ndarray, list[scenes.Scene]]:
    """Render n scenes: uint8 (n, size, size, 3), and what is in them."""
    spans = [(seed + k, min(500, n - k), size) for k in range(0, n, 500)]
    with ProcessPoolExecutor(workers) as pool:
        parts = list(pool.map(_render, spans))
    return np.concatenate([part[0] for part in parts]), [s for part in parts for s in part[1]]


def tokenizer(folder: Path) -> Any:
    """Return open_clip's tokenizer over our own merges."""
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer(bpe_path=str(folder / "merges.txt.gz"), context_length=CONTEXT)


def _moved(images: np.ndarray, rng: np.random.Generator, room: int) -> np.ndarray:
    """Shift each picture by up to `room` pixels (edges repeat) and mirror half of them."""
    padded = np.pad(images, ((0, 0), (room, room), (room, room), (0, 0)), mode="reflect")
    out = np.empty_like(images)
    shifts = rng.integers(0, 2 * room + 1, (len(images), 2)).tolist()
    flips = (rng.random(len(images)) < 0.5).tolist()
    for k, ((y, x), flip) in enumerate(zip(shifts, flips)):
        view = padded[k, y : y + SIZE, x : x + SIZE]
        out[k] = view[:, ::-1] if flip else view
    return out


def matches(claims: np.ndarray, facts: np.ndarray) -> np.ndarray:
    """Say which captions are true of which pictures: bool (pictures, captions).

    Args:
        claims: int16 (captions, attributes), -1 where nothing is claimed.
        facts: int16 (pictures, attributes), -1 where nothing is known.
    """
    same = claims[None, :, :] == facts[:, None, :]
    return np.asarray((same | (claims[None, :, :] < 0)).all(axis=2))


def loss_of(
    images: torch.Tensor, texts: torch.Tensor, scale: torch.Tensor, match: torch.Tensor
) -> torch.Tensor:
    """Contrast both ways; a row's target is even over its positives, rows without any are left out.

    Args:
        images: float32 (n, d), unit length.
        texts: float32 (m, d), unit length.
        scale: the inverse temperature.
        match: float32 (n, m), 1 where the caption is true of the picture.
    """
    import torch.nn.functional as F

    logits = scale * images @ texts.T  # (n, d) @ (d, m) -> (n, m)
    losses = []
    for rows, target in ((logits, match), (logits.T, match.T)):
        total = target.sum(dim=1)
        known = total > 0
        target = target[known] / total[known, None]
        losses.append(-(target * F.log_softmax(rows[known], dim=1)).sum(dim=1).mean())
    return (losses[0] + losses[1]) / 2


def train(args: argparse.Namespace) -> None:
    """Train and write the three files."""
    import open_clip
    import torch
    from open_clip.model import CLIP
    from safetensors.torch import save_file

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(args.seed)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    clock = time.perf_counter()

    photos, labels = load_photos(args.cifar)
    held = np.arange(len(photos)) % 10 == 0
    plates, facts = load_scenes(args.scenes, TRAIN_SEED, workers=args.threads)
    codes = Codes()
    scene_facts = np.array([codes.row(dict(scene)) for scene in facts], dtype=np.int16)
    photo_facts = np.array(
        [codes.row({"kind": KINDS[label], "object": label}) for label in labels], dtype=np.int16
    )
    of_scenes = [scenes.captions(scene, rng, args.captions) for scene in facts]
    of_photos = [photo_caption(name, rng) for name in OBJECTS for _ in range(300)]
    texts = [c.text for group in of_scenes for c in group]
    photo_texts = [text for text, _ in of_photos]
    fillers = [t.format(noun) for noun in NOTHING for t in TEMPLATES[:6]]
    if args.start:
        shutil.copy(Path(args.start) / "merges.txt.gz", out / "merges.txt.gz")
    else:
        merges = learn_merges([*texts, *photo_texts * 3, *fillers * 3], N_MERGES)
        lines = ["#version: slicedb-tiny", *(" ".join(pair) for pair in merges)]
        with gzip.GzipFile(out / "merges.txt.gz", "wb", mtime=0) as file:
            file.write("\n".join(lines).encode())
    tokens_of = tokenizer(out)
    config = json.loads(json.dumps(CONFIG))
    config["text_cfg"]["vocab_size"] = tokens_of.vocab_size
    (out / f"{NAME}.json").write_text(json.dumps(config, indent=2) + "\n")

    scene_tokens = tokens_of(texts).to(torch.int16).reshape(len(facts), args.captions, CONTEXT)
    claims = [[codes.row(c.claims) for c in group] for group in of_scenes]
    scene_claims = np.array(claims, dtype=np.int16)  # (scenes, captions, attributes)
    photo_tokens = tokens_of(photo_texts).to(torch.int16)
    photo_claims = np.array([codes.row(c) for _, c in of_photos], dtype=np.int16)
    filler_tokens = tokens_of(fillers).to(torch.int16)
    asked_of: dict[str, dict[Any, tuple[str, ...]]] = prompts()
    asked_of["object"] = {name: _photo_prompts(name) for name in OBJECTS}
    spoken = [
        tokens_of(list(words)).to(torch.int16)
        for values in asked_of.values()
        for words in values.values()
    ]
    asked_claims = np.array(
        [codes.row({key: value}) for key, values in asked_of.items() for value in values],
        dtype=np.int16,
    )
    ends = np.cumsum([0, *(len(values) for values in asked_of.values())])
    groups_of = [torch.arange(int(a), int(b)) for a, b in pairwise(ends)]
    filler_claims = np.full((args.fillers, len(ATTRIBUTES)), -1, dtype=np.int16)
    filler_claims[:, 0] = 30_000  # a kind of thing that no picture shows
    print(f"data ready in {time.perf_counter() - clock:.0f} s: {len(plates)} scenes, "
          f"{int((~held).sum())} photos, {tokens_of.vocab_size} tokens", flush=True)  # fmt: skip

    model = CLIP(**config, output_dict=False)
    model.visual.to(memory_format=torch.channels_last)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters", flush=True)
    torch.nn.init.constant_(model.logit_scale, math.log(20))
    if args.start:
        open_clip.load_checkpoint(model, str(Path(args.start) / f"{NAME}.safetensors"))
    visual = torch.compile(model.visual) if args.compile else model.visual
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": args.decay},
        {"params": others, "weight_decay": 0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.98))
    mean = torch.tensor(open_clip.OPENAI_DATASET_MEAN).view(1, 3, 1, 1) * 255
    std = torch.tensor(open_clip.OPENAI_DATASET_STD).view(1, 3, 1, 1) * 255

    def prepared(batch: np.ndarray) -> torch.Tensor:
        return (torch.from_numpy(batch).permute(0, 3, 1, 2).float() - mean) / std  # NHWC in memory

    of_training = np.flatnonzero(~held)
    photo_queue, scene_queue = _Queue(of_training, rng), _Queue(np.arange(len(plates)), rng)
    started, running = time.perf_counter(), 0.0
    for step in range(args.steps):
        warm = min(1.0, (step + 1) / args.warmup)
        rate = args.lr * warm * 0.5 * (1 + math.cos(math.pi * step / args.steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        p, s = photo_queue.take(args.photo_batch), scene_queue.take(args.scene_batch)
        told = s[: args.scene_captions]
        which = rng.integers(0, args.captions, len(told))
        c = rng.integers(0, len(photo_tokens), args.photo_captions)
        f = rng.integers(0, len(filler_tokens), args.fillers)
        asked = [spoken[k][int(rng.integers(len(spoken[k])))] for k in range(len(spoken))]
        tokens = torch.cat(
            [scene_tokens[told, which], photo_tokens[c], filler_tokens[f], torch.stack(asked)]
        ).long()
        claimed = np.concatenate(
            [scene_claims[told, which], photo_claims[c], filler_claims, asked_claims]
        )
        match = matches(claimed, np.concatenate([photo_facts[p], scene_facts[s]]))
        batch = np.concatenate([_moved(photos[p], rng, 8), _moved(plates[s], rng, 5)])
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            seen = visual(prepared(batch))
            read = model.encode_text(tokens)
        seen = torch.nn.functional.normalize(seen.float(), dim=1)
        read = torch.nn.functional.normalize(read.float(), dim=1)
        scale = model.logit_scale.clamp(max=math.log(60)).exp()
        positives = torch.from_numpy(match).float()
        loss = loss_of(seen, read, scale, positives)
        first = len(tokens) - len(asked)
        for group in groups_of:
            columns = first + group
            loss = loss + args.prompt_weight / len(groups_of) * told_apart(
                scale * seen @ read[columns].T, positives[:, columns]
            )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
        running = loss.item() if step == 0 else 0.98 * running + 0.02 * loss.item()
        if (step + 1) % args.report == 0 or step + 1 == args.steps:
            model.eval()
            with torch.no_grad():
                few = np.flatnonzero(held)[::5]
                names = tokens_of([f"a photo of a {name}" for name in OBJECTS])
                vectors = model.encode_image(prepared(photos[few]), normalize=True)
                guess = (vectors @ model.encode_text(names, normalize=True).T).argmax(1).tolist()
            right = np.mean([list(OBJECTS)[g] == labels[k] for g, k in zip(guess, few)])
            model.train()
            spent = time.perf_counter() - started
            print(f"step {step + 1}/{args.steps} loss {running:.3f} scale {scale.item():.1f} "
                  f"held-out top-1 {right:.3f} {spent:.0f} s", flush=True)  # fmt: skip
            state = {
                key: (value.half() if value.is_floating_point() else value).contiguous()
                for key, value in model.state_dict().items()
            }
            save_file(state, out / f"{NAME}.safetensors")


def told_apart(logits: torch.Tensor, match: torch.Tensor) -> torch.Tensor:
    """Classify each picture among the values of one attribute; pictures without one are left out.

    Args:
        logits: float32 (n, values).
        match: float32 (n, values), at most a single 1 in a row.
    """
    import torch.nn.functional as F

    known = match.sum(dim=1) > 0
    return F.cross_entropy(logits[known], match[known].argmax(dim=1))


def _photo_prompts(name: str) -> tuple[str, ...]:
    words = OBJECTS[name][0][0]
    return tuple(template.format(words) for template in TEMPLATES[:9])


class _Queue:
    """Endless passes over the same numbers, shuffled anew each time."""

    def __init__(self, numbers: np.ndarray, rng: np.random.Generator) -> None:
        self.numbers, self.rng, self.left = numbers, rng, np.empty(0, dtype=np.int64)

    def take(self, n: int) -> np.ndarray:
        while len(self.left) < n:
            self.left = np.concatenate([self.left, self.rng.permutation(self.numbers)])
        taken, self.left = self.left[:n], self.left[n:]
        return taken


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cifar", required=True, help="Parquet with label and image")
    parser.add_argument("--out", required=True, help="folder to write the three files to")
    parser.add_argument("--start", help="folder of an earlier --out to go on from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenes", type=int, default=20_000)
    parser.add_argument("--captions", type=int, default=8, help="wordings kept a scene")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--warmup", type=int, default=150)
    parser.add_argument("--photo-batch", type=int, default=192)
    parser.add_argument("--scene-batch", type=int, default=160)
    parser.add_argument("--scene-captions", type=int, default=80)
    parser.add_argument("--prompt-weight", type=float, default=1.0)
    parser.add_argument("--photo-captions", type=int, default=14)
    parser.add_argument("--fillers", type=int, default=10, help="captions true of nothing")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--report", type=int, default=250)
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    train(parser.parse_args(argv))


if __name__ == "__main__":
    main()
