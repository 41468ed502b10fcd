"""Computing evidence window by window: records of a view, as many as fit in memory."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
import transformers
from tokenizers import Tokenizer
from tqdm import tqdm
from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.evidence import passes, probing, statistics, tempered, views
from distilleak.evidence.shards import Shards
from distilleak.evidence.table import schema
from distilleak.evidence.views import Presenter, Shown
from distilleak.machine import signals
from distilleak.machine.precision import has_bfloat16
from distilleak.machine.progress import Progress
from distilleak.models import families, finished, making
from distilleak.records import tokenizer as tokenization
from distilleak.records import window
from distilleak.records.framing import Framing
from distilleak.records.table import iterate_records
from distilleak.settings.base import canonical_json
from distilleak.settings.evidence import PREFIXES, EvidenceSettings
from distilleak.settings.finished import FinishedSettings

log = logging.getLogger(__name__)

Mixtures = Mapping[str, Sequence[int]]
"""Name of a mixture -> positions of its models; one model alone is a mixture of one."""


@dataclass(frozen=True)
class Query:
    """What models are queried for.

    Attributes:
        records: records.parquet.
        views: names of views.
        settings: of the evidence.
        seed: of the study.
        part: (I, N): only share I of N of the windows.
    """

    records: str
    views: Sequence[str]
    settings: EvidenceSettings
    seed: int
    part: tuple[int, int]


@dataclass(frozen=True)
class Queried:
    """The models that are queried, alike in kind and vocabulary, and how they read."""

    paths: Sequence[str]
    models: Sequence[PreTrainedModel]
    mixtures: Mixtures
    tokenizer: Tokenizer
    framing: Framing

    @property
    def positions(self) -> int:
        """The longest sequence that all of them can read."""
        return min(families.positions(model) for model in self.models)


def check_mixtures(models: int, mixtures: Mixtures) -> Mixtures:
    """The mixtures of `models` models; without any, the only model under an empty name.

    Raises:
        DistilleakError: there are several models and no mixture, or a mixture is of one that is not
            given.
    """
    if not mixtures and models > 1:
        raise DistilleakError(f"{models} models but no --mixture NAME=0,1,...; give one of either")
    for name, positions in mixtures.items():
        if not set(positions) <= set(range(models)):
            raise DistilleakError(f"--mixture {name}: {positions} must lie in 0 ... {models - 1}")
    return mixtures or {"": [0]}


def load_models(paths: Sequence[str], mixtures: Mixtures, dtype: str, device: str) -> Queried:
    """Load the models and check that they can be mixed.

    Raises:
        DistilleakError: a model cannot be read, is of another kind or has another vocabulary than
            the first, or the device has no such `dtype`.
    """
    _check_dtype(dtype, device)
    first, *others = paths
    loaded = [making.load(path, device, getattr(torch, dtype)) for path in paths]
    kind = families.of(loaded[0]).kind
    tokenizer = tokenization.load(first)
    for path, model in zip(others, loaded[1:], strict=True):
        if families.of(model).kind != kind:
            raise DistilleakError(
                f"{path}: a {families.of(model).kind} model, but {first} is {kind}; "
                "models of one mixture must be of one kind"
            )
        if (
            model.config.vocab_size != loaded[0].config.vocab_size
            or tokenization.load(path).get_vocab() != tokenizer.get_vocab()
        ):
            raise DistilleakError(
                f"{path}: not the vocabulary of {first}; models of one mixture must have one"
            )
    framing = tokenization.framing(first, kind == "masked")
    return Queried(paths, loaded, mixtures, tokenizer, framing)


def load_finished(settings: FinishedSettings, tokenizer: str, dtype: str, device: str) -> Queried:
    """Load a finished model of a user's, which `copy_tokenizer` has copied the tokenizer of.

    Raises:
        DistilleakError: it cannot be read or has another tokenizer, or the device has no such
            `dtype`.
    """
    _check_dtype(dtype, device)
    model = finished.load(settings, tokenizer, device, getattr(torch, dtype))
    framing = making.framing(model, tokenizer)
    loaded = tokenization.load(tokenizer)
    return Queried([finished.name(settings)], [model], {"": [0]}, loaded, framing)


def _check_dtype(dtype: str, device: str) -> None:
    if dtype == "bfloat16" and not has_bfloat16(device):
        gpu = torch.cuda.get_device_name()
        raise DistilleakError(f"evidence.dtype: {gpu} has no bfloat16; allowed: float32")


def count_records(query: Query, queried: Queried) -> dict[str, int]:
    """View -> its number of records.

    Raises:
        DistilleakError: the longest record of a view does not fit every model, or a view has none.
    """
    found = views.extents(query.records, query.views, query.settings)
    view, (_, longest) = max(found.items(), key=lambda item: item[1][1])
    prefix = query.settings.prefix_tokens if view in PREFIXES else 0
    added = queried.framing.added
    need = added + longest
    for path, model in zip(queried.paths, queried.models, strict=True):
        if families.positions(model) < need:
            raise DistilleakError(
                f"{path}: {families.positions(model)} positions, but {need} are needed: "
                f"{added} special tokens, {prefix} of evidence.prefix_tokens and "
                f"{longest - prefix} of the longest record"
            )
    return {view: count for view, (count, _) in found.items()}


def compute(
    query: Query,
    queried: Queried,
    counts: Mapping[str, int],
    shards: Shards,
    stopped: Callable[[], bool],
    progress: Progress,
) -> None:
    """Write the shards of this part's windows that are not there yet.

    Args:
        query: what is computed.
        queried: of which models.
        counts: view -> number of its records.
        shards: what is there, and where to write.
        stopped: whether the job is to end.
        progress: is told how many records are done.

    Raises:
        Interrupted: the job is to end; the shards of the windows that are done are there.
    """
    budget = probing.Budget(query.settings.batch_tokens)
    mixtures = [*queried.mixtures]
    mine = part_of(counts, *query.part)
    missing = {
        view: {number for number in numbers if not shards.finished(mixtures, view, number)}
        for view, numbers in mine.items()
    }
    sizes = {
        view: sum(min(window.SIZE, counts[view] - number * window.SIZE) for number in numbers)
        for view, numbers in missing.items()
    }
    progress.begin(sum(sizes.values()))
    before = 0
    for view, numbers in missing.items():
        check = _Check(view, before, stopped, progress)
        found = _evidence(view, numbers, query, queried, budget, check)
        for number, tables in tqdm(found, desc=view, total=len(numbers), disable=None):
            shards.write(tables, view, number)
        log.info("%s: %d of %d windows", view, len(mine[view]), _windows(counts[view]))
        before += sizes[view]


@dataclass
class _Check:
    """What is looked at after every batch of a view.

    Attributes:
        view: its name.
        before: records that were done before this view.
        stopped: whether the job is to end.
        progress: is told how many records are done.
        windows: how many of the view are done.
        records: those of the windows that are done.
    """

    view: str
    before: int
    stopped: Callable[[], bool]
    progress: Progress
    windows: int = 0
    records: int = 0

    def during(self, records: int, passes: int) -> Callable[[int], None]:
        """What is called after each batch of a window of so many records and passes."""
        done = 0

        def after_batch(batch: int) -> None:
            nonlocal done
            done += batch
            self.progress.reach(self.before + self.records + records * done / passes)
            if self.stopped():
                raise signals.Interrupted(f"{self.view}, window {self.windows}")

        return after_batch

    def ended(self, records: int) -> None:
        """Note that a window is done."""
        self.windows += 1
        self.records += records


def part_of(counts: Mapping[str, int], part: int, parts: int) -> dict[str, list[int]]:
    """View -> the windows of this part of all.

    The windows of all views are one row that is cut into equal parts: a view's windows in one part
    follow those in the part before.
    """
    row = [(view, number) for view, count in counts.items() for number in range(_windows(count))]
    mine = row[(part - 1) * len(row) // parts : part * len(row) // parts]
    return {view: [number for name, number in mine if name == view] for view in counts}


def described_schema(name: str, view: str, query: Query, queried: Queried) -> pa.Schema:
    """The schema of a mixture's evidence on a view; its metadata say where it comes from."""
    positions = queried.mixtures[name]
    known = [commits(queried)[position] for position in positions]
    revisions = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        **({"model": known} if any(known) else {}),
    }
    return _form(view, queried.framing.masked).with_metadata(
        {
            "model": ",".join(queried.paths[position] for position in positions),
            "view": view,
            "dtype": query.settings.dtype,
            "revisions": canonical_json(revisions),
        }
    )


