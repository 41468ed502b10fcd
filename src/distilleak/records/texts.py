"""The texts of passages, without all else that is known of them."""

from pathlib import Path

import pyarrow as pa

from distilleak.files import read_table

TEXT = pa.schema({"text": pa.string()})


def read_texts(file: str | Path) -> list[str]:
    """The texts of a passages.parquet.

    Raises:
        DistilleakError: it is missing or damaged.
    """
    found: list[str] = read_table(file, TEXT)["text"].to_pylist()
    return found
