"""Peak memory of scoring against the number of records: `python benchmarks/memory.py`.

Evidence is random and is read by every attack that needs no shadow models, neighbours or token
counts. Prints, for each number of records, the peak memory of the job and the tokens of the records
that it scores per second, including its start.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from distilleak import catalogue
from distilleak.evidence.table import FLOAT_COLUMNS, SCHEMA
from distilleak.scoring import attacking, needs
from distilleak.seeding import stream

LENGTH, REFERENCES, POPULATION = 64, 4, 2000
ATTACKS = {
    name: {"attack": name, "parameters": {}}
    for name in catalogue.names("attacks")
    if not (own := catalogue.load("attacks", name).NEEDS).shadows
    and not own.frequencies
    and "neighbour" not in own.views
}


def write_evidence(path: Path, records: int, seed: int) -> None:
    """Write random evidence as the workflow does, with a row group for each window of records."""
    rng = stream(seed, path.stem)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for start in range(0, records, attacking.BLOCK):
            ids = [f"{number:08}" for number in range(start, min(records, start + attacking.BLOCK))]
            offsets = pa.array(np.arange(len(ids) + 1) * LENGTH, pa.int32())
            tokens = len(ids) * LENGTH
            columns = {
                name: np.float32(rng.exponential(3, tokens) * (1 if name == "std_logp" else -1))
                for name in FLOAT_COLUMNS
            }
            columns["token_id"] = np.arange(tokens, dtype=np.int32) % 2048
            columns["rank"] = rng.integers(0, 50, tokens).astype(np.int32)
            lists = {
                name: pa.ListArray.from_arrays(offsets, pa.array(values))
                for name, values in columns.items()
            }
            found = {"record_id": pa.array(ids), **lists}
            writer.write_table(pa.table([found[name] for name in SCHEMA.names], schema=SCHEMA))


def write_records(path: Path, records: int) -> None:
    """Write that many records, a third of them in each pool."""
    pool = np.array(["member", "nonmember", "holdout"])[np.arange(records) % 3]
    tokens = pa.array(np.arange(records * LENGTH, dtype=np.int32) % 2048)
    offsets = pa.array(np.arange(records + 1) * LENGTH, pa.int32())
    table = pa.table(
        {
            "record_id": [f"{number:08}" for number in range(records)],
            "pool": pool,
            "teacher_member": pool == "member",
            "student_member": pool == "member",
            "text": ["some text of a record " * 12] * records,
            "token_ids": pa.ListArray.from_arrays(offsets, tokens),
        }
    )
    pq.write_table(table, path)


def measure(home: Path, records: int) -> None:
    """Score that many records in a separate process."""
    write_records(home / "records.parquet", records)
    views = needs.views_of(list(ATTACKS.values()))
    for view in views:
        write_evidence(home / f"target/{view}.parquet", records, 0)
    write_evidence(home / "target/population.parquet", POPULATION, 1)
    references = [home / f"reference-{number}" for number in range(REFERENCES)]
    for number, directory in enumerate(references):
        write_evidence(directory / "plain.parquet", records, 2 + number)
        write_evidence(directory / "population.parquet", POPULATION, 10 + number)
    command = [sys.executable, "-m", "distilleak", "score_attacks"]
    command += ["--records", home / "records.parquet", "--evidence", home / "target"]
    command += ["--references", *references, "--attacks", json.dumps(ATTACKS)]
    command += ["--output", home / "scores.parquet"]
    began = time.perf_counter()
    _, status, used = os.wait4(subprocess.Popen(command).pid, 0)
    if status:
        sys.exit("the job failed")
    speed = records * LENGTH / (time.perf_counter() - began)
    print(
        f"{records:8,d} records, {len(ATTACKS)} attacks: peak {used.ru_maxrss / 1024:6.0f} MiB, "
        f"{speed / 1e3:6.0f} thousand tokens/s through all of them"
    )


if __name__ == "__main__":
    for count in (8192, 32768, 131072):
        with tempfile.TemporaryDirectory() as place:
            measure(Path(place), count)
