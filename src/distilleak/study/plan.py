"""What a study computes: all that the rules and the forecast derive from its configuration."""

from distilleak.scoring import needs
from distilleak.study.study import Study


def views(study: Study) -> dict[str, list[str]]:
    """Views of evidence by rule, as the workflow asks for them."""
    attacks = study.attack_entries()
    entries = list(attacks.values())
    population = ["population"] if needs.population_of(entries) else []
    finder = attacks[study.vulnerability.attack]
    shadow_population = population if needs.shadow_population_of(entries) else []
    asked = [
        *needs.views_of(entries), *population, *(["candidates"] if study.canaries else [])
    ]  # fmt: skip
    of_reference = population if needs.reference_population_of(entries) else []
    return {
        "compute_evidence": asked,
        "compute_mixture_evidence": asked,
        "compute_reference_evidence": ["plain", *of_reference],
        "compute_shadow_evidence": [*needs.views_of([finder]), *shadow_population],
        "compute_shadow_mixture_evidence": ["plain", *shadow_population],
    }
