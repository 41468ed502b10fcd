"""Evidence in shards, so that a computation that was interrupted can be resumed.

A shard is `<directory>/<fingerprint>/<mixture>/<view>/<window>.parquet`: the evidence on one window
of records. Shards are renamed into place, so each is there completely or not at all.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from distilleak.files import atomic, read_table, scratch, write_table
from distilleak.machine.leftovers import delete_others


@dataclass(frozen=True)
class Shards:
    """The shards of one computation, in `home`."""

    home: Path

    def finished(self, names: Sequence[str], view: str, window: int) -> bool:
        """Whether the window's evidence of all mixtures is there."""
        return all(self._path(name, view, window).exists() for name in names)

    def write(self, tables: Mapping[str, pa.Table], view: str, window: int) -> None:
        """Keep the window's evidence, a table for each mixture."""
        for name, table in tables.items():
            write_table(table, self._path(name, view, window))

    def join(self, name: str, view: str, schema: pa.Schema, path: Path) -> None:
        """Write all windows of a mixture's view into one file, one after the other, atomically."""
        shards = sorted(self._path(name, view, 0).parent.glob("*.parquet"))
        with (
            atomic(path) as temporary,
            pq.ParquetWriter(
                temporary, schema, compression="zstd", write_page_checksum=True
            ) as writer,
        ):
            for shard in shards:
                writer.write_table(read_table(shard, schema).cast(schema))

    def _path(self, name: str, view: str, window: int) -> Path:
        return self.home / name / view / f"{window:09}.parquet"


@contextmanager
def kept(directory: str | Path, fingerprint: str) -> Iterator[Shards]:
    """Shards that outlive an interruption; deleted when the block succeeds.

    Args:
        directory: for the shards of this computation alone.
        fingerprint: of all that it depends on; shards with another are deleted.
    """
    home = Path(directory) / fingerprint
    delete_others(home)
    home.mkdir(parents=True, exist_ok=True)
    yield Shards(home)
    shutil.rmtree(home)
    if not any(home.parent.iterdir()):
        home.parent.rmdir()


@contextmanager
def passing(beside: str | Path) -> Iterator[Shards]:
    """Shards in a temporary directory inside `beside`, gone after the block."""
    with scratch(Path(beside) / "shards") as home:
        yield Shards(home)
