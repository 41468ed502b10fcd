"""The pretrained models on this machine that a study starts from: whether they are there at all."""

from collections.abc import Iterator
from pathlib import Path

from distilleak.settings.architecture import CheckpointSettings
from distilleak.settings.problems import ConfigurationError
from distilleak.study.configuration import Configuration


def check_places(configuration: Configuration) -> None:
    """Check that every directory and GGUF file of a pretrained model exists.

    A GGUF file inside an installed package is not looked for.

    Raises:
        ConfigurationError: one does not.
    """
    for key, settings in _pretrained(configuration):
        if settings.directory is not None and not Path(settings.directory).is_dir():
            raise ConfigurationError(f"{key}.directory", f"{settings.directory}: no such directory")
        file = settings.gguf
        if file is not None and ":" not in file and not Path(file).is_file():
            raise ConfigurationError(f"{key}.gguf", f"{file}: no such file")


def _pretrained(configuration: Configuration) -> Iterator[tuple[str, CheckpointSettings]]:
    """Where each pretrained model stands in the configuration."""
    for name, pair in configuration.pairs.items():
        for role in ("teacher", "student", "reference"):
            settings = getattr(pair, role)
            if isinstance(settings, CheckpointSettings):
                yield f"pairs.{name}.{role}", settings
