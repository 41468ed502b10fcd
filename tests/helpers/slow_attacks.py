"""Every attack again: slow, in plain Python floats, one record at a time, from its formula."""

import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from synthetic_evidence import rows

from distilleak.evidence.table import Evidence, View

FLOAT32_EPS = 2.0**-23


def losses(view: View) -> list[float]:
    return [-math.fsum(row) / len(row) for row in rows(view.logp)]


def mean_of_lowest(values: list[float], k: float) -> float:
    kept = sorted(values)[: max(1, math.floor(k * len(values)))]
    return math.fsum(kept) / len(kept)


def loss(evidence: Evidence, parameters: Any) -> list[float]:
    return [-value for value in losses(evidence.views["plain"])]


def zlib_attack(evidence: Evidence, parameters: Any) -> list[float]:
    scores = []
    for text, row in zip(evidence.texts, rows(evidence.views["plain"].logp), strict=True):
        numerator = math.fsum(row)
        if parameters.numerator == "mean":
            numerator /= len(row)
        scores.append(numerator / len(zlib.compress(bytes(text, "utf-8"))))
    return scores


def ratio(evidence: Evidence, view: str) -> list[float]:
    # A loss that float32 cannot tell from 0 counts as the resolution of float32.
    changed, plain = losses(evidence.views[view]), losses(evidence.views["plain"])
    return [
        max(above, FLOAT32_EPS) / max(below, FLOAT32_EPS)
        for above, below in zip(changed, plain, strict=True)
    ]


def lowercase(evidence: Evidence, parameters: Any) -> list[float]:
    return ratio(evidence, "lower")


def recall(evidence: Evidence, parameters: Any) -> list[float]:
    return ratio(evidence, "prefix_nonmember")


def min_k(evidence: Evidence, parameters: Any) -> list[float]:
    return [mean_of_lowest(row, parameters.k) for row in rows(evidence.views["plain"].logp)]


def min_k_pp(evidence: Evidence, parameters: Any) -> list[float]:
    view = evidence.views["plain"]
    scores = []
    for logp, mean, std in zip(
        rows(view.logp), rows(view.mean_logp), rows(view.std_logp), strict=True
    ):
        z = [
            (value - centre) / (spread if spread > FLOAT32_EPS else FLOAT32_EPS)
            for value, centre, spread in zip(logp, mean, std, strict=True)
        ]
        scores.append(mean_of_lowest(z, parameters.k))
    return scores


def reference(evidence: Evidence, parameters: Any) -> list[float]:
    of_target = losses(evidence.views["plain"])
    of_references = [losses(view) for view in evidence.references]
    return [
        math.fsum(by_model) / len(by_model) - target
        for target, by_model in zip(of_target, zip(*of_references, strict=True), strict=True)
    ]


def reference_base(evidence: Evidence, parameters: Any) -> list[float]:
    assert evidence.base is not None
    of_target, of_base = losses(evidence.views["plain"]), losses(evidence.base)
    return [base - target for target, base in zip(of_target, of_base, strict=True)]


def surp(evidence: Evidence, parameters: Any) -> list[float]:
    view = evidence.views["plain"]
    scores = []
    for logp, mean in zip(rows(view.logp), rows(view.mean_logp), strict=True):
        by_value = sorted(range(len(logp)), key=lambda token: (logp[token], token))
        low = by_value[: max(1, math.floor(parameters.k * len(logp)))]
        surprising = [logp[token] for token in low if -mean[token] < parameters.entropy]
        scores.append(math.fsum(surprising) / len(surprising) if surprising else min(logp))
    return scores


def dc_pdd(evidence: Evidence, parameters: Any) -> list[float]:
    view = evidence.views["plain"]
    assert evidence.unigram is not None
    counts = [int(count) for count in evidence.unigram]
    scores = []
    for logp, tokens in zip(rows(view.logp), rows(view.token_id), strict=True):
        seen: set[int] = set()
        parts = []
        for value, token in zip(logp, map(int, tokens), strict=True):
            if token not in seen:
                seen.add(token)
                frequency = (counts[token] + 1) / (sum(counts) + len(counts))
                parts.append(min(math.exp(value) * math.log(1 / frequency), parameters.a))
        scores.append(math.fsum(parts) / len(parts))
    return scores


def con_recall(evidence: Evidence, parameters: Any) -> list[float]:
    members = ratio(evidence, "prefix_member")
    others = ratio(evidence, "prefix_nonmember")
    return [non - parameters.gamma * member for non, member in zip(others, members, strict=True)]


def neighbour(evidence: Evidence, parameters: Any) -> list[float]:
    of_copies = list(zip(*(losses(view) for view in evidence.neighbours), strict=True))
    own = losses(evidence.views["plain"])
    return [math.fsum(copies) / len(copies) - x for copies, x in zip(of_copies, own, strict=True)]


