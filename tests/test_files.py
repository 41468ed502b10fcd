"""Files are there completely or not at all, and only damage is called damage."""

import os
import resource
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from lacking import UNPRIVILEGED, limited, no_descriptors
from matplotlib.figure import Figure
from safetensors.torch import save_file
from tiny_study import VOCABULARY, sentences, tiny_model

from distilleak import files
from distilleak.errors import DistilleakError, refusal
from distilleak.models import making
from distilleak.records import tokenizer as tokenization
from distilleak.records.framing import Framing
from distilleak.training import targets

TABLE = pa.table({"number": np.arange(5000), "text": [f"record {row}" for row in range(5000)]})


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    tokenization.save(tokenization.train(sentences(100, seed=0), VOCABULARY), path, 64)
    return path


@pytest.fixture
def writers(tokenizer: Path) -> dict[str, Callable[[Path], None]]:
    """One writer for each library that writes files here."""

    def figure(path: Path) -> None:
        with files.atomic(path) as temporary:
            Figure().savefig(temporary, format="pdf")

    def tensors(path: Path) -> None:
        with files.atomic(path) as temporary:
            save_file({"weight": torch.zeros(5000)}, temporary)

    tokens = [np.arange(1, 9) for _ in range(40)]
    return {
        "text": lambda path: files.write_text("text " * 5000, path),
        "json": lambda path: files.write_json([*range(5000)], path),
        "parquet": lambda path: files.write_table(TABLE, path),
        "figure": figure,
        "tensors": tensors,
        "model": lambda path: making.save(tiny_model(), tokenizer, path),
        "tokenizer": lambda path: tokenization.save(tokenization.load(tokenizer), path, 64),
        "targets": lambda path: targets.store(tiny_model(), tokens, Framing(0), 64, path),
    }


KINDS = ("text", "json", "parquet", "figure", "tensors", "model", "tokenizer", "targets")


@pytest.mark.parametrize("kind", KINDS)
def test_a_write_that_the_disk_refuses_gets_one_line_and_leaves_nothing(
    kind: str, writers: dict[str, Callable[[Path], None]], tmp_path: Path
) -> None:
    target = tmp_path / "results" / "output"
    with (
        limited(resource.RLIMIT_FSIZE, 1000),
        pytest.raises(DistilleakError, match=rf"^{target}: cannot be written: File too large$"),
    ):
        writers[kind](target)
    assert [*target.parent.iterdir()] == []
    writers[kind](target)
    assert [*target.parent.iterdir()] == [target]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o007, 0o660)])
def test_every_file_has_the_permissions_that_the_umask_gives(
    umask: int,
    mode: int,
    kind: str,
    writers: dict[str, Callable[[Path], None]],
    tmp_path: Path,
) -> None:
    before = os.umask(umask)
    try:
        writers[kind](tmp_path / "output")
    finally:
        os.umask(before)
    for path in (tmp_path / "output", *(tmp_path / "output").rglob("*")):
        expected = mode | (mode & 0o444) >> 2 if path.is_dir() else mode
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_a_file_that_is_only_read_for_another_is_the_one_that_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"), files.atomic(tmp_path / "new") as place:
        place.write_bytes((tmp_path / "nowhere").read_bytes())


def test_what_is_lacking_to_compute_a_file_is_not_said_of_writing_it(tmp_path: Path) -> None:
    for error in (MemoryError("no memory"), RuntimeError("CUDA out of memory. Tried to allocate")):
        with pytest.raises(type(error)), files.atomic(tmp_path / "new"):
            raise error
    assert [*tmp_path.iterdir()] == []


def test_a_directory_that_cannot_be_made_is_named_with_the_cause(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        DistilleakError, match=r"file/new: cannot be written: File exists \(.*/file\)$"
    ):
        files.write_text("text", tmp_path / "file" / "new")


