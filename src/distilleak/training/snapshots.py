"""Snapshots of a training in progress, from which it is resumed after an interruption.

A snapshot is `<directory>/<fingerprint>/step-<n>/` with `state.safetensors` (weights, buffers,
optimiser) and `progress.json`. Batches, masks and dropout are pure functions of (seed, step), so no
state of a random generator belongs to it.
"""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from distilleak.errors import DistilleakError, refusal
from distilleak.files import as_json, atomic, read_json
from distilleak.guards.checksums import digest
from distilleak.machine import processes
from distilleak.machine.leftovers import delete_others
from distilleak.settings.base import canonical_json

log = logging.getLogger(__name__)

State = dict[str, torch.Tensor]


class Snapshots:
    """The snapshots of one training; only the last is kept.

    Args:
        directory: for the snapshots of this training alone.
        fingerprint: of all that the training depends on; snapshots with another are deleted.
        minutes: time between two of them.
    """

    def __init__(self, directory: str | Path, fingerprint: str, minutes: float) -> None:
        self.directory = Path(directory)
        self.home = self.directory / fingerprint
        self.seconds = 60 * minutes
        self.last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for the next snapshot."""
        return time.monotonic() - self.last >= self.seconds

    def save(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, progress: Mapping[str, Any]
    ) -> None:
        """Write a snapshot and delete the previous one; `progress` is JSON and has the key `step`.

        The main process writes while all others wait. A process that is killed here leaves the
        previous snapshot.
        """
        if processes.is_main():
            made = self.home / f"step-{progress['step']:09}"
            with atomic(made) as temporary:
                temporary.mkdir()
                path = temporary / "state.safetensors"
                save_file(_state(model, optimiser), path)
                content = {"progress": dict(progress), "sha256": _seal(path, progress)}
                (temporary / "progress.json").write_text(as_json(content), encoding="utf-8")
                _flush(temporary)
            for other in self.home.glob("step-*"):
                if other != made:
                    shutil.rmtree(other)
        processes.barrier()
        self.last = time.monotonic()

    def load(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any] | None:
        """Put the last snapshot into model and optimiser and return its progress.

        None, and nothing is changed, where there is no snapshot or only damaged ones, which the log
        reports. Deletes what trainings with another fingerprint left.

        Raises:
            DistilleakError: a snapshot that may be sound cannot be read, for want of rights or of
                open files.
        """
        if processes.is_main():
            delete_others(self.home)
        for found in sorted(self.home.glob("step-*"), reverse=True):
            try:
                state, progress = _read(found)
                _restore(state, model, optimiser)
            except (DistilleakError, SafetensorError, OSError, LookupError, TypeError) as error:
                # Training would start again, and its first snapshot replace this one.
                refused = None if isinstance(error, FileNotFoundError) else refusal(error)
                if refused is not None:
                    raise DistilleakError(f"{found}: cannot be read: {refused}") from error
                reason = str(error).splitlines()[0]
                log.warning("%s: damaged snapshot, not used (%s)", found, reason)
            else:
                return progress
        return None

    def finish(self) -> None:
        """Delete the snapshots: the training's outputs are written."""
        if processes.is_main():
            shutil.rmtree(self.home, ignore_errors=True)
            if self.directory.is_dir() and not any(self.directory.iterdir()):
                self.directory.rmdir()


def _flush(directory: Path) -> None:
    """Write all files through to the disk: else a crash of the machine could leave empty ones."""
    for path in directory.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _model_tensors(model: nn.Module) -> State:
    """Weights and stored buffers by name; what is tied to another comes once."""
    stored = model.state_dict().keys()
    buffers = {name: buffer for name, buffer in model.named_buffers() if name in stored}
    return {**dict(model.named_parameters()), **buffers}


def _state(model: nn.Module, optimiser: torch.optim.Optimizer) -> State:
    state = {f"model.{name}": tensor for name, tensor in _model_tensors(model).items()}
    for name, weight in model.named_parameters():
        for key, tensor in optimiser.state.get(weight, {}).items():
            state[f"optimiser.{key}.{name}"] = tensor
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def _seal(tensors: Path, progress: Mapping[str, Any]) -> str:
    """SHA-256 of both files of a snapshot."""
    return hashlib.sha256((digest(tensors) + canonical_json(progress)).encode()).hexdigest()


def _read(path: Path) -> tuple[State, dict[str, Any]]:
    stored = read_json(path / "progress.json")
    tensors, progress = path / "state.safetensors", stored["progress"]
    if stored["sha256"] != _seal(tensors, progress):
        raise DistilleakError("the checksum does not match")
    return load_file(tensors), progress


@torch.no_grad()
def _restore(state: State, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Copy `state` into model and optimiser, all of it or, with an error, nothing."""
    weights = dict(model.named_parameters())
    own = {f"model.{name}": tensor for name, tensor in _model_tensors(model).items()}
    moments = [name.split(".", 2) for name in state if name.startswith("optimiser.")]
    for name in own.keys() ^ {name for name in state if name.startswith("model.")}:
        raise DistilleakError(f"the model or the snapshot has no {name}")
    for name, tensor in own.items():
        if tensor.shape != state[name].shape or tensor.dtype != state[name].dtype:
            raise DistilleakError(f"{name} has another shape or type")
    for _, _, weight in moments:
        if weight not in weights:
            raise DistilleakError(f"the model has no {weight}")
    for name, tensor in own.items():
        tensor.copy_(state[name])
    for _, key, weight in moments:
        # A copy: what was read may be a view of the file, which is deleted soon.
        moment = state[f"optimiser.{key}.{weight}"]
        optimiser.state[weights[weight]][key] = moment.to(weights[weight].device, copy=True)
