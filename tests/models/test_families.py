"""Families: every one is built, read and shortened in the same way."""

import copy
from pathlib import Path

import pytest
import torch
import transformers
from tiny_families import (
    CAUSAL,
    MASKED,
    NAMES,
    POSITIONS,
    START,
    VOCABULARY,
    WIDTH,
    batch_of,
    fresh,
    logits,
    records,
    shape,
    tiny,
)
from transformers import DynamicCache, PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.models import families

every_family = pytest.mark.parametrize("name", NAMES)
every_causal = pytest.mark.parametrize("name", CAUSAL)
every_masked = pytest.mark.parametrize("name", MASKED)


def random_ids(rows: int, length: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(length)
    return torch.randint(0, VOCABULARY, (rows, length), generator=generator)


def whole(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """Logits of unpadded rows by the model's own forward pass, positions counted in the open."""
    first = 0 if model.config.pad_token_id is None else model.config.pad_token_id + 1
    first = first if isinstance(model, transformers.RobertaForMaskedLM) else 0
    positions = torch.arange(first, first + ids.shape[1])[None]
    with torch.no_grad():
        return model(input_ids=ids, position_ids=positions).logits  # type: ignore[no-any-return]


# Building


@every_family
def test_a_model_has_the_shape_that_is_asked_for(name: str) -> None:
    model = fresh(name, layers=3)
    config = model.config
    assert (config.num_hidden_layers, config.hidden_size) == (3, WIDTH)
    assert config.num_attention_heads == 2
    assert families.positions(model) == POSITIONS
    assert len(families.blocks(model)) == (1 if name == "albert" else 3)
    assert model.get_input_embeddings().num_embeddings == VOCABULARY
    assert families.width(model) == families.head_width(model) == WIDTH


@every_family
def test_the_longest_sequence_is_read(name: str) -> None:
    model = tiny(name)
    ids = random_ids(1, families.positions(model))
    visible = None if name in CAUSAL else torch.ones_like(ids, dtype=torch.bool)
    found = families.final_states(model, ids, visible, None)
    assert found.shape == (1, POSITIONS, WIDTH)
    assert found.isfinite().all()


@every_family
def test_training_has_no_dropout(name: str) -> None:
    model = fresh(name)
    expected = logits(model, batch_of(name))
    assert torch.equal(logits(model.train(), batch_of(name)), expected)


@every_family
def test_weights_are_drawn_at_the_scale_of_the_width(name: str) -> None:
    torch.manual_seed(0)
    model = families.build(shape(name, width=64), VOCABULARY, START)
    scale = 0.02 * (768 / 64) ** 0.5
    inside = [weight for weight in families.blocks(model).parameters() if weight.dim() == 2]
    assert inside[0].std().item() == pytest.approx(scale, rel=0.2)
    assert model.get_input_embeddings().weight.std().item() == pytest.approx(scale, rel=0.1)


@every_family
def test_no_embedding_is_left_out_of_training(name: str) -> None:
    """A padding token's embedding starts at zero and never gets a gradient."""
    model = families.build(shape(name), VOCABULARY, START)
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            assert module.padding_idx is None


def test_mobilebert_has_the_proportions_of_the_paper() -> None:
    """Sun et al. 2020, table 1: 512 between blocks, 128 inside, four feed-forward networks."""
    config = families.build(shape("mobilebert", width=64), VOCABULARY, START).config
    assert config.true_hidden_size == config.embedding_size == 16
    assert config.intermediate_size == 64
    assert config.num_feedforward_networks == 4
    assert config.key_query_shared_bottleneck
    assert config.trigram_input


def test_an_option_reaches_the_configuration() -> None:
    model = fresh("llama", options={"num_key_value_heads": 1, "tie_word_embeddings": True})
    assert model.model.layers[0].self_attn.k_proj.out_features == WIDTH // 2  # type: ignore[union-attr, index]
    assert model.lm_head.weight is model.model.embed_tokens.weight  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("gpt2", {"no_such": 1}, "options.no_such: not a field of GPT2Config"),
        ("gpt2", {"to_dict": 1}, "options.to_dict: not a field of GPT2Config"),
        ("gpt2", {"n_embd": 8}, "options.n_embd: say it as 'width'"),
        ("gpt2", {"hidden_size": 8}, "options.hidden_size: say it as 'width'"),
        ("bert", {"vocab_size": 8}, "options.vocab_size: the tokenizer says it"),
        ("bert", {"hidden_act": 3}, "options: bert refuses them"),
        ("bert", {"hidden_act": "nothing"}, "options: bert refuses them"),
        ("bert", {"chunk_size_feed_forward": 3}, "options: bert refuses them"),
        ("albert", {"num_hidden_groups": 0}, "options: albert refuses them"),
        ("llama", {"num_key_value_heads": 3}, "options: llama refuses them"),
        ("gpt2", {"return_dict": False}, "options: gpt2 refuses them"),
    ],
)
def test_an_option_that_cannot_be_is_refused_in_one_line(
    name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(DistilleakError) as caught:
        families.build(shape(name, options=options), VOCABULARY, START)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "width", "heads", "message"),
    [
        ("llama", 6, 2, "attention heads of size 3; .* an even size of at least 2"),
        ("gemma", 6, 2, "attention heads of size 3"),
        ("qwen2", 6, 2, "attention heads of size 3"),
        ("gpt_neox", 8, 4, "attention heads of size 2; .* an even size of at least 4"),
        ("mobilebert", 24, 4, "a width of 6 inside the blocks is not a multiple of 4"),
    ],
)
def test_heads_that_cannot_work_are_refused(
    name: str, width: int, heads: int, message: str
) -> None:
    with pytest.raises(DistilleakError, match=f"{name}: {message}"):
        families.build(shape(name, width=width, heads=heads), VOCABULARY, START)


