"""Drawing whole documents, so that no two pools have passages of the same one."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from distilleak import seeding
from distilleak.errors import DistilleakError


def draw(
    passages: pa.Table, order: NDArray[np.int64], parts: Sequence[tuple[str, int]], seed: int
) -> NDArray[np.int64]:
    """Draw each part from documents of its own, whole ones until it has enough passages.

    The documents are in one random order. A part takes the next ones, and of its last one only as
    many passages as it lacks; the others are in no part. All parts are thus drawn alike, whatever
    the lengths of the documents.

    Args:
        passages: with `passage_id` and `source`, the document.
        order: (passages,) a random permutation, which decides between passages of one document.
        parts: pools with their numbers of passages; a pool may have several parts.
        seed: of the order of the documents.

    Returns:
        (records,) the passages drawn, part after part.

    Raises:
        DistilleakError: a passage has no source, or there are too few documents.
    """
    source = np.array(passages["source"].to_pylist(), dtype=object)
    nowhere = np.flatnonzero(source == "")
    if len(nowhere):
        raise DistilleakError(
            f"pools.by: source, but {len(nowhere)} of {len(source)} passages have none, such as "
            f"{passages['passage_id'][int(nowhere[0])].as_py()!r}; the corpus must say which "
            "document each is from (source_column), or use `by: passage`"
        )
    names, document, sizes = np.unique(source, return_inverse=True, return_counts=True)
    place = seeding.stream(seed, "split", "documents").permutation(len(names))
    starts = np.append(0, np.cumsum(sizes[np.argsort(place)]))
    queue = order[np.argsort(place[document[order]], kind="stable")]
    drawn = []
    following = 0
    for pool, size in parts:
        start = int(starts[following])
        if start + size > len(queue):
            sums: Counter[str] = Counter()
            for name, count in parts:
                sums[name] += count
            wanted = " + ".join(f"{count} {name}" for name, count in sums.items())
            raise DistilleakError(
                f"pools: {wanted} records of whole documents, but after deduplication the corpus "
                f"has {len(queue)} passages in {len(names)} documents, the longest with "
                f"{sizes.max()}; {pool} gets only {len(queue) - start}, since what other pools do "
                "not need of their last document is left out"
            )
        drawn.append(queue[start : start + size])
        following = int(np.searchsorted(starts, start + size))
    return np.concatenate(drawn)
