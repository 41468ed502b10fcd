"""An entry of the configuration that names a module, resolved to it and its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

from pydantic import BaseModel, ValidationError

from distilleak import catalogue
from distilleak.settings.problems import ConfigurationError, explained
from distilleak.study.configuration import Raw


@dataclass(frozen=True)
class Entry:
    """A method, an attack or a source of passages, with all its parameters.

    Attributes:
        chooser: the key that names the module: `method`, `attack` or `source`.
        name: the module.
        module: that module itself.
        parameters: its checked `Parameters`.
    """

    chooser: str
    name: str
    module: ModuleType
    parameters: BaseModel

    def named(self) -> Raw:
        """{chooser: module, "parameters": all of them}, as stages read it."""
        return {self.chooser: self.name, "parameters": self.parameters.model_dump(mode="json")}

    def flat(self) -> Raw:
        """The same in the form of a configuration, with every default written out."""
        return {self.chooser: self.name, **self.parameters.model_dump(mode="json")}


def resolve(
    package: str,
    chooser: str,
    key: str,
    name: str | None,
    raw: Raw | None,
    shared: Mapping[str, object] | None = None,
) -> Entry:
    """Resolve the entry at `key` to its module and the checked parameters.

    Args:
        package: where the modules lie, such as `methods`.
        chooser: the key of the entry that names the module.
        key: where the entry stands in the configuration.
        name: the module where the entry names none; None if it has to.
        raw: the entry.
        shared: parameters that are taken where the entry does not give them and the module has
            them.

    Raises:
        ConfigurationError: there is no such module, or a parameter is wrong.
    """
    given = dict(raw or {})
    known = catalogue.names(package)
    chosen = given.pop(chooser, name)
    if chosen is None:
        raise ConfigurationError(f"{key}.{chooser}", f"missing; allowed: {', '.join(known)}")
    if chosen not in known:
        place, hint = (
            (key, f"; another name says its `{chooser}`")
            if chosen == name
            else (f"{key}.{chooser}", "")
        )
        raise ConfigurationError(
            place, f"unknown {chooser} {chosen!r}{catalogue.suggestion(str(chosen), known)}{hint}"
        )
    if name in known and chosen != name:
        raise ConfigurationError(
            f"{key}.{chooser}", f"{chosen!r} under the name of another; choose another name"
        )
    module = catalogue.load(package, chosen)
    kind: type[BaseModel] = module.Parameters
    defaults = {name: value for name, value in (shared or {}).items() if name in kind.model_fields}
    try:
        parameters = kind.model_validate({**defaults, **given})
    except ValidationError as error:
        raise explained(error, kind, *key.split(".")) from error
    return Entry(chooser, chosen, module, parameters)