WRITER = """
import os, pathlib, signal, sys, time
from distilleak import files
with files.atomic(sys.argv[1]) as temporary:
    temporary.write_bytes(bytes(1000))
    print("written", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is writing `big` and does not end."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "big")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        yield process
        process.kill()


def leftovers(directory: Path) -> list[Path]:
    return [*directory.glob(".*.tmp")]


def test_the_files_of_a_killed_writer_are_removed_by_the_next_and_those_of_a_living_one_stay(
    writer: subprocess.Popen[str], tmp_path: Path
) -> None:
    (place,) = leftovers(tmp_path)
    files.write_text("other", tmp_path / "big")
    assert (place / "big").stat().st_size == 1000
    writer.kill()
    writer.wait()
    # Another file beside it is none of this writer's business.
    files.write_text("small", tmp_path / "small")
    assert leftovers(tmp_path) == [place]
    files.write_text("again", tmp_path / "big")
    assert leftovers(tmp_path) == []


def test_what_another_machine_left_is_removed_only_when_it_has_been_idle_for_long(
    writer: subprocess.Popen[str], tmp_path: Path
) -> None:
    (place,) = leftovers(tmp_path)
    writer.kill()
    writer.wait()
    (place / ".lock").write_text("another machine")
    files.write_text("again", tmp_path / "big")
    assert leftovers(tmp_path) == [place]
    old = time.time() - 2 * 3600
    for path in (place / "big", place / ".lock", place):
        os.utime(path, (old, old))
    files.write_text("again", tmp_path / "big")
    assert leftovers(tmp_path) == []


def test_writers_with_one_process_id_do_not_collide(tmp_path: Path) -> None:
    """As in two containers: each writes a file of its own, and the last to finish wins."""
    with files.atomic(tmp_path / "file") as first, files.atomic(tmp_path / "file") as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "file").read_text() == "first"
    assert leftovers(tmp_path) == []


def test_a_full_table_of_descriptors_is_no_damage(tmp_path: Path) -> None:
    files.write_table(TABLE, tmp_path / "table.parquet")
    with (
        no_descriptors(),
        pytest.raises(DistilleakError, match=r"table\.parquet: cannot be read: Too many open file"),
    ):
        files.read_table(tmp_path / "table.parquet")
    assert files.read_table(tmp_path / "table.parquet").equals(TABLE)


def test_a_tokenizer_that_cannot_be_opened_is_no_damage(tokenizer: Path, tmp_path: Path) -> None:
    for name in tokenization.FILES:  # without checksums, which are read first
        shutil.copyfile(tokenizer / name, tmp_path / name)
    with (
        no_descriptors(),
        pytest.raises(DistilleakError, match=r"tokenizer\.json: cannot be read: Too many open"),
    ):
        tokenization.load(tmp_path)


def test_a_model_that_cannot_be_opened_is_no_damage(tokenizer: Path, tmp_path: Path) -> None:
    making.save(tiny_model(), tokenizer, tmp_path / "model")
    making.load(tmp_path / "model", "cpu")
    lowest = os.dup(0)
    os.close(lowest)
    refused = []
    for free in range(10):  # until all files can be open at once
        try:
            with limited(resource.RLIMIT_NOFILE, lowest + free):
                making.load(tmp_path / "model", "cpu")
        except (DistilleakError, OSError) as error:
            refused.append(str(error))
        else:
            break
    assert f"{tmp_path}/model: cannot be read: Too many open files" in refused
    for said in refused:
        assert "Too many open files" in said
        assert "damaged" not in said
        assert "rm -r" not in said


READER = """
import sys
from distilleak import files
from distilleak.stages.base import run
def main(arguments):
    import pyarrow
    if arguments[0] == "memory":
        import resource
        table = files.open_parquet(arguments[1])
        pages = int(open("/proc/self/statm").read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + 10**7,) * 2)
    (files.read_json if arguments[1].endswith("json") else files.read_table)(arguments[1])
