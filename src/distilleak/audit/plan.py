"""What an audit computes: all that the rules derive from its configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from distilleak import catalogue
from distilleak.attacks.base import Needs
from distilleak.audit.configuration import BASE, TEACHER, AuditConfiguration
from distilleak.evidence import served
from distilleak.scoring import access, needs
from distilleak.settings.api import ApiSettings
from distilleak.settings.evidence import PREFIXES
from distilleak.settings.finished import FinishedSettings
from distilleak.study import finished, queries
from distilleak.study.entries import Entry

Raw = dict[str, Any]
BY_NAME = {
    "neighbour": "queries every model five times; name it under `attacks` to run it",
    "reference": "is `reference_base` where the base is the only reference",
}
"""Attack -> why it does not run unless it is asked for."""


@dataclass(frozen=True)
class Plan:
    """What is computed.

    Attributes:
        configuration: of the audit.
        attacks: name -> attack that was asked for, by default every one.
        like_base: model -> whether it reads the same tokens as the base; None if that shows only
            when both are loaded, which then ends the run if they do not.
        like_teacher: the same for the teacher.
        readers: model that lies somewhere -> the first one that certainly reads every record as the
            same tokens, special ones included. Base and teacher are queried once for all of these.
    """

    configuration: AuditConfiguration
    attacks: Mapping[str, Entry]
    like_base: Mapping[str, bool | None]
    like_teacher: Mapping[str, bool | None]
    readers: Mapping[str, str]

    @property
    def models(self) -> dict[str, FinishedSettings | ApiSettings]:
        """Name -> every model that is attacked, the base among them."""
        audit = self.configuration.audit
        return {**audit.models, **({BASE: audit.base} if audit.base is not None else {})}

    def role(self, model: str) -> str:
        """`teacher`, `base` or `student`."""
        return model if model in (TEACHER, BASE) else "student"

    @property
    def teacher(self) -> FinishedSettings | None:
        """The model that the others have learned from, if it lies somewhere."""
        found = self.configuration.audit.models.get(TEACHER)
        return found if isinstance(found, FinishedSettings) else None

    @property
    def served(self) -> dict[str, ApiSettings]:
        """The models behind an API."""
        return {
            name: model for name, model in self.models.items() if isinstance(model, ApiSettings)
        }

    @property
    def finished(self) -> dict[str, FinishedSettings]:
        """The models that lie somewhere."""
        every = self.models.items()
        return {name: model for name, model in every if isinstance(model, FinishedSettings)}

    def cutter(self, model: str) -> FinishedSettings:
        """The model whose tokenizer cuts the texts for this one: itself, or for one behind an API
        the first that lies somewhere, else a base that comes with the package."""
        if model in self.finished:
            return self.finished[model]
        package = FinishedSettings(directory="distilleak:bases/sotu_large")
        return next(iter(self.finished.values()), package)

    @cached_property
    def gated(self) -> list[str]:
        """The models whose records the blind gate sees: one of all that cut the texts alike.

        What lies behind the place where one tokenizer cuts a text, another may read.
        """
        found: list[str] = []
        for name in self.models:
            cutter = self.cutter(name)
            if not any(finished.same_tokenizer(cutter, self.cutter(one)) for one in found):
                found.append(name)
        return found

    def attacks_on(self, model: str) -> dict[str, Raw]:
        """Name -> an attack that runs on this model, as stages read it."""
        return {
            name: entry.named()
            for name, entry in self.attacks.items()
            if self._absent(entry, model) is None
        }

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Attack -> why it does not run, on all models or on some."""
        used = {entry.name for entry in self.attacks.values()}
        found = {
            name: "is not named under `attacks`"
            for name in catalogue.names("attacks")
            if name not in used
        }
        for name, entry in self.attacks.items():
            reasons = {model: self._absent(entry, model) for model in self.models}
            absent = {model: reason for model, reason in reasons.items() if reason is not None}
            # Nothing compares the base with itself, which needs no words.
            named = [model for model in absent if self.role(model) == "student"]
            if not named:
                continue
            students = [model for model in self.models if self.role(model) == "student"]
            where = "" if len(named) == len(students) else f"on {', '.join(named)}: "
            found[name] = f"{where}{absent[named[0]]}"
        return found

    @property
    def threats(self) -> dict[str, str]:
        """Attack -> its threat model."""
        return {name: entry.module.THREAT for name, entry in self.attacks.items()}

    def views(self, model: str) -> list[str]:
        """The views in which a model is queried."""
        entries = list(self.attacks_on(model).values())
        population = needs.population_of(entries)
        # Of base and teacher other models' attacks read the same evidence.
        if model == BASE:
            population |= "population" in self.base_views(model)
        if model == TEACHER and self.teacher is not None:
            population |= "population" in self.teacher_views(model)
        return [*needs.views_of(entries), *(["population"] if population else [])]

    def base_views(self, model: str) -> list[str]:
        """The views in which the base is queried with the tokens that this model reads."""
        entries = self._attacks_on_those_like(model)
        return ["plain", *(["population"] if needs.reference_population_of(entries) else [])]

    def teacher_views(self, model: str) -> list[str]:
        """The views in which the teacher is queried with the tokens that this model reads."""
        entries = self._attacks_on_those_like(model)
        return ["plain", *(["population"] if needs.teacher_population_of(entries) else [])]

    def base_evidence(self, model: str) -> str:
        """Where the evidence of the base on the tokens of this model lies, inside `models/`."""
        return self._evidence(BASE, model)

    def teacher_evidence(self, model: str) -> str:
        """Where the evidence of the teacher on the tokens of this model lies, inside `models/`."""
        return self._evidence(TEACHER, model)

    def queries_base(self, model: str) -> bool:
        """Whether an attack on this model compares with the base."""
        entries = list(self.attacks_on(model).values())
        return needs.base_of(entries) or needs.references_of(entries) > 0

    def queries_teacher(self, model: str) -> bool:
        """Whether an attack on this model holds the teacher, too."""
        return needs.teacher_of(list(self.attacks_on(model).values()))

    def evidence_settings(self, views: Sequence[str]) -> Raw:
        """The settings that matter for these views; models are not queried again for any other."""
        return queries.deciding(self.configuration.evidence, views)

    def counts_tokens(self, model: str) -> bool:
        """Whether an attack on this model needs the token counts of the auxiliary texts."""
        return needs.frequencies_of(list(self.attacks_on(model).values()))

    def uses_hub(self) -> bool:
        """Whether a model has to be fetched from a hub."""
        return any(model.whole.hub is not None for model in self.finished.values())

    def _attacks_on_those_like(self, model: str) -> list[Raw]:
        """The attacks on all models that certainly read the same tokens."""
        like = [name for name, first in self.readers.items() if first == self.readers[model]]
        return [entry for name in like for entry in self.attacks_on(name).values()]

    def _evidence(self, held: str, model: str) -> str:
        reader = self.readers[model]
        own = reader == self.readers[held]
        return f"{held}/evidence" if own else f"{reader}/{held}/evidence"

    def _absent(self, entry: Entry, model: str) -> str | None:
        """Why an attack does not run on a model; None if it does."""
        if self.configuration.attacks is None and entry.name in BY_NAME:
            return BY_NAME[entry.name]
        if model in self.served:
            allowed = access.left_out({entry.name: entry.named()}, [*served.VIEWS])
            if allowed:
                return allowed[entry.name]
        wanted: Needs = entry.module.NEEDS
        if wanted.shadows:
            return "needs shadow models, and an audit trains none"
        if wanted.references > 1:
            return f"needs {wanted.references} reference models, and an audit trains none"
        if wanted.references or wanted.base:
            if self.configuration.audit.base is None:
                return "needs the public model that the student comes from (audit.base)"
            if model == BASE:
                return "compares a model with the base"
            if model in self.served or self.like_base[model] is False:
                return "compares token by token with the base, which reads other tokens"
        if wanted.teacher:
            if self.teacher is None:
                return "needs the teacher (audit.models.teacher)"
            if model in (TEACHER, BASE):
                return "compares a student with the teacher"
            if self.like_teacher[model] is False:
                return "compares token by token with the teacher, which reads other tokens"
        pools = {PREFIXES[view] for view in wanted.views if view in PREFIXES}
        if "shown" in pools:
            return "needs members that the attacker knows, which an audit does not tell"
        further = wanted.population or wanted.frequencies or needs.NEIGHBOUR in wanted.views
        if (further or pools) and self.configuration.audit.auxiliary is None:
            return "needs further texts, as an attacker has them (audit.auxiliary)"
        return None


def every_attack() -> dict[str, None]:
    """Name of every attack, without parameters of its own."""
    return dict.fromkeys(catalogue.names("attacks"))
