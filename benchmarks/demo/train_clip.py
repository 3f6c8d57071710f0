"""Train the bundled tiny CLIP: scenes of our own with compositional captions, CIFAR with classes.

    python benchmarks/demo/train_clip.py --cifar cifar10-train.parquet \\
        --out slicedb/demo/tiny_clip

Writes `slicedb-tiny.json` (open_clip's model config), `merges.txt.gz` (byte pairs learned from our
own captions) and `slicedb-tiny.safetensors` (float16). Every tenth CIFAR row (index % 10 == 0) is
held out and never trained on; scenes for training have seeds from TRAIN_SEED on, so that the demo
(from 0) and the benchmark (from 2,000,000) see scenes the model never saw.

The loss is contrastive in both directions with several positives (SupCon, Khosla et al. 2020): a
caption carries its claims, so which pictures of the batch it is true of is known exactly. Beside
it, every attribute is classified by prompts ("food with a fork", "food with a spoon", ...), which
makes small things on the table count as much as large ones.

The bundled weights are one run of the defaults. Equal seeds give equal data, captions and batches;
weights differ in the last digits with the machine and the number of threads.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clip_corpus import CONTEXT, SIZE, ClipBatch, Corpus, Mix, Tokenizer, tokenizer
from clip_words import OBJECTS

NAME = "slicedb-tiny"
CONFIG: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": SIZE, "layers": [1, 2, 2, 1], "width": 16, "patch_size": None},
    "text_cfg": {"context_length": CONTEXT, "vocab_size": 0, "width": 128, "heads": 4, "layers": 2},
}


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


def told_apart(logits: torch.Tensor, match: torch.Tensor) -> torch.Tensor:
    """Classify each picture among the values of one attribute; pictures without one are left out.

    Args:
        logits: float32 (n, values).
        match: float32 (n, values), at most a single 1 in a row.
    """
    import torch.nn.functional as F

    known = match.sum(dim=1) > 0
    return F.cross_entropy(logits[known], match[known].argmax(dim=1))


def open_corpus(args: argparse.Namespace, out: Path) -> tuple[Corpus, Tokenizer]:
    """Load the data, and write `merges.txt.gz`; returns the tokenizer too."""
    clock = time.perf_counter()
    rng = np.random.default_rng(args.seed)
    corpus = Corpus(args.cifar, args.scenes, args.captions, rng, args.threads)
    if args.start:
        shutil.copy(Path(args.start) / "merges.txt.gz", out / "merges.txt.gz")
    else:
        corpus.wordings.write_merges(out / "merges.txt.gz")
    tokens_of = tokenizer(out)
    corpus.wordings.tokenize(tokens_of)
    print(
        f"data ready in {time.perf_counter() - clock:.0f} s: {len(corpus.plates)} scenes, "
        f"{int((~corpus.held).sum())} photos, {tokens_of.vocab_size} tokens",
        flush=True,
    )
    return corpus, tokens_of


class Training:
    """The model, its optimizer, and one step.

    Args:
        args: the command line.
        config: open_clip's model config.
    """

    def __init__(self, args: argparse.Namespace, config: dict[str, Any]) -> None:
        import open_clip
        from open_clip.model import CLIP

        self.args = args
        self.model = CLIP(**config, output_dict=False)
        self.model.visual.to(memory_format=torch.channels_last)
        torch.nn.init.constant_(self.model.logit_scale, math.log(20))
        if args.start:
            open_clip.load_checkpoint(self.model, str(Path(args.start) / f"{NAME}.safetensors"))
        self._visual = torch.compile(self.model.visual) if args.compile else self.model.visual
        parameters = list(self.model.parameters())
        print(f"{sum(p.numel() for p in parameters) / 1e6:.2f} M parameters", flush=True)
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": args.decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.98))
        self._mean = torch.tensor(open_clip.OPENAI_DATASET_MEAN).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(open_clip.OPENAI_DATASET_STD).view(1, 3, 1, 1) * 255

    def prepared(self, batch: np.ndarray) -> torch.Tensor:
        """Normalize pictures: uint8 (n, h, w, 3) -> float32 (n, 3, h, w), channels last."""
        pixels = torch.from_numpy(batch).permute(0, 3, 1, 2).float()
        return (pixels - self._mean) / self._std

    def step(self, number: int, batch: ClipBatch) -> float:
        """Take one step down the slope; returns the loss."""
        args = self.args
        warm = min(1.0, (number + 1) / args.warmup)
        rate = args.lr * warm * 0.5 * (1 + math.cos(math.pi * number / args.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            seen = self._visual(self.prepared(batch.pictures))
            read = self.model.encode_text(batch.tokens)
        seen = torch.nn.functional.normalize(seen.float(), dim=1)
        read = torch.nn.functional.normalize(read.float(), dim=1)
        scale = self.model.logit_scale.clamp(max=math.log(60)).exp()
        match = torch.from_numpy(batch.match).float()
        loss = loss_of(seen, read, scale, match)
        for columns in batch.prompts:
            loss = loss + args.prompt_weight / len(batch.prompts) * told_apart(
                scale * seen @ read[columns].T, match[:, columns]
            )
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        self.optimizer.step()
        return float(loss.item())

    def top1(self, corpus: Corpus, tokens_of: Tokenizer) -> float:
        """Return the zero-shot accuracy over every fifth held-out photo."""
        self.model.eval()
        with torch.no_grad():
            few = np.flatnonzero(corpus.held)[::5]
            names = tokens_of([f"a photo of a {name}" for name in OBJECTS])
            vectors = self.model.encode_image(self.prepared(corpus.photos[few]), normalize=True)
            guess = (vectors @ self.model.encode_text(names, normalize=True).T).argmax(1).tolist()
        self.model.train()
        return float(np.mean([list(OBJECTS)[g] == corpus.labels[k] for g, k in zip(guess, few)]))

    def save(self, file: Path) -> None:
        """Write the weights in half precision."""
        from safetensors.torch import save_file

        state = {
            key: (value.half() if value.is_floating_point() else value).contiguous()
            for key, value in self.model.state_dict().items()
        }
        save_file(state, file)


def train(args: argparse.Namespace) -> None:
    """Train and write the three files."""
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    corpus, tokens_of = open_corpus(args, out)
    config = json.loads(json.dumps(CONFIG))
    config["text_cfg"]["vocab_size"] = tokens_of.vocab_size
    (out / f"{NAME}.json").write_text(json.dumps(config, indent=2) + "\n")
    training = Training(args, config)
    mix = Mix(
        args.photo_batch, args.scene_batch, args.scene_captions, args.photo_captions, args.fillers
    )
    started, running = time.perf_counter(), 0.0
    for number in range(args.steps):
        loss = training.step(number, corpus.batch(mix))
        running = loss if number == 0 else 0.98 * running + 0.02 * loss
        if (number + 1) % args.report == 0 or number + 1 == args.steps:
            right = training.top1(corpus, tokens_of)
            spent = time.perf_counter() - started
            print(
                f"step {number + 1}/{args.steps} loss {running:.3f} "
                f"held-out top-1 {right:.3f} {spent:.0f} s",
                flush=True,
            )
            training.save(out / f"{NAME}.safetensors")


def main(argv: Sequence[str] | None = None) -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cifar", required=True, help="Parquet with label and image")
    parser.add_argument("--out", required=True, help="folder to write the three files to")
    parser.add_argument("--start", help="folder of an earlier --out to go on from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenes", type=int, default=20_000)
    parser.add_argument("--captions", type=int, default=8, help="wordings kept a scene")
    parser.add_argument("--steps", type=int, default=5000)
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