def shifts(evidence: Evidence) -> list[list[float]]:
    """l_T - l_R, token by token."""
    target = rows(evidence.views["plain"].logp)
    references = [rows(view.logp) for view in evidence.references]
    return [
        [
            value - math.fsum(model[record][token] for model in references) / len(references)
            for token, value in enumerate(row)
        ]
        for record, row in enumerate(target)
    ]


def ez_mia(evidence: Evidence, parameters: Any) -> list[float]:
    scores = []
    for shift, rank in zip(shifts(evidence), rows(evidence.views["plain"].rank), strict=True):
        wrong = [value for value, above in zip(shift, rank, strict=True) if above > 0]
        raised = math.fsum(value for value in wrong if value > 0)
        lowered = -math.fsum(value for value in wrong if value < 0)
        scores.append(
            max(raised, FLOAT32_EPS) / max(lowered, FLOAT32_EPS) if wrong else 1 / FLOAT32_EPS
        )
    return scores


# A comparison of two numbers that are equal but for rounding may go either way: the scores that
# count comparisons have a slow score for each way. Exact ties have tests of their own.
TIE = 1e-10
Bounds = list[tuple[float, float]]


def share(differences: list[float]) -> tuple[float, float]:
    """The share of differences above 0, with near ties counted as below and as above."""
    above = sum(value > TIE for value in differences), sum(value > -TIE for value in differences)
    return above[0] / len(differences), above[1] / len(differences)


def wbc(evidence: Evidence, parameters: Any) -> Bounds:
    step = (parameters.longest / parameters.shortest) ** (1 / (parameters.lengths - 1))
    sizes = [round(parameters.shortest * step**k) for k in range(parameters.lengths)]
    scores = []
    for shift in shifts(evidence):
        by_size = [
            share([math.fsum(shift[i : i + size]) for i in range(len(shift) - size + 1)])
            for size in [size for size in sizes if size <= len(shift)] or [len(shift)]
        ]
        low, high = zip(*by_size, strict=True)
        scores.append((math.fsum(low) / len(low), math.fsum(high) / len(high)))
    return scores


def attack_p(evidence: Evidence, parameters: Any) -> Bounds:
    assert evidence.population is not None
    population = losses(evidence.population)
    return [share([z - x for z in population]) for x in losses(evidence.views["plain"])]


def attack_r(evidence: Evidence, parameters: Any) -> Bounds:
    references = [losses(view) for view in evidence.references]
    return [
        share([model[record] - x for model in references])
        for record, x in enumerate(losses(evidence.views["plain"]))
    ]


def informia(evidence: Evidence, parameters: Any) -> list[float]:
    # The definition with its divergence, not the product that it comes to.
    def mean_p(column: str, record: int, token: int) -> float:
        values = [rows(getattr(view, column))[record][token] for view in evidence.references]
        return math.fsum(math.exp(value) for value in values) / len(values)

    target = evidence.views["plain"]
    scores = []
    for record, (logp, rest) in enumerate(
        zip(rows(target.logp), rows(target.log1m_p), strict=True)
    ):
        gains = []
        for token, (l_t, m_t) in enumerate(zip(logp, rest, strict=True)):
            l_r, q = math.log(mean_p("logp", record, token)), mean_p("log1m_p", record, token)
            divergence = (1 - q) * (l_r - l_t) + q * (math.log(q) - m_t)
            gains.append(l_t - l_r + divergence)
        scores.append(math.fsum(gains) / len(gains))
    return scores


def joint(evidence: Evidence, parameters: Any) -> list[float]:
    def gains(view: View | None, references: Sequence[View]) -> list[float]:
        assert view is not None
        models = [losses(other) for other in references]
        return [
            math.fsum(model[record] for model in models) / len(models) - own
            for record, own in enumerate(losses(view))
        ]

    sums = [0.0] * len(evidence.record_id)
    for view, population in (
        (evidence.views["plain"], evidence.population),
        (evidence.teacher, evidence.teacher_population),
    ):
        elsewhere = gains(population, evidence.reference_population)
        mean = math.fsum(elsewhere) / len(elsewhere)
        squares = math.fsum((value - mean) ** 2 for value in elsewhere)
        spread = max(math.sqrt(squares / (len(elsewhere) - 1)), FLOAT32_EPS)
        own = gains(view, evidence.references)
        sums = [total + (x - mean) / spread for total, x in zip(sums, own, strict=True)]
    return [total / 2 for total in sums]


def confidences(view: View) -> list[float]:
    return [
        math.fsum(value - rest for value, rest in zip(logp, log1m_p, strict=True)) / len(logp)
        for logp, log1m_p in zip(rows(view.logp), rows(view.log1m_p), strict=True)
    ]