run(main, sys.argv[1:])
"""


def read(kind: str, path: Path, *before: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [*before, sys.executable, "-c", READER, kind, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr.splitlines()


def test_too_little_memory_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    wide = pa.table({"number": np.random.default_rng(0).random(10**7)})
    files.write_table(wide, path)
    code, lines = read("memory", path)
    assert code == 1
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"error: {path}: cannot be read: ")
    assert "damaged" not in lines[0]
    assert "delete" not in lines[0]


@pytest.mark.parametrize("name", ["table.parquet", "facts.json"])
def test_missing_rights_are_no_damage(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    files.write_table(TABLE, path)
    path.chmod(0)
    code, lines = read("rights", path, *UNPRIVILEGED)
    assert code == 1
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"error: {path}: ")
    assert lines[0].endswith("Permission denied")


def test_damage_is_never_taken_for_a_refusal_of_the_machine(tmp_path: Path) -> None:
    """One flipped bit in the part of the file that says where everything is."""
    path = tmp_path / "table.parquet"
    files.write_table(TABLE, path)
    whole = path.read_bytes()
    footer = int.from_bytes(whole[-8:-4], "little") + 8
    rng = np.random.default_rng(0)
    reasons = []
    for _ in range(300):
        content = bytearray(whole)
        content[len(whole) - int(rng.integers(1, footer + 1))] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        with suppress(DistilleakError):
            # The footer has no checksum; what it says of the number of rows must not be believed.
            assert len(files.read_table(path)) == len(TABLE)
            continue
        with pytest.raises(DistilleakError) as caught:
            files.read_table(path)
        reasons.append(str(caught.value))
    assert len(reasons) > 50
    assert all("damaged Parquet file" in reason for reason in reasons), reasons


def test_a_footer_that_says_less_rows_than_there_are_is_damage(tmp_path: Path) -> None:
    """Every bit of the footer of a file in which a half of the rows would go unread."""
    path = tmp_path / "table.parquet"
    files.write_table(pa.table({"record_id": [f"r{row:02d}" for row in range(64)]}), path)
    whole = path.read_bytes()
    footer = int.from_bytes(whole[-8:-4], "little") + 8
    refused = 0
    for place in range(len(whole) - footer, len(whole)):
        for bit in range(8):
            content = bytearray(whole)
            content[place] ^= 1 << bit
            path.write_bytes(content)
            try:
                assert len(files.read_table(path)) == 64, (place, bit)
            except DistilleakError:
                refused += 1
    assert refused > footer


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(122, "Disk quota exceeded"), "Disk quota exceeded"),
        (OSError(116, "Stale file handle"), "Stale file handle"),
        (Exception("Input/output error (os error 5)"), "Input/output error"),
        (
            pa.ArrowException("Unknown error: Failed to launch worker thread: Resource"),
            "Failed to launch worker thread",
        ),
        (
            RuntimeError(
                "unable to open file <m.safetensors> in read-only mode: Too many open files (24)"
            ),
            "Too many open files",
        ),
        (
            RuntimeError("unable to mmap 9 bytes from file <m>: Cannot allocate memory (12)"),
            "Cannot allocate memory",
        ),
        (ValueError("the weights have another shape: Rows (24)"), None),
        (
            ImportError("tools.so: failed to map segment from shared object"),
            "failed to map segment from shared object",
        ),
        (RuntimeError("can't start new thread"), "can't start new thread"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            "can't allocate memory",
        ),
        (
            pa.ArrowMemoryError("malloc of size 64 failed"),
            "not enough memory (malloc of size 64 failed)",
        ),
        (OSError("Couldn't deserialize thrift"), None),
        (ValueError("not a number"), None),
        (DistilleakError("a line of its own"), None),
    ],
)
def test_what_the_machine_refuses_is_known_in_the_words_of_every_library(
    error: Exception, reason: str | None
) -> None:
    found = refusal(error)
    assert found == reason
    wrapped = RuntimeError("cannot load")
    wrapped.__cause__ = error
    assert refusal(wrapped) == found


def test_a_file_that_was_looked_for_and_is_not_there_is_no_cause() -> None:
    error = ValueError("damaged")
    error.__context__ = FileNotFoundError(2, "No such file or directory")
    assert refusal(error) is None
