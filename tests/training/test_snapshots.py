"""A training that is killed or asked to end goes on, and ends with the bits of one that was not."""

import argparse
import functools
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_training
import torch
from lacking import UNPRIVILEGED
from safetensors.torch import load_file
from tiny_training import FINGERPRINT, STEPS, finish, result, start

from distilleak.errors import DistilleakError
from distilleak.machine import fingerprint, signals
from distilleak.settings.training import HardwareSettings, TrainingSettings
from distilleak.stages import _training_options
from distilleak.training import loop
from distilleak.training.snapshots import Snapshots

KILLS = 4
PAUSE = 0.03
"""Seconds before every update: else a training can end while a busy machine delays its killer."""
FAMILIES = ["gpt2", "bert"]


def stored(root: Path) -> list[str]:
    try:
        return sorted(os.listdir(root / "snapshots" / FINGERPRINT))
    except FileNotFoundError:  # not made yet, or deleted at the end
        return []


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    roots = {family: tmp_path_factory.mktemp(family) for family in FAMILIES}
    for family, root in roots.items():
        assert finish(root, family, minutes=1e9) == 0
    return roots


def assert_equal_to(whole: Path, root: Path) -> None:
    (expected, facts), (found, others) = result(whole), result(root)
    assert torch.equal(found, expected)
    assert {**facts, "calls": 0} == {**others, "calls": 0}
    assert not (root / "snapshots").exists()


@pytest.mark.parametrize("family", FAMILIES)
def test_killed_at_random_points_it_ends_with_the_same_bits(
    family: str, uninterrupted: dict[str, Path], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    kills, reached = 0, []
    process = start(tmp_path, family, pause=PAUSE)
    while process.exitcode is None:
        before = stored(tmp_path)
        # Some runs end before they have added to the snapshot, or while they write it.
        while stored(tmp_path) == before and process.exitcode is None and rng.random() < 0.99:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 2 * PAUSE))
        if kills < KILLS and process.exitcode is None:
            process.kill()
            process.join()
            if process.exitcode == -signal.SIGKILL:
                kills += 1
                reached.append(stored(tmp_path))
                process = start(tmp_path, family, pause=PAUSE)
    assert process.exitcode == 0
    assert kills >= 3, reached
    assert_equal_to(uninterrupted[family], tmp_path)


@pytest.mark.parametrize(
    ("number", "family"),
    [
        (signal.SIGTERM, "gpt2"),
        (signal.SIGUSR1, "bert"),
        (signal.SIGINT, "gpt2"),
        (signal.SIGHUP, "gpt2"),
    ],
)
def test_a_signal_saves_at_the_next_step_and_ends_with_status_75(
    number: int, family: str, uninterrupted: dict[str, Path], tmp_path: Path
) -> None:
    once = finish(tmp_path, family, minutes=1e9, signals={5: number})
    assert once == 75
    assert stored(tmp_path) == ["step-000000005"]
    assert not (tmp_path / "model.safetensors").exists()
    assert finish(tmp_path, family, minutes=1e9, signals={3: number}) == 75
    assert stored(tmp_path) == ["step-000000008"]
    assert finish(tmp_path, family, minutes=1e9) == 0
    assert result(tmp_path)[1]["calls"] == STEPS - 8
    assert_equal_to(uninterrupted[family], tmp_path)


@pytest.mark.parametrize(
    ("name", "kept"), [("save_file", 2), ("as_json", 2), ("digest", 2), ("_flush", 2)]
)
def test_killed_while_it_writes_a_snapshot_it_goes_on_from_the_one_before(
    name: str, kept: int, uninterrupted: dict[str, Path], tmp_path: Path
) -> None:
    before = functools.partial(tiny_training.die_while_writing, name, kept + 1)
    assert finish(tmp_path, "gpt2", before=before) == -signal.SIGKILL
    assert f"step-{kept:09}" in stored(tmp_path)
    assert len(stored(tmp_path)) == 2  # beside what was being written
    assert finish(tmp_path, "gpt2") == 0
    assert result(tmp_path)[1]["calls"] == STEPS - kept
    assert_equal_to(uninterrupted["gpt2"], tmp_path)


