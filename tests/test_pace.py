"""How many threads a model computes with beside other processes."""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import torch

from slicedb.inference import pace
from slicedb.inference.pace import Pace, running

CPU = torch.device("cpu")


@pytest.fixture
def four() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("others", "cores", "threads"),
    [(0, 4, 4), (1, 4, 3), (4, 4, 1), (40, 4, 1), (40, 64, 4), (61, 64, 3)],
)
def test_there_are_as_many_threads_as_free_cores(
    four: None, others: int, cores: int, threads: int
) -> None:
    assert Pace(CPU, lambda: others + 1, cores).threads() == threads


@pytest.mark.skipif(sys.platform != "linux", reason="the threads of a process stand in /proc")
def test_threads_of_this_process_are_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()

    def work() -> None:
        while not is_over.is_set():
            hashlib.sha256(bytes(1 << 20))  # lets the other threads run

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 20
    while pace._own() < 3 and time.monotonic() < until:
        time.sleep(0.01)
    seen = pace._own()
    is_over.set()
    for thread in threads:
        thread.join()
    assert seen >= 2
    monkeypatch.setattr(pace, "_own", lambda: 1_000)
    assert running() == 1


def test_one_look_at_a_busy_moment_counts_by_half(four: None) -> None:
    looks = iter([1, 5, 1, 1])
    pace = Pace(CPU, lambda: next(looks), 4)
    assert [pace.threads() for _ in range(4)] == [4, 2, 3, 4]


def test_all_threads_are_back_behind_a_batch(four: None) -> None:
    pace = Pace(CPU, lambda: 9, 4)
    with pytest.raises(RuntimeError, match="odd"), pace.batch():
        assert torch.get_num_threads() == 1
        raise RuntimeError("odd")
    assert torch.get_num_threads() == 4


def test_a_gpu_and_a_system_that_does_not_say_leave_no_choice(four: None) -> None:
    assert Pace(torch.device("meta"), lambda: 9, 4).threads() == 1
    assert Pace(CPU, lambda: None, 4).threads() == 4
    assert (running() or 1) >= 1


def test_values_are_the_same_with_any_number_of_threads(four: None) -> None:
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(64, 4, batch_first=True).eval()
    images, tokens = torch.rand(8, 3, 32, 32), torch.rand(8, 17, 64)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.Flatten())
    values = []
    for others in (0, 9):
        with torch.inference_mode(), Pace(CPU, lambda n=others: n + 1, 4).batch():  # type: ignore[misc]
            values.append((network(images), layer(tokens)))
    for one, other in zip(*values):
        torch.testing.assert_close(one, other)  # which last bits differ is the processor's
