"""Perturbed copies of records, for the neighbourhood attack.

Mattern et al. (2023, arXiv 2305.18462) have a masked language model propose other words. None is at
hand that was not trained on what is evaluated, so the proposals here are those of a bigram model of
the auxiliary pool: weaker neighbours, but made only from what an attacker has, and the same for all
models.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from distilleak import seeding
from distilleak.errors import DistilleakError
from distilleak.settings.evidence import EvidenceSettings

Tokens = NDArray[np.int32]


class Bigrams:
    """p(w | v) = (c(v, w) + s c(w) / c) / (c(v) + s) of the auxiliary pool (Dirichlet smoothing).

    c(v, w) counts the pair, c(v) the tokens that follow v, c(w) / c is the share of w among all
    tokens, and s = `smoothing` is how many tokens the unigram distribution counts for.
    """

    def __init__(self, records: Sequence[Tokens], smoothing: float) -> None:
        self.tokens = np.concatenate(records)
        ends = np.cumsum([len(record) for record in records])
        if len(np.unique(self.tokens)) < 2:
            raise DistilleakError(
                "evidence.neighbours: the auxiliary pool holds a single token; nothing can be "
                "replaced by another one"
            )
        before = np.delete(np.arange(len(self.tokens)), ends - 1)
        order = np.argsort(self.tokens[before], kind="stable")
        self.successors = self.tokens[before + 1][order]
        self.known, self.starts = np.unique(self.tokens[before][order], return_index=True)
        self.counts = np.diff(np.append(self.starts, len(order)))
        self.smoothing = smoothing

    def draw(self, previous: Tokens, rng: np.random.Generator) -> Tokens:
        """One token after each of `previous`, (n,); -1 stands for the beginning of a record."""
        place = np.searchsorted(self.known, previous).clip(max=len(self.known) - 1)
        count = np.where(self.known[place] == previous, self.counts[place], 0)
        follows = rng.random(len(previous)) * (count + self.smoothing) < count
        # The successor of a random occurrence is distributed as c(v, w) / c(v) says.
        which = self.starts[place] + (rng.random(len(previous)) * count).astype(np.int64)
        anywhere = rng.integers(len(self.tokens), size=len(previous))
        return np.where(
            follows,
            self.successors[which.clip(max=len(self.successors) - 1)],
            self.tokens[anywhere],
        )


def neighbours(
    tokens: Tokens, record_id: str, bigrams: Bigrams, settings: EvidenceSettings, seed: int
) -> list[Tokens]:
    """Copies of a record in which some tokens are replaced, each of the length of the record.

    In every copy `neighbour_share` of the positions, at least one, are drawn at random; the token
    there is replaced by one from p(w | the token before it in the record), never by itself. The
    copies are a function of the record, its id and the seed, whatever other records there are.
    """
    rng = seeding.stream(seed, "neighbour", record_id)
    size = max(1, round(settings.neighbour_share * len(tokens)))
    copies = []
    for _ in range(settings.neighbours):
        places = rng.permutation(len(tokens))[:size]
        previous = np.where(places > 0, tokens[places - 1], -1)
        drawn = bigrams.draw(previous, rng)
        while (same := drawn == tokens[places]).any():
            # A successor that is the only one seen gives way to the smoothing's other tokens.
            drawn[same] = bigrams.draw(previous[same], rng)
        copy = tokens.copy()
        copy[places] = drawn
        copies.append(copy)
    return copies