def test_killed_before_the_first_snapshot_it_starts_again(
    uninterrupted: dict[str, Path], tmp_path: Path
) -> None:
    assert finish(tmp_path, "gpt2", minutes=1e9, signals={4: signal.SIGKILL}) == -signal.SIGKILL
    assert finish(tmp_path, "gpt2", minutes=1e9) == 0
    assert result(tmp_path)[1]["calls"] == STEPS
    assert_equal_to(uninterrupted["gpt2"], tmp_path)


def test_the_line_says_from_where_it_goes_on() -> None:
    assert str(signals.Interrupted("step 7")) == ("interrupted; run again to continue from step 7")


def saved(tmp_path: Path, steps: int = 3, family: str = "gpt2") -> Snapshots:
    """Snapshots of a training that has stopped after `steps` updates of the schedule for 12."""
    model, framing = tiny_training.tiny(family, dropout=True)
    kept = Snapshots(tmp_path, FINGERPRINT, 1e9)
    plain, calls = tiny_training.cross_entropy(model), []

    def accumulate(now: Any, tokens: int) -> torch.Tensor:
        calls.append(now)
        if len(calls) == steps:
            os.kill(os.getpid(), signal.SIGUSR1)
        return plain(now, tokens)

    with pytest.raises(signals.Interrupted, match=f"from step {steps}$"):
        tiny_training.train(model, framing, accumulate, STEPS, kept=kept)
    return kept