# Reading


@every_family
def test_hidden_states_and_head_make_the_model(name: str) -> None:
    model, ids = tiny(name), random_ids(3, 7)
    visible = None if name in CAUSAL else torch.ones_like(ids, dtype=torch.bool)
    with torch.no_grad():
        found = families.logits(model, families.final_states(model, ids, visible, None))
    torch.testing.assert_close(found, whole(model, ids), rtol=0, atol=1e-6)


@every_family
def test_a_padded_record_reads_as_it_does_alone(name: str) -> None:
    model = tiny(name)
    together = logits(model, batch_of(name))
    alone = torch.cat([logits(model, batch_of(name, [row])) for row in range(len(records()))])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@every_family
def test_what_padding_holds_changes_nothing(name: str) -> None:
    model, now = tiny(name), batch_of(name)
    before = logits(model, now)
    lengths = torch.tensor([len(tokens) for tokens in records()]) + (1 if name in CAUSAL else 2)
    padding = torch.arange(now.input_ids.shape[1]) >= lengths[:, None]
    assert padding.any()
    now.input_ids[padding] = 7
    torch.testing.assert_close(logits(model, now), before, rtol=0, atol=1e-6)


@every_causal
def test_a_prefix_is_read_once(name: str) -> None:
    """Rows of different length after a common prefix, against each row read as a whole."""
    model, now = tiny(name), batch_of(name)
    prefix = random_ids(1, 5)
    cache = DynamicCache(config=model.config)
    with torch.no_grad():
        families.final_states(model, prefix, None, cache)
        assert cache.get_seq_length() == 5
        cache.batch_repeat_interleave(len(now.input_ids))
        found = families.logits(model, now.hidden_states(model, cache))
    expected = [
        whole(model, torch.cat([prefix, row[None]], 1))[0, 5:][chosen]
        for row, chosen in zip(now.input_ids, now.mask, strict=True)
    ]
    torch.testing.assert_close(found, torch.cat(expected), rtol=0, atol=1e-4)


def test_roberta_counts_every_token_even_one_like_its_padding() -> None:
    model = fresh("roberta", options={"pad_token_id": 3})
    assert model.config.max_position_embeddings == POSITIONS + 4
    assert families.positions(model) == POSITIONS
    for tokens in ([5, 6, 7], [5, 3, 7]):
        ids = torch.tensor([[START, *tokens, START]])
        visible = torch.ones_like(ids, dtype=torch.bool)
        with torch.no_grad():
            found = families.logits(model, families.final_states(model, ids, visible, None))
            itself = model(input_ids=ids).logits
        torch.testing.assert_close(found, whole(model, ids), rtol=0, atol=1e-6)
        # Where no token is like padding, that is what the family does by itself.
        assert torch.allclose(found, itself, rtol=0, atol=1e-6) == (3 not in tokens)


