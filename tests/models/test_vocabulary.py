"""A model has the rows of its tokenizer: rows that stand for no token are dropped, no others."""

from pathlib import Path

import pytest
import torch
from tiny_families import (
    NAMES,
    START,
    VOCABULARY,
    batch_of,
    framing,
    logits,
    mapped,
    randomise,
    shape,
)
from tiny_study import sentences
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.evidence import probing
from distilleak.evidence.passes import causal
from distilleak.models import families, making
from distilleak.models.batches import batch
from distilleak.models.family_table import FAMILIES
from distilleak.models.surgery.base import operate
from distilleak.models.vocabulary import trim
from distilleak.records import tokenizer as tokenization
from distilleak.settings.architecture import ArchitectureSettings, CheckpointSettings
from distilleak.settings.objective import ObjectiveSettings
from distilleak.training import student
from distilleak.training.objective import accumulate
from distilleak.training.targets import OnlineTargets

SURPLUS = 6


def padded(name: str, surplus: int = SURPLUS, seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    model = families.build(shape(name), VOCABULARY + surplus, START)
    randomise(model, 0.1, seed)
    return model.eval()  # type: ignore[no-untyped-call, no-any-return]


def tied(model: PreTrainedModel) -> set[tuple[str, ...]]:
    """The names of each weight that has several."""
    names: dict[int, list[str]] = {}
    for name, weight in model.state_dict(keep_vars=True).items():
        names.setdefault(id(weight), []).append(name)
    return {tuple(found) for found in names.values() if len(found) > 1}


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_what_a_model_says_of_a_token_stays(name: str, changed: bool) -> None:
    model = padded(name)
    if changed:
        model = operate(model, mapped()).eval()  # type: ignore[no-untyped-call]
    expected = logits(model, batch_of(name))
    if changed:  # its centre is the mean over all rows
        plain = padded(name)
        expected = logits(plain, batch_of(name))[:, :VOCABULARY]
    before = tied(model)
    found = trim(model, VOCABULARY)
    assert found is model
    assert found.config.vocab_size == VOCABULARY
    torch.testing.assert_close(logits(found, batch_of(name)), expected[:, :VOCABULARY])
    assert tied(found) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_model_without_its_surplus_is_trained_and_saved_like_any_other(
    name: str, tmp_path: Path
) -> None:
    model = trim(padded(name), VOCABULARY)
    loss = accumulate(model, batch_of(name), ObjectiveSettings(alpha=1.0), None, 10)
    assert loss.isfinite()
    assert sum(weight.grad is not None for weight in model.parameters()) > 5
    with torch.no_grad():
        for weight in model.parameters():
            if weight.grad is not None:
                weight -= 0.1 * weight.grad
    model.save_pretrained(tmp_path / "m")
    again = FAMILIES[name].model.from_pretrained(tmp_path / "m").eval()
    assert torch.equal(logits(again, batch_of(name)), logits(model, batch_of(name)))


@pytest.mark.parametrize("rows", [VOCABULARY, VOCABULARY + 1])
def test_a_model_without_surplus_stays_as_it_is(rows: int) -> None:
    model = padded("gpt2", 0)
    before = {name: weight.data_ptr() for name, weight in model.state_dict().items()}
    assert trim(model, rows) is model
    assert {name: weight.data_ptr() for name, weight in model.state_dict().items()} == before
    assert model.config.vocab_size == VOCABULARY


def test_a_padding_token_that_is_dropped_is_none() -> None:
    for name in ("llama", "bert"):
        with torch.random.fork_rng():
            kind = FAMILIES[name]
            config = padded(name).config
            config.pad_token_id = VOCABULARY + 2
            model = kind.model(config).eval()  # type: ignore[no-untyped-call]
        trim(model, VOCABULARY)
        assert model.config.pad_token_id is None
        assert logits(model, batch_of(name)).isfinite().all()


def test_positions_are_not_counted_from_a_token_that_is_dropped() -> None:
    config = padded("roberta").config
    config.pad_token_id, config.max_position_embeddings = VOCABULARY + 2, 2 * VOCABULARY
    with pytest.raises(DistilleakError, match="positions of roberta are counted from it"):
        trim(FAMILIES["roberta"].model(config), VOCABULARY)


def test_the_rows_are_the_largest_id_plus_one_however_many_tokens_there_are() -> None:
    tokenizer = Tokenizer(WordLevel({"one": 0, "two": 3, "?": 7}, unk_token="?"))
    assert tokenizer.get_vocab_size() == 3
    assert tokenization.rows(tokenizer) == 8


ROWS = 300
SMALL = ArchitectureSettings(type="llama", layers=1, width=16, heads=2, positions=64)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One tokenizer, and models of it that are padded to different numbers of rows."""
    root = tmp_path_factory.mktemp("padded")
    tokenization.save(tokenization.train(sentences(200, seed=1), ROWS), root / "tokenizer", 64)
    for seed, (name, rows) in enumerate({"large": 352, "small": 320, "exact": ROWS}.items()):
        torch.manual_seed(seed)
        model = families.build(SMALL, rows, 0)
        randomise(model, 0.2, seed)
        making.save(model, root / "tokenizer", root / name)
    return root


def full_logits(path: Path, ids: torch.Tensor) -> torch.Tensor:
    """(1, T, rows) float64, all rows of the file, without this project."""
    model = FAMILIES["llama"].model.from_pretrained(path, dtype=torch.float64).eval()
    with torch.no_grad():
        return model(input_ids=ids).logits  # type: ignore[no-any-return]


def test_a_student_learns_from_a_teacher_with_more_rows(checkpoints: Path) -> None:
    tokens = torch.arange(5, 25)
    start = CheckpointSettings(directory=str(checkpoints / "small"))
    made = student.make(
        start, checkpoints / "tokenizer", 0, teacher=None, teacher_start=None, teacher_seed=0
    )
    teacher = making.load(checkpoints / "large", "cpu")
    objective = ObjectiveSettings(alpha=0.25, distillation_temperature=2.0)
    now = batch([tokens.numpy()], [0], framing("llama"), "cpu")
    lesson = OnlineTargets(teacher).lesson(now)
    loss = accumulate(made, now, objective, lesson, len(tokens))

    ids = torch.cat([torch.tensor([0]), tokens[:-1]])[None]
    s = full_logits(checkpoints / "small", ids)[0, :, :ROWS]
    t = full_logits(checkpoints / "large", ids)[0, :, :ROWS]
    hard = torch.nn.functional.cross_entropy(s, tokens, reduction="sum")
    log_p, log_q = torch.log_softmax(s / 2, -1), torch.log_softmax(t / 2, -1)
    soft = 4 * (log_q.exp() * (log_q - log_p)).sum()
    torch.testing.assert_close(loss, 0.25 * hard + 0.75 * soft, rtol=1e-5, atol=1e-4)


def test_a_mixture_of_models_with_different_rows_is_one_over_the_tokens(checkpoints: Path) -> None:
    tokens = torch.arange(5, 25)
    paths = [checkpoints / name for name in ("large", "small", "exact")]
    models = [making.load(path, "cpu") for path in paths]
    found = probing.probe(
        models,
        {"all": [0, 1, 2], "first": [0]},
        [tokens.numpy()],
        causal(torch.tensor([20]).numpy()),
        probing.read_context(models, framing("llama")),
        probing.Budget(1024),
    )
    ids = torch.cat([torch.tensor([0]), tokens[:-1]])[None]
    p = [torch.softmax(full_logits(path, ids)[0, :, :ROWS], -1) for path in paths]
    for name, expected in (("all", torch.stack(p).mean(0)), ("first", p[0])):
        true = expected.gather(-1, tokens[:, None])[:, 0]
        given = torch.from_numpy(found[name]["logp"]).double()
        torch.testing.assert_close(given, true.log(), rtol=1e-5, atol=1e-5)
        mean = torch.from_numpy(found[name]["mean_logp"]).double()
        torch.testing.assert_close(mean, (expected * expected.log()).sum(-1), rtol=1e-5, atol=1e-5)


def test_a_student_of_a_given_shape_has_the_rows_of_the_tokenizer(checkpoints: Path) -> None:
    made = student.make(
        SMALL,
        checkpoints / "tokenizer",
        0,
        teacher=checkpoints / "large",
        teacher_start=None,
        teacher_seed=0,
    )
    assert made.config.vocab_size == ROWS