DAMAGES = {
    "half of the tensors": lambda path: os.truncate(path / "state.safetensors", 1000),
    "a flipped bit": lambda path: _flip(path / "state.safetensors"),
    "no tensors": lambda path: (path / "state.safetensors").unlink(),
    "no progress": lambda path: (path / "progress.json").unlink(),
    "half of the progress": lambda path: os.truncate(path / "progress.json", 30),
    "another progress": lambda path: (path / "progress.json").write_text(
        (path / "progress.json").read_text().replace("step", "stop")
    ),
    "an empty progress": lambda path: (path / "progress.json").write_text("{}"),
    "a list for progress": lambda path: (path / "progress.json").write_text("[]"),
}


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_snapshot_is_told_of_and_training_starts_again(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = saved(tmp_path)
    DAMAGES[damage](kept.home / "step-000000003")
    model, framing = tiny_training.tiny(dropout=True)
    facts = tiny_training.train(model, framing, steps=4, kept=kept)
    lines = [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("distilleak") and record.levelno > logging.INFO
    ]
    assert len(lines) == 1
    assert "damaged snapshot, not used" in lines[0]
    assert "\n" not in lines[0]
    fresh, _ = tiny_training.tiny(dropout=True)
    assert facts == tiny_training.train(fresh, framing, steps=4)
    assert torch.equal(tiny_training.weights(model), tiny_training.weights(fresh))


RESUMED = """
import sys, tiny_training
from distilleak.stages.base import run
from distilleak.training import loop
from distilleak.training.snapshots import Snapshots
def main(arguments):
    model, _ = tiny_training.tiny(dropout=True)
    optimiser = loop._optimiser(model, tiny_training.settings(), {})
    print(Snapshots(arguments[0], tiny_training.FINGERPRINT, 1e9).load(model, optimiser)["step"])
run(main, sys.argv[1:])
"""


@pytest.mark.parametrize("name", ["state.safetensors", "progress.json"])
def test_a_snapshot_that_may_not_be_read_is_not_given_up(name: str, tmp_path: Path) -> None:
    """Training would start again, and its first snapshot would replace the sound one."""
    file = saved(tmp_path).home / "step-000000003" / name
    command = [*UNPRIVILEGED, sys.executable, "-c", RESUMED, str(tmp_path)]
    given: Any = {
        "env": os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        "capture_output": True,
        "text": True,
        "check": False,
    }
    file.chmod(0)
    refused = subprocess.run(command, **given)
    assert refused.returncode == 1
    assert re.fullmatch(r"error: .*step-000000003.*: .*Permission denied\n", refused.stderr)
    file.chmod(0o600)
    assert subprocess.run(command, **given).stdout == "3\n"


def test_where_the_last_snapshot_is_damaged_the_one_before_is_used(tmp_path: Path) -> None:
    """Both are there when a process was killed after it wrote the one and before it deleted the
    other."""
    kept = saved(tmp_path)
    shutil.copytree(kept.home / "step-000000003", kept.home / "step-000000011")
    _flip(kept.home / "step-000000011" / "state.safetensors")
    model, _ = tiny_training.tiny(dropout=True)
    progress = kept.load(model, loop._optimiser(model, tiny_training.settings(), {}))
    assert progress is not None
    assert progress["step"] == 3


def test_a_snapshot_of_another_shape_changes_nothing(tmp_path: Path) -> None:
    kept = saved(tmp_path)
    model, _ = tiny_training.tiny(n_inner=32)
    before = tiny_training.weights(model)
    optimiser = loop._optimiser(model, tiny_training.settings(), {})
    assert kept.load(model, optimiser) is None
    assert torch.equal(tiny_training.weights(model), before)
    assert not optimiser.state


@pytest.mark.parametrize("family", FAMILIES)
def test_a_snapshot_holds_weights_optimiser_and_progress_and_ties_survive(
    family: str, tmp_path: Path
) -> None:
    kept = saved(tmp_path, 5, family)
    model, _ = tiny_training.tiny(family, dropout=True)
    optimiser = loop._optimiser(model, tiny_training.settings(), {})
    progress = kept.load(model, optimiser)
    assert progress is not None
    assert progress["step"] == 5
    assert len(progress["history"]) == 1
    assert progress["tokens"] > 0
    embeddings = model.get_input_embeddings().weight
    assert model.get_output_embeddings().weight is embeddings  # type: ignore[no-untyped-call]
    assert {float(state["step"]) for state in optimiser.state.values()} == {5.0}
    assert len(optimiser.state) == len(list(model.parameters()))
    names = load_file(kept.home / "step-000000005" / "state.safetensors").keys()
    assert len([name for name in names if name.startswith("optimiser.")]) == 3 * len(
        list(model.parameters())
    )


def test_snapshots_with_another_fingerprint_are_deleted_and_other_files_are_not(
    tmp_path: Path,
) -> None:
    kept = saved(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    model, framing = tiny_training.tiny(dropout=True)
    other = Snapshots(tmp_path, "f" * 64, 1e9)
    fresh, _ = tiny_training.tiny(dropout=True)
    assert tiny_training.train(model, framing, kept=other) == tiny_training.train(fresh, framing)
    assert not kept.home.exists()
    assert (tmp_path / "notes.txt").exists()
    other.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_only_the_last_snapshot_is_kept(tmp_path: Path) -> None:
    model, framing = tiny_training.tiny()
    tiny_training.train(model, framing, steps=4, kept=Snapshots(tmp_path, FINGERPRINT, 1e-9))
    assert [path.name for path in (tmp_path / FINGERPRINT).iterdir()] == ["step-000000004"]


def test_what_else_lies_beside_the_snapshots_outlives_them_until_the_end(tmp_path: Path) -> None:
    model, framing = tiny_training.tiny()
    kept = Snapshots(tmp_path, FINGERPRINT, 1e-9)
    (kept.home / "epochs/1").mkdir(parents=True)
    tiny_training.train(model, framing, steps=4, kept=kept)
    assert (kept.home / "epochs/1").is_dir()
    kept.finish()
    assert not kept.home.exists()


def test_a_training_that_kept_no_epochs_is_not_resumed_as_one_that_does(
    tmp_path: Path,
) -> None:
    parser = argparse.ArgumentParser()
    _training_options.add(parser, TrainingSettings)
    parser.add_argument("--epochs", type=Path)
    common = ["--training", '{"epochs":3,"learning_rate":0.1}', "--seed", "0"]
    common += ["--snapshots", str(tmp_path)]

    def home(*more: str) -> Path:
        given = parser.parse_args([*common, *more])
        found = _training_options.snapshots(given.snapshots, given.hardware, vars(given), [])
        assert found is not None
        return found.home

    assert home() == home()
    assert home("--epochs", "here") == home("--epochs", "there") != home()


def test_every_epoch_but_the_last_is_shown_once_also_after_an_interruption(tmp_path: Path) -> None:
    seen: list[tuple[int, int, torch.Tensor]] = []
    model, framing = tiny_training.tiny()
    given = tiny_training.settings(epochs=3)
    steps = 3 * 3  # ten records, four at a time

    def train(kept: Snapshots | None, accumulate: Any) -> None:
        loop.train(
            model,
            tiny_training.records(),
            framing,
            accumulate,
            given,
            HardwareSettings(),
            steps=steps,
            seed=3,
            snapshots=kept,
            keep=lambda epoch, facts: seen.append(
                (epoch, facts["updates"], tiny_training.weights(model).clone())
            ),
        )

    train(None, tiny_training.cross_entropy(model))
    whole, seen = seen, []
    assert [(epoch, updates) for epoch, updates, _ in whole] == [(1, 3), (2, 6)]

    model, framing = tiny_training.tiny()
    plain, calls = tiny_training.cross_entropy(model), 0

    def fails(now: Any, tokens: int) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt
        return plain(now, tokens)

    with pytest.raises(KeyboardInterrupt):
        train(Snapshots(tmp_path, FINGERPRINT, 1e-9), fails)
    model, framing = tiny_training.tiny()
    train(Snapshots(tmp_path, FINGERPRINT, 1e-9), tiny_training.cross_entropy(model))
    assert [epoch for epoch, *_ in seen] == [1, 2]
    assert all(torch.equal(one[2], other[2]) for one, other in zip(whole, seen, strict=True))


def test_with_rates_of_their_own_it_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    model, framing = tiny_training.tiny(dropout=True)
    names = [name for name, _ in model.named_parameters()]
    rates = {names[0]: 3.0, names[-1]: 3.0, names[3]: 0.5}
    facts = tiny_training.train(model, framing, rates=rates)
    other, _ = tiny_training.tiny(dropout=True)
    plain, calls = tiny_training.cross_entropy(other), 0

    def fails(now: Any, tokens: int) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise KeyboardInterrupt
        return plain(now, tokens)

    kept = Snapshots(tmp_path, FINGERPRINT, 1e-9)
    with pytest.raises(KeyboardInterrupt):
        tiny_training.train(other, framing, fails, kept=kept, rates=rates)
    resumed, _ = tiny_training.tiny(dropout=True)
    assert tiny_training.train(resumed, framing, kept=kept, rates=rates) == facts
    assert torch.equal(tiny_training.weights(resumed), tiny_training.weights(model))
    at_one_rate, _ = tiny_training.tiny(dropout=True)
    tiny_training.train(at_one_rate, framing)
    assert not torch.equal(tiny_training.weights(at_one_rate), tiny_training.weights(model))


def test_a_training_that_had_ended_is_not_repeated(tmp_path: Path) -> None:
    model, framing = tiny_training.tiny()
    kept = Snapshots(tmp_path, FINGERPRINT, 1e-9)
    facts = tiny_training.train(model, framing, kept=kept)
    again, _ = tiny_training.tiny()

    def never(now: Any, tokens: int) -> torch.Tensor:
        raise AssertionError("another update")

    assert tiny_training.train(again, framing, never, kept=kept) == facts
    assert torch.equal(tiny_training.weights(again), tiny_training.weights(model))


def test_the_handlers_of_signals_are_put_back() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    try:
        with signals.noticed() as arrived:
            assert not arrived()
            os.kill(os.getpid(), signal.SIGUSR1)
            assert arrived()
        assert seen == []
        os.kill(os.getpid(), signal.SIGUSR1)
        assert seen == [signal.SIGUSR1]
        with pytest.raises(ZeroDivisionError), signals.noticed():
            _ = 1 / 0
        os.kill(os.getpid(), signal.SIGUSR1)
        assert len(seen) == 2
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_ignored_interrupt_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals.noticed() as arrived:
            os.kill(os.getpid(), signal.SIGINT)
            assert not arrived()
        signals.interrupt_in_one_line()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_without_snapshots_signals_keep_their_effect() -> None:
    handlers = []
    model, framing = tiny_training.tiny()
    plain = tiny_training.cross_entropy(model)

    def accumulate(now: Any, tokens: int) -> torch.Tensor:
        handlers.append(signal.getsignal(signal.SIGTERM))
        return plain(now, tokens)

    tiny_training.train(model, framing, accumulate, steps=1)
    assert handlers == [signal.getsignal(signal.SIGTERM)]


def test_a_thread_that_cannot_receive_signals_trains_all_the_same(tmp_path: Path) -> None:
    model, framing = tiny_training.tiny()
    facts: list[dict[str, Any]] = []
    kept = Snapshots(tmp_path, FINGERPRINT, 1e-9)
    thread = threading.Thread(
        target=lambda: facts.append(tiny_training.train(model, framing, steps=2, kept=kept))
    )
    thread.start()
    thread.join()
    assert facts[0]["updates"] == 2


def test_the_fingerprint_depends_on_arguments_and_contents_and_not_on_order_of_keys(
    tmp_path: Path,
) -> None:
    file, folder = tmp_path / "a.parquet", tmp_path / "tokenizer"
    file.write_bytes(b"one")
    folder.mkdir()
    (folder / "tokenizer.json").write_text("two")
    training_settings = tiny_training.settings()
    arguments = {"training": training_settings, "seed": 1, "output": Path("x"), "mixture": None}
    first = fingerprint.fingerprint(arguments, [file, folder])
    assert re.fullmatch("[0-9a-f]{64}", first)
    assert fingerprint.fingerprint(dict(reversed(arguments.items())), [file, folder]) == first
    changed: TrainingSettings = training_settings.model_copy(update={"clip": 2.0})
    others = {
        fingerprint.fingerprint({**arguments, "training": changed}, [file, folder]),
        fingerprint.fingerprint({**arguments, "seed": 2}, [file, folder]),
        fingerprint.fingerprint(arguments, [folder, file]),
        fingerprint.fingerprint(arguments, [file]),
    }
    (folder / "tokenizer.json").write_text("three")
    others.add(fingerprint.fingerprint(arguments, [file, folder]))
    (folder / "tokenizer.json").rename(folder / "other.json")
    others.add(fingerprint.fingerprint(arguments, [file, folder]))
    file.write_bytes(b"four")
    others.add(fingerprint.fingerprint(arguments, [file, folder]))
    assert len(others | {first}) == 8


def test_the_fingerprint_depends_on_the_source_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "distilleak"
    shutil.copytree(fingerprint.PACKAGE, package)
    monkeypatch.setattr(fingerprint, "PACKAGE", package)
    first = fingerprint.fingerprint({}, [])
    (package / "methods" / "base.py").write_text("# changed")
    assert fingerprint.fingerprint({}, []) != first


def test_a_file_that_is_not_there_has_no_fingerprint(tmp_path: Path) -> None:
    with pytest.raises(DistilleakError, match=r"records\.parquet: no such file"):
        fingerprint.fingerprint({}, [tmp_path / "records.parquet"])
