"""How many texts a model was asked only the beginning of."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from distilleak.files import read_table
from distilleak.scoring.scores import Scores

PASSAGES = pa.schema({"passage_id": pa.string(), "text": pa.string()})
RECORDS = pa.schema({"record_id": pa.string(), "text": pa.string()})


def cut(passages: str | Path, records: str | Path, judged: Scores) -> int:
    """How many of the judged records are shorter than their passage.

    Args:
        passages: passages.parquet, the texts as they were given.
        records: records.parquet, the texts as the model reads them.
        judged: the records that count.

    Raises:
        DistilleakError: a file is missing or damaged.
    """
    complete = read_table(passages, PASSAGES).to_pandas().set_index("passage_id")["text"]
    read = read_table(records, RECORDS).to_pandas().set_index("record_id")["text"]
    read = read.loc[judged.record_id]
    shorter = read.str.strip().str.len() < complete.loc[read.index].str.strip().str.len()
    return int(np.count_nonzero(shorter))
