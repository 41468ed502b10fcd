"""The blind classifiers: what makes two records alike to one that never sees a model."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer

from distilleak.errors import DistilleakError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

DATE = r"^(?:(\d{4})(?:-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01]))?)?$"


@dataclass(frozen=True)
class BlindRecords:
    """What the classifiers may see of the records of both pools, (records,) each."""

    texts: Sequence[str]
    sources: Sequence[str]
    dates: Sequence[str]  # as in `DATE`: YYYY-MM-DD, YYYY, or empty
    member: Bools

    def take(self, rows: Integers) -> "BlindRecords":
        """These rows only."""
        return BlindRecords(
            [self.texts[row] for row in rows],
            [self.sources[row] for row in rows],
            [self.dates[row] for row in rows],
            self.member[rows],
        )


@dataclass(frozen=True)
class Words:
    """TF-IDF of the texts, rows of unit length."""

    features: csr_array  # (records, vocabulary)
    vocabulary: list[str]
    cosines: Floats  # of every two texts, (records, records)


def tfidf(texts: Sequence[str]) -> Words:
    """Rows over words and punctuation marks, case kept: form alone can distinguish pools.

    Raises:
        DistilleakError: no text holds a word.
    """
    if not any(text.strip() for text in texts):
        raise DistilleakError("no text of the pools member and nonmember holds a word")
    vectorizer = TfidfVectorizer(lowercase=False, token_pattern=r"\w+|[^\w\s]", sublinear_tf=True)
    features = csr_array(vectorizer.fit_transform(texts))
    cosines = np.asarray((features @ features.T).toarray())
    return Words(features, vectorizer.get_feature_names_out().tolist(), cosines)


def kernels(
    records: BlindRecords, words: Words, *, by_source: bool = False
) -> Iterator[tuple[str, Floats]]:
    """Yield each classifier's name and kernel, (records, records), and their sum last.

    Where whole documents are drawn (`by_source`), none looks at the source: no document that is
    judged is one of those learned from.

    Every kernel is centred and has a mean diagonal of 1. It may look at all records, as it never
    looks at a label. A kernel under which all records are alike is left out.
    """
    characters, packed, raw = sizes(records.texts)
    _, source = np.unique(np.array(records.sources, dtype=object), return_inverse=True)
    makers: dict[str, Callable[[], Floats]] = {
        "bag_of_words": lambda: words.cosines,
        "length": lambda: _rbf(np.log(np.maximum(1, characters))),
        "compressibility": lambda: _rbf(packed / np.maximum(1, raw)),
        "source": lambda: (source[:, None] == source).astype(np.float64),
        "date": lambda: _rbf(year_fraction(records.dates)),
    }
    if by_source:
        del makers["source"]
    combined = np.zeros((len(source), len(source)))
    for name, make in makers.items():
        kernel = centred(make())
        if kernel is not None:
            combined += kernel
            yield name, kernel
    kernel = centred(combined)
    if kernel is not None:
        yield "combined", kernel


def centred(kernel: Floats) -> Floats | None:
    """Moved to the records' centre, scaled to a mean diagonal of 1; None where nothing is left."""
    mean = kernel.mean(axis=0)
    kernel = kernel - mean - mean[:, None] + mean.mean()
    scale = np.trace(kernel) / len(kernel)
    return None if scale < 1e-9 else kernel / scale


def year_fraction(dates: Sequence[str]) -> Floats:
    """Dates as years, NaN where empty, (records,); a year alone counts as its middle."""
    parts = pd.Series(dates, dtype=object).str.extract(DATE).astype(np.float64)
    month, day = parts[1].fillna(7) - 1, parts[2].fillna(1) - 1
    return (parts[0] + (month + day / 31) / 12).to_numpy(np.float64)


def sizes(texts: Sequence[str]) -> tuple[Integers, Integers, Integers]:
    """Characters, zlib bytes and UTF-8 bytes of each text."""
    raw = [text.encode() for text in texts]
    packed = [len(zlib.compress(data, 9)) for data in raw]
    return (
        np.array([len(text) for text in texts]),
        np.array(packed),
        np.array([len(data) for data in raw]),
    )


def _rbf(values: Floats) -> Floats:
    """exp(-d^2 / 2) of the standardised values; unknown (NaN) ones are alike, and like no other."""
    known = ~np.isnan(values)
    spread = values[known].std() if known.any() else 0.0
    standard = np.where(known, values, 0.0) / (spread or 1.0)
    kernel = np.exp(-((standard[:, None] - standard) ** 2) / 2)
    return np.where(known[:, None] == known, kernel, 0.0)