def log_phi(z: float) -> float:
    """log of the standard normal distribution function."""
    if z > -30:
        return math.log(math.erfc(-z / math.sqrt(2)) / 2)
    series = 1 - z**-2 + 3 * z**-4 - 15 * z**-6 + 105 * z**-8
    return -z * z / 2 - math.log(-z * math.sqrt(2 * math.pi)) + math.log(series)


def normals(groups: list[list[float]], variance: str) -> list[tuple[float, float]]:
    """Mean and standard deviation of each group, the latter of all together if it is pooled."""
    means = [math.fsum(group) / len(group) for group in groups]
    squares = [
        math.fsum((value - mean) ** 2 for value in group)
        for group, mean in zip(groups, means, strict=True)
    ]
    freedom = [len(group) - 1 for group in groups]
    if variance == "pooled":
        spread = [math.fsum(squares) / sum(freedom)] * len(groups)
    else:
        spread = [square / free for square, free in zip(squares, freedom, strict=True)]
    return [(mean, math.sqrt(value)) for mean, value in zip(means, spread, strict=True)]


def lira_offline(evidence: Evidence, parameters: Any) -> list[float]:
    models = [confidences(view) for view in evidence.references]
    groups = [list(group) for group in zip(*models, strict=True)]
    return [
        log_phi((x - mean) / spread)
        for x, (mean, spread) in zip(
            confidences(evidence.views["plain"]), normals(groups, parameters.variance), strict=True
        )
    ]


def shadow_groups(evidence: Evidence, values: Callable[[View], list[float]]) -> Any:
    """For every record the values of the shadow models with it, and of those without it."""
    models = [values(shadow.view) for shadow in evidence.shadows]
    return [
        [
            [
                model[record]
                for model, shadow in zip(models, evidence.shadows, strict=True)
                if shadow.member[record] == member
            ]
            for record in range(len(evidence.record_id))
        ]
        for member in (True, False)
    ]


def lira_online(evidence: Evidence, parameters: Any) -> list[float]:
    sides = [
        normals(groups, parameters.variance) for groups in shadow_groups(evidence, confidences)
    ]

    def log_density(x: float, mean: float, spread: float) -> float:
        return -0.5 * math.log(2 * math.pi * spread**2) - (x - mean) ** 2 / (2 * spread**2)

    return [
        log_density(x, *with_x) - log_density(x, *without_x)
        for x, with_x, without_x in zip(confidences(evidence.views["plain"]), *sides, strict=True)
    ]


def likelihoods(view: View) -> list[float]:
    return [math.exp(-loss) for loss in losses(view)]


def offline_ratios(target: View, references: list[View], a: float) -> list[float]:
    """log(p / pbar), pbar from models without the record."""
    models = [likelihoods(view) for view in references]
    ratios = []
    for loss, p_out in zip(losses(target), zip(*models, strict=True), strict=True):
        pbar = ((1 + a) * math.fsum(p_out) / len(p_out) + (1 - a)) / 2
        ratios.append(-loss - math.log(pbar))
    return ratios


def compared(
    evidence: Evidence, models: list[View], ratios: list[float], gamma: float, a: float
) -> Bounds:
    assert evidence.population is not None
    population = offline_ratios(evidence.population, models, a)
    return [share([x - z - math.log(gamma) for z in population]) for x in ratios]


def rmia(evidence: Evidence, parameters: Any) -> Bounds:
    ratios = offline_ratios(evidence.views["plain"], list(evidence.references), parameters.a)
    models = list(evidence.reference_population)
    return compared(evidence, models, ratios, parameters.gamma, parameters.a)


def rmia_online(evidence: Evidence, parameters: Any) -> Bounds:
    with_x, without_x = (
        [math.fsum(group) / len(group) for group in side]
        for side in shadow_groups(evidence, likelihoods)
    )
    ratios = [
        -loss - math.log((p_in + p_out) / 2)
        for loss, p_in, p_out in zip(
            losses(evidence.views["plain"]), with_x, without_x, strict=True
        )
    ]
    models = [shadow.population for shadow in evidence.shadows if shadow.population]
    return compared(evidence, models, ratios, parameters.gamma, a=1.0)


SLOW: dict[str, Callable[[Evidence, Any], list[float] | Bounds]] = {
    "loss": loss,
    "zlib": zlib_attack,
    "lowercase": lowercase,
    "min_k": min_k,
    "min_k_pp": min_k_pp,
    "reference": reference,
    "reference_base": reference_base,
    "recall": recall,
    "surp": surp,
    "dc_pdd": dc_pdd,
    "con_recall": con_recall,
    "neighbour": neighbour,
    "ez_mia": ez_mia,
    "wbc": wbc,
    "attack_p": attack_p,
    "attack_r": attack_r,
    "lira_offline": lira_offline,
    "lira_online": lira_online,
    "informia": informia,
    "joint": joint,
    "rmia": rmia,
    "rmia_online": rmia_online,
}
