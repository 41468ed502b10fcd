"""The texts of the most exposed records, for whoever asks for them: they are private."""

from pathlib import Path

import pyarrow as pa

from distilleak.files import atomic, read_table

EXPOSED = pa.schema(
    {"record_id": pa.string(), "model": pa.string(), "rank": pa.int64(), "attack": pa.string()}
)
PASSAGES = pa.schema({"passage_id": pa.string(), "source": pa.string(), "text": pa.string()})


def write_texts(exposed: str | Path, passages: str | Path, output: str | Path) -> None:
    """Write a CSV file with the texts of the exposed records, the most exposed first.

    Raises:
        DistilleakError: a file is missing or damaged.
    """
    records = read_table(exposed, EXPOSED).to_pandas()
    texts = read_table(passages, PASSAGES).to_pandas().set_index("passage_id")
    joined = records.join(texts, on="record_id").sort_values(["model", "rank"])
    with atomic(output) as temporary:
        joined.to_csv(temporary, index=False)
