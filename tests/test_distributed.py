"""Distributed training: each process gets its part of the epoch, by default."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes_models import fill, png

import slicedb
from slicedb.errors import SliceDBError
from slicedb.training.shards import Shard

SCRIPT = """
import json, sys, torch, slicedb
rank, path, meeting, out = int(sys.argv[1]), *sys.argv[2:]
place = f"file://{meeting}"
torch.distributed.init_process_group("gloo", init_method=place, rank=rank, world_size=2)
data = slicedb.open(path, create=False).query("").to_torch()
loader = data.loader(batch_size=5, seed=3)
epochs = [[i for batch in loader for i in batch[-1]] for _ in range(2)]
sampler = torch.utils.data.DistributedSampler(data, shuffle=False)
given = [i for batch in data.loader(batch_size=5, sampler=sampler) for i in batch[-1]]
alone = [i for batch in data.loader(batch_size=5, distributed=False) for i in batch[-1]]
odd = slicedb.open(path, create=False).query("LIMIT 7").to_torch()
padded = [i for batch in odd.loader(batch_size=5) for i in batch[-1]]
cut = [i for batch in odd.loader(batch_size=1, drop_last=True) for i in batch[-1]]
seen = {"epochs": epochs, "given": given, "alone": alone, "len": len(loader)}
seen |= {"padded": padded, "cut": cut}
json.dump(seen, open(out, "w"))
torch.distributed.destroy_process_group()
"""


def database(path: Path) -> list[str]:
    ids = [f"{i:02d}" for i in range(24)]
    db = slicedb.open(path)
    fill(db.store, {i: png((9 * k, 1, 1)) for k, i in enumerate(ids)}, dict.fromkeys(ids, "a"))
    return ids


@pytest.mark.slow
def test_two_processes_have_twelve_of_twenty_four_samples_each(tmp_path: Path) -> None:
    ids = database(tmp_path / "data.slicedb")
    (tmp_path / "train.py").write_text(SCRIPT)
    places = [str(tmp_path / name) for name in ("data.slicedb", "meeting")]
    runs = [
        subprocess.Popen(
            [
                sys.executable,
                str(tmp_path / "train.py"),
                str(k),
                *places,
                str(tmp_path / f"{k}.json"),
            ]
        )
        for k in range(2)
    ]
    assert [run.wait() for run in runs] == [0, 0]
    seen = [json.loads((tmp_path / f"{k}.json").read_text()) for k in range(2)]
    for epoch in range(2):
        parts = [one["epochs"][epoch] for one in seen]
        assert [len(part) for part in parts] == [12, 12]
        assert sorted(parts[0] + parts[1]) == ids
    assert seen[0]["epochs"][0] != seen[0]["epochs"][1]
    assert [one["len"] for one in seen] == [3, 3]
    assert sorted(seen[0]["given"] + seen[1]["given"]) == ids  # divided once, not twice
    assert [sorted(one["alone"]) for one in seen] == [ids, ids]
    assert [len(one["padded"]) for one in seen] == [4, 4]
    assert len({*seen[0]["padded"], *seen[1]["padded"]}) == 7
    assert [len(one["cut"]) for one in seen] == [3, 3]


@pytest.mark.parametrize(("n", "world"), [(24, 2), (7, 2), (7, 3), (2, 4), (0, 2)])
@pytest.mark.parametrize("drop_last", [False, True])
def test_shards_equal_those_of_torch(n: int, world: int, drop_last: bool) -> None:
    order = np.arange(n)
    for rank in range(world):
        shard = Shard(rank, world)
        mine = shard.take(order, drop_last=drop_last)
        assert len(mine) == (shard.size(n, drop_last=drop_last) if n else 0)
        if n and n // world:  # torch's own does not divide fewer samples than processes
            theirs = torch.utils.data.DistributedSampler(
                order,  # type: ignore[arg-type]
                num_replicas=world,
                rank=rank,
                shuffle=False,
                drop_last=drop_last,
            )
            expected = (
                list(theirs) if not drop_last else [*order[: n // world * world]][rank::world]
            )
            assert mine.tolist() == [int(i) for i in expected]


class Ranked:
    """Says that this process is one of two, as Lightning's ddp does through torch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
        monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
        monkeypatch.setattr(torch.distributed, "get_rank", lambda: rank)
        monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)


def test_a_loader_divides_whatever_sampler_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slicedb.training.sampling import WeightedSampler

    ids = database(tmp_path / "data.slicedb")
    data = slicedb.open(tmp_path / "data.slicedb").query("").to_torch()
    weights = np.ones(24)
    seen: list[str] = []
    for rank in range(2):
        Ranked(monkeypatch, rank)
        sampler = WeightedSampler(weights, replacement=False, seed=1)
        part = [i for batch in data.loader(batch_size=4, sampler=sampler) for i in batch[-1]]
        assert len(part) == 12
        seen += part
    assert sorted(seen) == ids


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("batch_sampler", "sampler= and batch_size="),
        ("generator", "seed="),
        ("persistent_workers", "leave it out"),
        ("prefetch_factor", "prefetch="),
        ("worker_init_fn", "seeded for each batch"),
        ("batchsize", "did you mean 'batch_size'"),
    ],
)
def test_words_of_torchs_loader_are_answered(tmp_path: Path, word: str, hint: str) -> None:
    database(tmp_path / "data.slicedb")
    data = slicedb.open(tmp_path / "data.slicedb").query("").to_torch()
    with pytest.raises(SliceDBError, match=f"no argument '{word}'.*{hint}"):
        data.loader(**{word: None})


LIGHTNING = """
import json, os, sys, torch, slicedb
import pytorch_lightning as lightning

path, out = sys.argv[1:]


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net, self.seen = torch.nn.Linear(3, 2), []

    def training_step(self, batch, at):
        images, labels, ids = batch
        self.seen += ids
        return self.net(images.float().mean(dim=(2, 3))).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


data = slicedb.open(path, create=False).query("LIMIT 24").to_torch()
module = Module()
quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)
quiet |= {"enable_model_summary": False, "default_root_dir": out, "max_epochs": 2}
trainer = lightning.Trainer(accelerator="cpu", devices=2, strategy="ddp", **quiet)
trainer.fit(module, data.loader(batch_size=4, seed=3))
json.dump(module.seen, open(f"{out}/{trainer.global_rank}.json", "w"))
"""


@pytest.mark.slow
def test_lightnings_ddp_gives_each_of_two_processes_its_twelve_of_24(tmp_path: Path) -> None:
    pytest.importorskip("pytorch_lightning", reason="Lightning is not installed")
    ids = database(tmp_path / "d.slicedb")
    script = tmp_path / "train.py"
    script.write_text(LIGHTNING)
    words = [sys.executable, str(script), str(tmp_path / "d.slicedb"), str(tmp_path)]
    subprocess.run(words, check=True, capture_output=True)
    seen = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    for epoch in (slice(0, 12), slice(12, 24)):
        assert [len(of_rank[epoch]) for of_rank in seen] == [12, 12]
        assert sorted(seen[0][epoch] + seen[1][epoch]) == sorted(ids)[:24]
    assert set(seen[0][:12]) != set(seen[0][12:])
