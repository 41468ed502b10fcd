"""The pretrained models of a study that lie on this machine: do they fit it, before it starts?

Only `config.json`, the heads of weights and the tokenizer's file are read; no model is loaded.
"""

from pathlib import Path

from distilleak.errors import DistilleakError
from distilleak.models import heads
from distilleak.models.heads import Head
from distilleak.settings.architecture import (
    ArchitectureSettings,
    CheckpointSettings,
    Kind,
    PairSettings,
    TeacherLayersSettings,
)
from distilleak.settings.problems import ConfigurationError, shown
from distilleak.study import checks
from distilleak.study.bases import ROLES
from distilleak.study.study import Study


def check(study: Study) -> None:
    """Check the models that every pair starts from.

    Of a model on a hub nothing is known yet, nor of a GGUF file more than that it is there.

    Raises:
        ConfigurationError: a model is missing, could not be read, or does not fit the study or the
            other models of its pair.
    """
    # What the study trains itself is not there yet; `checks` knows it from its shape.
    own = {base.directory for base in study.bases.values() if not base.shipped}
    for name, pair in study.pairs.items():
        key = f"pairs.{name}"
        found = {
            role: head
            for role in ROLES
            if getattr(getattr(pair, role), "directory", None) not in own
            and (head := _head(f"{key}.{role}", getattr(pair, role))) is not None
        }
        _check_kinds(key, pair, found)
        for role, head in found.items():
            _check_positions(f"{key}.{role}", head, study)
            _check_rows(f"{key}.{role}", head)
        if "teacher" in found:
            _check_layers(name, found["teacher"], study)
        _check_tokenizers(key, found)


def packaged_files(start: object) -> list[str]:
    """The files of a model directory inside an installed package, by name; none for another start.

    Raises:
        DistilleakError: the package is not there.
    """
    if not isinstance(start, CheckpointSettings) or start.directory is None:
        return []
    place = heads.model_directory(start.directory)
    if place == start.directory:
        return []
    return sorted(str(file) for file in Path(place).glob("*") if file.is_file())


def _head(key: str, settings: object) -> Head | None:
    if not isinstance(settings, CheckpointSettings):
        return None
    try:
        # A package may be installed only where the study runs.
        if settings.gguf is not None and ":" not in settings.gguf:
            heads.gguf_file(settings.gguf)
        if settings.directory is None:
            return None
        place = heads.model_directory(settings.directory)
        found = heads.read(place)
        heads.check_tokenizer(Path(place))
        if settings.init == "checkpoint":
            heads.check_weights(found)
        # Read here, so that a damaged value gets its key.
        _ = found.layers, found.vocabulary, found.positions, found.needed_rows
    except DistilleakError as error:
        raise ConfigurationError(key, str(error)) from error
    except OSError as error:  # such as a name that is longer than the system allows
        raise ConfigurationError(
            key, f"{shown(error.filename)}: cannot be read: {error.strerror}"
        ) from error
    return found


def _check_kinds(key: str, pair: PairSettings, found: dict[str, Head]) -> None:
    kinds: dict[str, Kind] = {}
    for role in ROLES:
        settings = getattr(pair, role)
        if role in found:
            kinds[role] = found[role].kind
        elif isinstance(settings, ArchitectureSettings):
            kinds[role] = settings.kind
    checks.check_kinds(key, kinds)


def _check_positions(key: str, head: Head, study: Study) -> None:
    if head.positions is None:
        return
    views = {view for attack in study.attacks.values() for view in attack.module.NEEDS.views}
    needed, why = checks.needed_positions(head.kind, study.configuration, views)
    if head.positions < needed:
        raise ConfigurationError(
            key, f"{head.directory}: {head.positions} positions are too few: {why}"
        )


def _check_rows(key: str, head: Head) -> None:
    if head.vocabulary is not None and head.vocabulary < head.needed_rows:
        raise ConfigurationError(
            key,
            f"{head.directory}: a vocabulary of {head.vocabulary} tokens, but its tokenizer has "
            f"{head.needed_rows}",
        )


def _check_layers(pair: str, teacher: Head, study: Study) -> None:
    if teacher.layers is None:
        return
    starts = {f"pairs.{pair}.student.layers": study.pairs[pair].student} | {
        f"methods.{student.name}.student.layers": student.starts[pair]
        for student in study.students.values()
    }
    for place, start in starts.items():
        if isinstance(start, TeacherLayersSettings) and start.layers > teacher.layers:
            raise ConfigurationError(
                place, f"{start.layers}, but {teacher.directory} has only {teacher.layers}"
            )


def _check_tokenizers(key: str, found: dict[str, Head]) -> None:
    """The largest difference alone: whether all rules are the same is known when they are read."""
    known = [head for head in found.values() if head.tokens is not None]
    for other in known[1:]:
        first = known[0]
        if other.tokens != first.tokens:
            raise ConfigurationError(
                key,
                f"{first.directory} and {other.directory} have different tokenizers; teacher, "
                "student and reference must share one, else the student cannot learn the "
                "teacher's distribution",
            )