def commits(queried: Queried) -> list[str | None]:
    """The commit on the hub that each model was read from; None for one that lies here."""
    return [getattr(model.config, "_commit_hash", None) for model in queried.models]


def _form(view: str, masked: bool) -> pa.Schema:
    if view == "tempered":
        return tempered.schema(masked=masked)
    return schema(masked=masked, copies=view == "neighbour")


def _windows(records: int) -> int:
    return math.ceil(records / window.SIZE)


def _evidence(
    view: str,
    missing: set[int],
    query: Query,
    queried: Queried,
    budget: probing.Budget,
    check: _Check,
) -> Iterator[tuple[int, dict[str, pa.Table]]]:
    """The number of each missing window of a view and its evidence, a table for each mixture."""
    presenter = Presenter(view, query.records, query.settings, query.seed)
    context = probing.read_context(queried.models, queried.framing, presenter.prefix)
    longest = queried.positions - queried.framing.added
    streamed = iterate_records(query.records, presenter.pools, window.SIZE)
    for number, records in enumerate(streamed):
        if number not in missing:
            continue
        shown = presenter.shown(records, queried.tokenizer, longest)
        lengths = np.array([len(text) for text in shown.tokens])
        plan = (
            passes.masked(lengths, shown.record_id, query.settings, query.seed)
            if queried.framing.masked
            else passes.causal(lengths)
        )
        found = probing.probe(
            queried.models,
            queried.mixtures,
            shown.tokens,
            plan,
            context,
            budget,
            check.during(len(records.record_id), len(plan.record)),
            statistics.TEMPERED if view == "tempered" else statistics.EVIDENCE,
        )
        form = _form(view, queried.framing.masked)
        yield number, {name: _table(shown, plan, columns, form) for name, columns in found.items()}
        check.ended(len(records.record_id))


def _table(
    shown: Shown, plan: passes.Passes, columns: probing.Columns, form: pa.Schema
) -> pa.Table:
    offsets = pa.array(plan.offsets, pa.int32())
    lists = dict(columns)
    if plan.hides is not None:
        lists["position"] = plan.positions().astype(np.int32)
    found: dict[str, pa.Array] = {
        name: pa.ListArray.from_arrays(offsets, pa.array(values)) for name, values in lists.items()
    }
    found["record_id"] = pa.array(shown.record_id).take(pa.array(plan.record))
    found["pass"] = pa.array(plan.number, pa.int32())
    if shown.copy is not None:
        found["copy"] = pa.array(shown.copy[plan.record])
    return pa.table([found[name] for name in form.names], schema=form)
