"""An entry of the configuration that names a module, resolved to it and its parameters."""

from pydantic import BaseModel, ValidationError

from distilleak import catalogue
from distilleak.settings.problems import ConfigurationError, explained
from distilleak.study.configuration import Raw


def resolve(
    package: str, chooser: str, key: str, name: str | None, raw: Raw | None, shared: Raw
) -> Raw:
    """Resolve an entry to its module and the complete parameters; `shared` fills what is absent."""
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
    kind: type[BaseModel] = catalogue.load(package, chosen).Parameters
    defaults = {field: value for field, value in shared.items() if field in kind.model_fields}
    try:
        parameters = kind.model_validate({**defaults, **given})
    except ValidationError as error:
        raise explained(error, kind, *key.split(".")) from error
    return {chooser: chosen, "parameters": parameters.model_dump(mode="json")}
