"""Two processes train as one does: the same weights, one set of files, and one end."""

import functools
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
import tiny_training
import torch
from tiny_training import (
    finish,
    fork,
    mean_loss,
    measure_loss,
    one_of_several,
    result,
    start,
    sum_own_gradients,
)

from distilleak.files import read_json
from distilleak.machine import processes

FAMILIES = ["gpt2", "bert"]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def in_two(root: Path, family: str, only: int = 1, **options: Any) -> list[int | None]:
    """Exit statuses of two processes that train together; `only` one of them sends signals."""
    port = free_port()
    processes = [
        start(
            root,
            family,
            before=functools.partial(one_of_several, rank, 2, port),
            **(options if rank == only else {**options, "signals": {}}),
        )
        for rank in range(2)
    ]
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Trained by one process. An epoch of 10 records ends with an update of 1 or 2 records."""
    roots = {family: tmp_path_factory.mktemp(family) for family in FAMILIES}
    for family, root in roots.items():
        assert finish(root, family, double=True) == 0
    return roots


def assert_equal(one: Path, other: Path) -> None:
    (expected, facts), (found, others) = result(one), result(other)
    assert float((found - expected).norm() / expected.norm()) < 1e-9
    assert others["training_tokens"] == facts["training_tokens"]
    assert others["loss"] == pytest.approx(facts["loss"], rel=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("options", [{}, {"micro_batch": 1}])
def test_two_processes_give_the_weights_of_one(
    family: str, options: dict[str, Any], alone: dict[str, Path], tmp_path: Path
) -> None:
    assert in_two(tmp_path, family, double=True, **options) == [0, 0]
    assert_equal(alone[family], tmp_path)
    assert not (tmp_path / "snapshots").exists()


def test_a_signal_to_one_ends_both_and_both_go_on(alone: dict[str, Path], tmp_path: Path) -> None:
    assert in_two(tmp_path, "bert", double=True, signals={4: signal.SIGTERM}) == [75, 75]
    assert not (tmp_path / "model.safetensors").exists()
    assert in_two(tmp_path, "bert", double=True) == [0, 0]
    assert result(tmp_path)[1]["calls"] == tiny_training.STEPS - 4
    assert_equal(alone["bert"], tmp_path)


def test_what_two_have_begun_one_can_end(alone: dict[str, Path], tmp_path: Path) -> None:
    assert in_two(tmp_path, "gpt2", double=True, signals={4: signal.SIGUSR1}) == [75, 75]
    assert finish(tmp_path, "gpt2", double=True) == 0
    assert_equal(alone["gpt2"], tmp_path)


def test_a_gradient_of_one_process_is_everybodys_and_of_none_nobodys(tmp_path: Path) -> None:
    port = free_port()
    processes = [fork(sum_own_gradients, str(tmp_path), rank, port) for rank in range(2)]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    first = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    third = [[0.0, 9.0], [3.0, 12.0], [6.0, 15.0]]
    for rank in range(2):
        assert read_json(tmp_path / f"{rank}.json") == [first, None, third]


def test_two_processes_measure_the_loss_that_one_measures(tmp_path: Path) -> None:
    port = free_port()
    processes = [fork(measure_loss, str(tmp_path), rank, port) for rank in range(2)]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    for rank in range(2):
        found = read_json(tmp_path / f"{rank}.json")
        assert found == pytest.approx([mean_loss(family) for family in FAMILIES], rel=1e-9)


def test_one_process_needs_no_others() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([1.0, 2.0])
    with processes.processes():
        assert processes.is_main()
        assert (processes.rank(), processes.world()) == (0, 1)
        processes.barrier()
        processes.sum_gradients([weight])
        assert processes.total(torch.tensor(3)).item() == 3
        assert processes.any_of(True, torch.device("cpu"))
        assert not processes.any_of(False, torch.device("cpu"))
    assert weight.grad.tolist() == [1.0, 2.0]


def test_buckets_hold_all_gradients_in_order_and_only_a_large_one_alone_is_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "BUCKET", 10)
    gradients = [torch.zeros(size) for size in (4, 6, 1, 25, 3)]
    buckets = [[len(part) for part in bucket] for bucket in processes._buckets(gradients)]
    assert buckets == [[4, 6], [1], [25], [3]]
