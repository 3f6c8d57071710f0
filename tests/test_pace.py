"""How many threads a model computes with beside other processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

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
    assert all(torch.equal(a, b) for a, b in zip(*values))
