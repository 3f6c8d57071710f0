"""One network used by several threads at once: each sees it as inference needs it."""

from __future__ import annotations

import threading

import pytest
import torch

from slicedb.models import TorchClassifier
from slicedb.models.inuse import in_use


def network() -> torch.nn.Sequential:
    """Return a network in training mode, as a trainer leaves it; with dropout it would guess."""
    flat = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Dropout(0.9)
    )
    return flat.train()


def test_who_ends_first_does_not_switch_training_on_for_the_others() -> None:
    net = network()
    model = TorchClassifier(net, classes=("r", "g", "b"), input_size=8)
    both, ended = threading.Barrier(2, timeout=30), threading.Event()
    modes: list[bool] = []

    def short() -> None:
        with model.session("cpu"):
            both.wait()
        ended.set()

    thread = threading.Thread(target=short)
    thread.start()
    with model.session("cpu"):
        both.wait()
        assert ended.wait(30)
        modes += [part.training for part in net.modules()]
    thread.join()
    assert modes == [False] * 4
    assert all(part.training for part in net.modules())  # and as it was, after the last


def test_another_device_waits_for_those_that_run() -> None:
    net = torch.nn.Linear(2, 2)
    order: list[str] = []
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with in_use(net, "cpu", torch.contiguous_format):
            inside.set()
            leave.wait(30)
            order.append("first ends")

    def second() -> None:
        with in_use(net, "cpu:0", torch.contiguous_format):
            order.append("second runs")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    inside.wait(30)
    threads[1].start()
    threads[1].join(0.2)
    assert order == []
    leave.set()
    for thread in threads:
        thread.join(30)
    assert order == ["first ends", "second runs"]


def test_a_thread_may_use_it_inside_its_own_use_and_errors_put_it_back() -> None:
    net = network()
    layout = torch.contiguous_format
    with pytest.raises(ZeroDivisionError), in_use(net, "cpu", layout), in_use(net, "cpu", layout):
        raise ZeroDivisionError
    assert net.training
    with in_use(net, "cpu", layout):
        with in_use(net, "cpu", layout):
            pass
        assert not net.training
    assert net.training