def test_the_width_before_the_vocabulary_may_be_another() -> None:
    albert = fresh("albert", options={"embedding_size": 8})
    opt = fresh("opt", options={"word_embed_proj_dim": 8})
    assert families.width(albert) == families.width(opt) == WIDTH
    assert families.head_width(albert) == families.head_width(opt) == 8
    assert batch_of("albert").hidden_states(albert).shape[1] == WIDTH
    assert batch_of("opt").hidden_states(opt).shape[1] == 8


def test_a_model_of_another_kind_is_refused() -> None:
    config = transformers.BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    with pytest.raises(DistilleakError, match=r"'bert' is not supported; supported are gpt2, .*"):
        families.of(transformers.BertForSequenceClassification(config))


# Copying layers


@every_family
def test_all_layers_make_the_same_model(name: str) -> None:
    teacher = tiny(name)
    student = families.copy_layers(teacher, 2)
    assert type(student) is type(teacher)
    assert not student.training
    assert torch.equal(logits(student, batch_of(name)), logits(teacher, batch_of(name)))


@pytest.mark.parametrize(("layers", "taken"), [(2, [0, 2]), (3, [0, 1, 3])])
@every_family
def test_evenly_spaced_layers_are_copied(name: str, layers: int, taken: list[int]) -> None:
    teacher = fresh(name, layers=5)
    before = copy.deepcopy(teacher.state_dict())
    student = families.copy_layers(teacher, layers)
    state = student.state_dict()
    assert student.config.num_hidden_layers == layers
    assert teacher.config.num_hidden_layers == 5
    path = families.of(teacher).blocks
    for key, weight in before.items():
        assert torch.equal(teacher.state_dict()[key], weight)
        if not key.startswith(path) or name == "albert":
            assert torch.equal(state[key], weight)
    if name != "albert":
        assert len(families.blocks(student)) == layers
        for number, source in enumerate(taken):
            for key, weight in families.blocks(teacher)[source].state_dict().items():
                assert torch.equal(state[f"{path}.{number}.{key}"], weight)
    shared = {value.data_ptr() for value in teacher.state_dict().values()}
    assert not shared & {value.data_ptr() for value in state.values() if value.numel()}


@every_family
def test_a_copy_keeps_ties_and_survives_saving(name: str, tmp_path: Path) -> None:
    teacher = fresh(name, layers=3)
    student = families.copy_layers(teacher, 2)
    for model in (teacher, student):
        tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight  # type: ignore[no-untyped-call]
        assert tied == model.config.tie_word_embeddings
    student.save_pretrained(tmp_path)
    loaded = type(student).from_pretrained(tmp_path).eval()  # type: ignore[no-untyped-call]
    assert torch.equal(logits(loaded, batch_of(name)), logits(student, batch_of(name)))


@every_causal
def test_a_copy_generates_as_it_predicts(name: str) -> None:
    """With its cache, whose places are those of the layers."""
    student = families.copy_layers(fresh(name, layers=3), 2)
    ids = random_ids(1, 3)
    written = student.generate(ids, max_new_tokens=6, do_sample=False, pad_token_id=START)  # type: ignore[operator]
    for _ in range(written.shape[1] - 3):
        ids = torch.cat([ids, whole(student, ids)[:, -1:].argmax(-1)], 1)
    assert written.tolist() == ids.tolist()


def test_the_kinds_of_layers_are_copied_with_them() -> None:
    sliding = {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 2}
    teacher = fresh("qwen2", layers=4, options=sliding)
    student = families.copy_layers(teacher, 2)
    assert student.config.layer_types == ["full_attention", "sliding_attention"]
    assert len(teacher.config.layer_types) == 4
    assert student.model.layers[1].self_attn.sliding_window == 4  # type: ignore[union-attr, index]


def test_no_more_layers_are_copied_than_there_are() -> None:
    with pytest.raises(DistilleakError, match="layers: 3 to be copied, but the teacher has 2"):
        families.copy_layers(tiny("gpt2"), 3)
