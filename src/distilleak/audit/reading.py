"""Reading and checking the configuration of an audit, before anything is computed."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from distilleak.audit import texts
from distilleak.audit.configuration import BASE, TEACHER, AuditConfiguration, AuditSection, Raw
from distilleak.audit.plan import Plan, every_attack
from distilleak.errors import DistilleakError
from distilleak.evidence import served
from distilleak.settings.api import ApiSettings
from distilleak.settings.evidence import PREFIXES
from distilleak.settings.finished import FinishedSettings
from distilleak.settings.problems import ConfigurationError, explained
from distilleak.study import contents, entries, finished, pretrained, reading


def read(sources: Mapping[str, Raw]) -> Plan:
    """The audit that several sources describe together, merged as Snakemake merges them.

    Raises:
        DistilleakError: names the source, the key, what is wrong and what is allowed.
    """
    try:
        return _plan(_configuration(reading.merged(sources)))
    except ConfigurationError as problem:
        raise DistilleakError(f"{reading.origin(problem.key, sources)}: {problem}") from problem


def check(plan: Plan) -> None:
    """Check the texts and the models on this machine.

    Raises:
        DistilleakError: one is missing, damaged or does not fit; the message names its key.
    """
    audit = plan.configuration.audit
    texts.check(audit)
    _refuse_same(plan)
    for name, model in plan.models.items():
        key = f"audit.{name}" if name == BASE else f"audit.models.{name}"
        if isinstance(model, ApiSettings):
            with_key(key, served.check_server, model)
            continue
        views = plan.views(name)
        prefix = plan.configuration.evidence.prefix_tokens if {*PREFIXES} & {*views} else 0
        finished.check(model, key, plan.configuration.encoding.context, prefix)


def _refuse_same(plan: Plan) -> None:
    """Refuse a reference that is the model itself: nothing would be found between the two.

    Raises:
        ConfigurationError: names both models.
    """
    weights = {name: _weights(model) for name, model in plan.models.items()}
    for reference in (BASE, TEACHER):
        for name, found in weights.items():
            key = f"audit.{BASE}" if reference == BASE else f"audit.models.{TEACHER}"
            if name != reference and found == weights.get(reference):
                raise ConfigurationError(
                    key, f"the same model as audit.models.{name}, which it is compared with"
                )
        weights.pop(reference, None)


def _weights(model: FinishedSettings | ApiSettings) -> str:
    """What two models have in common if they have the same weights."""
    if isinstance(model, ApiSettings):
        return f"{model.model} at {model.root}"
    files = [file for file in local_files(model) if file.endswith((".safetensors", ".gguf"))]
    # Of a model on a hub nothing lies here.
    return contents.digest(files) if files else model.model_dump_json()


def with_key(key: str, check: Callable[[ApiSettings], None], model: ApiSettings) -> None:
    """Check a model; what is wrong names the key.

    Raises:
        DistilleakError: the check found something.
    """
    try:
        check(model)
    except DistilleakError as error:
        raise DistilleakError(f"{key}: {error}") from error


def text_files(plan: Plan) -> list[str]:
    """The files of the texts.

    Raises:
        DistilleakError: one is missing.
    """
    return texts.files(plan.configuration.audit)


def local_files(model: FinishedSettings) -> list[str]:
    """The files on this machine that a model is read from.

    Raises:
        DistilleakError: it lies in a package that is not there.
    """
    packaged = [file for part in (model, model.whole) for file in pretrained.packaged_files(part)]
    return [*model.local_files(), *dict.fromkeys(packaged)]


def _configuration(raw: Mapping[str, Any]) -> AuditConfiguration:
    try:
        return AuditConfiguration.model_validate(dict(raw))
    except ValidationError as error:
        raise explained(error, AuditConfiguration) from error


def _readers(audit: AuditSection) -> dict[str, str]:
    """Model -> the first one that certainly reads every record as it does: the base, if it does."""
    every = {**({BASE: audit.base} if audit.base is not None else {}), **audit.models}
    lying = {name: model for name, model in every.items() if isinstance(model, FinishedSettings)}
    return {
        name: next(first for first, other in lying.items() if finished.same_reading(other, model))
        for name, model in lying.items()
    }


def _plan(configuration: AuditConfiguration) -> Plan:
    given = configuration.attacks
    attacks = {
        name: entries.resolve("attacks", "attack", f"attacks.{name}", name, raw)
        for name, raw in (every_attack() if given is None else given).items()
    }
    audit = configuration.audit
    like_base, like_teacher = (
        {
            name: finished.same_tokenizer(model, other)
            if isinstance(model, FinishedSettings) and isinstance(other, FinishedSettings)
            else None
            for name, model in audit.models.items()
        }
        for other in (audit.base, audit.models.get(TEACHER))
    )
    plan = Plan(configuration, attacks, like_base, like_teacher, _readers(audit))
    for name in audit.models:
        if not plan.attacks_on(name):
            left_out = plan.left_out
            reasons = "; ".join(
                f"{attack} {left_out[attack]}" for attack in plan.attacks if attack in left_out
            )
            raise ConfigurationError("attacks", f"none of them can run on {name}: {reasons}")
    return plan
