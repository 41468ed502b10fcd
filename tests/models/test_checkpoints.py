"""Pretrained models: what they may start from, and one clear line for all that cannot be read."""

import json
import re
import shutil
from pathlib import Path

import pytest
import tiny_families
import torch
from safetensors.torch import load_file, save_file
from tiny_study import SHAPE, START, VOCABULARY, sentences
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedModel

from distilleak.errors import DistilleakError
from distilleak.guards import checksums
from distilleak.models import checkpoints, families, heads, making
from distilleak.records import tokenizer as tokenization
from distilleak.settings.architecture import (
    ArchitectureSettings,
    CheckpointSettings,
    ModelSettings,
    StudentSettings,
    TeacherLayersSettings,
)
from distilleak.stages import copy_tokenizer
from distilleak.training import student


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    tokenization.save(tokenization.train(sentences(200, seed=1), VOCABULARY), path, 64)
    return path


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Path:
    path = tmp_path_factory.mktemp("pretrained") / "model"
    making.save(making.make(SHAPE, tokenizer, 0), tokenizer, path)
    return path


@pytest.fixture
def copy(pretrained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pretrained, tmp_path / "model"))


def change_config(model: Path, **entries: object) -> None:
    file = model / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **entries}))


def load(model: Path) -> None:
    checkpoints.load(CheckpointSettings(directory=str(model)))


def state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return dict(model.named_parameters())


def test_a_directory_gives_its_weights(pretrained: Path, tokenizer: Path) -> None:
    start = CheckpointSettings(directory=str(pretrained))
    found, expected = making.make(start, tokenizer, seed=7), making.make(SHAPE, tokenizer, seed=0)
    for name, weight in state(expected).items():
        assert torch.equal(state(found)[name], weight)


def test_random_weights_in_the_shape_of_a_checkpoint_follow_the_seed(
    pretrained: Path, tokenizer: Path
) -> None:
    start = CheckpointSettings(directory=str(pretrained), init="random")
    one, again, other = (making.make(start, tokenizer, seed) for seed in (1, 1, 2))
    name = "transformer.h.0.attn.c_attn.weight"
    assert torch.equal(state(one)[name], state(again)[name])
    assert not torch.equal(state(one)[name], state(other)[name])
    assert not torch.equal(state(one)[name], state(making.load(pretrained, "cpu"))[name])
    assert one.config.n_layer == SHAPE.layers


def make_student(
    start: StudentSettings,
    tokenizer: Path,
    seed: int,
    teacher: Path | None = None,
    teacher_start: ModelSettings | None = None,
    teacher_seed: int | None = None,
) -> PreTrainedModel:
    return student.make(
        start,
        tokenizer,
        seed,
        teacher=teacher,
        teacher_start=teacher_start,
        teacher_seed=seed if teacher_seed is None else teacher_seed,
    )


def test_a_student_may_start_from_the_layers_of_the_teacher(
    pretrained: Path, tokenizer: Path
) -> None:
    start = TeacherLayersSettings(init="teacher_layers", layers=1)
    made, teacher = make_student(start, tokenizer, 0, pretrained), making.load(pretrained, "cpu")
    assert len(families.blocks(made)) == 1
    for name, weight in state(made).items():
        assert torch.equal(weight, state(teacher)[name])


def test_a_student_that_must_not_know_the_teacher_copies_what_it_started_from(
    tokenizer: Path,
) -> None:
    start = TeacherLayersSettings(init="teacher_layers", layers=1)
    made = make_student(start, tokenizer, 3, teacher_start=SHAPE)
    untrained = making.make(SHAPE, tokenizer, 3)
    for name, weight in state(made).items():
        assert torch.equal(weight, state(untrained)[name])


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DistilleakError, match=r"nowhere: no model here \(no such directory\)"):
        load(tmp_path / "nowhere")
    with pytest.raises(DistilleakError, match=r": no model here \(config\.json is missing\)"):
        load(tmp_path)


def test_another_family(copy: Path) -> None:
    change_config(copy, model_type="t5", architectures=["T5ForConditionalGeneration"])
    with pytest.raises(DistilleakError, match=r"'t5' is not supported; supported are gpt2, "):
        load(copy)


def test_a_type_that_nobody_knows(copy: Path) -> None:
    change_config(copy, model_type="mystery")
    with pytest.raises(DistilleakError, match=r"model: model type 'mystery' is not supported"):
        load(copy)


def test_code_of_its_own(copy: Path) -> None:
    change_config(copy, auto_map={"AutoModelForCausalLM": "modeling.Mine"})
    (copy / "modeling.py").write_text("raise SystemExit('this code has run')\n")
    with pytest.raises(DistilleakError, match=r"needs Python code of its own, which is never run"):
        load(copy)


def test_weights_in_a_pickle_file_only(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    torch.save({"weight": torch.zeros(1)}, copy / "pytorch_model.bin")
    with pytest.raises(DistilleakError, match=r"no model\.safetensors; weights in pickle files"):
        load(copy)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_weights_cut_off_in_a_copy(share: float, copy: Path) -> None:
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DistilleakError, match=r"its weights cannot be read \(.*\)"):
        load(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"n_embd": 32}'])
def test_a_damaged_configuration(text: str, copy: Path) -> None:
    (copy / "config.json").write_text(text)
    with pytest.raises(DistilleakError, match=r"damaged model \(config\.json"):
        load(copy)


def test_weights_that_do_not_fit_the_configuration(copy: Path) -> None:
    change_config(copy, n_layer=3)
    with pytest.raises(
        DistilleakError,
        match=r"do not fit the configuration: they are of 2 blocks, but n_layer .* is 3",
    ):
        load(copy)


def test_a_weight_of_another_size_is_named_with_both_sizes(copy: Path) -> None:
    change_config(copy, n_inner=40)
    with pytest.raises(
        DistilleakError, match=r"transformer\.\S+ has the shape \[[\d, ]+\] instead of \[[\d, ]+\]"
    ):
        load(copy)


def test_embeddings_of_another_number_of_rows_are_named(copy: Path) -> None:
    change_config(copy, vocab_size=VOCABULARY + 3)
    with pytest.raises(
        DistilleakError,
        match=rf"wte\.weight has {VOCABULARY} rows, but vocab_size .* {VOCABULARY + 3}$",
    ):
        load(copy)


def test_blocks_that_the_configuration_does_not_count_are_not_left_out(copy: Path) -> None:
    """Else the study would be of a model that nobody has trained."""
    change_config(copy, n_layer=1)
    with pytest.raises(DistilleakError, match=r"of 2 blocks, but n_layer in config\.json is 1"):
        load(copy)


def test_a_vocabulary_smaller_than_the_tokenizer(copy: Path, tmp_path: Path) -> None:
    larger = tokenization.train(sentences(400, seed=2), VOCABULARY + 20)
    tokenization.save(larger, tmp_path / "larger", 64)
    with pytest.raises(DistilleakError, match=r"vocabulary of 300 tokens, .* tokenizer has 320"):
        making.make(CheckpointSettings(directory=str(copy)), tmp_path / "larger", 0)


@pytest.mark.parametrize(
    ("gguf", "message"),
    [
        ("nowhere.gguf", r"nowhere\.gguf: no such file"),
        ("no_such_package:a.gguf", r"package 'no_such_package' is not installed"),
        ("numpy:a.gguf", r"numpy:a\.gguf: no such file"),
    ],
)
def test_a_gguf_file_that_is_not_there(gguf: str, message: str) -> None:
    with pytest.raises(DistilleakError, match=message):
        checkpoints.load(CheckpointSettings(gguf=gguf))


def test_a_hub_id_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DistilleakError, match=r"^nobody/nothing@v1: cannot be read as a model"):
        checkpoints.load(CheckpointSettings(hub="nobody/nothing", revision="v1"))


def test_a_context_longer_than_the_positions(tokenizer: Path) -> None:
    model = making.make(SHAPE, tokenizer, 0)
    framing = making.framing(model, tokenizer)
    import numpy as np

    with pytest.raises(
        DistilleakError, match=r"encoding\.context: .* 96 tokens needs 97 positions"
    ):
        making.check_length(model, framing, [np.zeros(96, dtype=np.int32)])
    making.check_length(model, framing, [np.zeros(95, dtype=np.int32)])


def test_one_tokenizer_for_all_models_of_a_pair(
    pretrained: Path, copy: Path, tmp_path: Path
) -> None:
    both = json.dumps([{"directory": str(pretrained)}, {"directory": str(copy)}])
    copy_tokenizer.main(["--checkpoints", both, "--output", str(tmp_path / "tokenizer")])
    text = sentences(1, seed=5)[0]
    found, expected = (tokenization.load(path) for path in (tmp_path / "tokenizer", pretrained))
    assert found.encode(text).ids == expected.encode(text).ids
    assert tokenization.framing(tmp_path / "tokenizer", masked=False).start == START


def test_different_tokenizers_in_a_pair(pretrained: Path, copy: Path, tmp_path: Path) -> None:
    other = tokenization.train(sentences(300, seed=9), VOCABULARY - 10)
    tokenization.save(other, tmp_path / "other", 64)
    tokenization.copy_tokenizer(tmp_path / "other", copy)
    both = json.dumps([{"directory": str(pretrained)}, {"directory": str(copy)}])
    with pytest.raises(
        DistilleakError,
        match=r"different tokenizers \(300 and 290 tokens, or other rules .*\); teacher",
    ):
        copy_tokenizer.main(["--checkpoints", both, "--output", str(tmp_path / "tokenizer")])
    assert not (tmp_path / "tokenizer").exists()


def test_tokenizers_of_one_vocabulary_that_read_a_text_in_another_way(
    pretrained: Path, copy: Path, tmp_path: Path
) -> None:
    other = tokenization.load(copy)
    other.normalizer = Lowercase()
    other.save(str(copy / "tokenizer.json"))
    both = json.dumps([{"directory": str(pretrained)}, {"directory": str(copy)}])
    with pytest.raises(DistilleakError, match="or other rules to cut a text into them"):
        copy_tokenizer.main(["--checkpoints", both, "--output", str(tmp_path / "tokenizer")])


def test_a_hub_id_is_never_a_directory_that_lies_here(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy.parent)
    with pytest.raises(DistilleakError, match="a directory of this name lies here"):
        checkpoints.load(CheckpointSettings(hub=copy.name, revision="v1"))


def test_the_files_that_a_model_starts_from_belong_to_its_training(copy: Path) -> None:
    files = checkpoints.local_files(CheckpointSettings(directory=str(copy)))
    assert str(copy / "model.safetensors") in files
    assert checkpoints.local_files(SHAPE) == []


def test_a_control_starts_from_the_layers_that_a_teacher_of_a_shape_started_from(
    tokenizer: Path,
) -> None:
    shape = SHAPE.model_copy(update={"layers": 2})
    teacher = making.make(shape, tokenizer, 7)
    half = TeacherLayersSettings(init="teacher_layers", layers=1)
    control = make_student(half, tokenizer, 8, teacher_start=shape, teacher_seed=7)
    expected = families.copy_layers(teacher, 1)
    for name, weight in state(expected).items():
        assert torch.equal(state(control)[name], weight), name


def test_the_head_of_a_masked_model_is_not_read_as_a_causal_one(
    tokenizer: Path, tmp_path: Path
) -> None:
    shape = ArchitectureSettings(type="bert", layers=1, width=16, heads=2, positions=32)
    with making.seeded(0):
        bert = families.build(shape, VOCABULARY, START)
    making.save(bert, tokenizer, tmp_path / "bert")
    assert families.of(making.load(tmp_path / "bert", "cpu")).kind == "masked"


def test_a_checkpoint_is_trained_without_dropout(copy: Path) -> None:
    """Else micro batches and several processes would draw other numbers."""
    change_config(copy, resid_pdrop=0.1, embd_pdrop=0.1, attn_pdrop=0.1)
    for init in ("checkpoint", "random"):
        model = checkpoints.load(CheckpointSettings(directory=str(copy), init=init))
        found = [part.p for part in model.modules() if isinstance(part, torch.nn.Dropout)]
        assert found
        assert set(found) == {0.0}
        assert model.config.attn_pdrop == 0.0


def test_naming_a_gguf_file_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "models" / "teacher"
    inside.mkdir(parents=True)
    for directory in (inside, inside.parent):
        (directory / "__init__.py").write_text("raise SystemExit('this code has run')\n")
    (inside.parent / "a.gguf").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert heads.gguf_file("models:a.gguf") == inside.parent / "a.gguf"
    for below in ("models.teacher:a.gguf", ".teacher:a.gguf", ":a.gguf"):
        with pytest.raises(DistilleakError, match="is not the name of a top-level package"):
            heads.gguf_file(below)


@pytest.mark.parametrize(
    "name",
    [
        "adapter_config.json",
        "adapter_model.safetensors",
        "adapter_model.bin",
        "adapter_0.pt",
        "adapters.safetensors",
        "adapters.npz",
        "pytorch_lora_weights.safetensors",
        "My-LoRA.safetensors",
        "non_lora_trainables.bin",
        "prompt_embeddings.safetensors",
        "best/adapter_config.json",
        "checkpoint-10/adapter_model.safetensors",
    ],
)
def test_adapters_beside_the_weights_are_refused_by_name(copy: Path, name: str) -> None:
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_text("{}")
    with pytest.raises(
        DistilleakError, match=rf"{re.escape(name)}: adapters are not read, .* merge"
    ):
        checkpoints.load(CheckpointSettings(directory=str(copy)))
    with pytest.raises(DistilleakError, match="adapters are not read"):
        checkpoints.tokenizer(CheckpointSettings(directory=str(copy)))


@pytest.mark.parametrize(
    "name", ["delta.safetensors", "value_head.safetensors", "modelx.safetensors"]
)
def test_weights_that_nothing_reads_are_refused_by_name(copy: Path, name: str) -> None:
    (copy / name).write_text("{}")
    with pytest.raises(DistilleakError, match=rf"{name}: only model.safetensors is read"):
        checkpoints.load(CheckpointSettings(directory=str(copy)))


@pytest.mark.parametrize(
    "name",
    [
        "model.fp16.safetensors",
        "model-00001-of-00002.safetensors",
        "consolidated.safetensors",
        "pytorch_model.bin",
        "optimizer.pt",
        "training_args.bin",
        "2_Dense/model.safetensors",
    ],
)
def test_the_same_model_in_another_form_and_the_state_of_a_training_may_lie_there(
    copy: Path, name: str
) -> None:
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_text("{}")
    checkpoints.load(CheckpointSettings(directory=str(copy)))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("tokenizer.json", {"pre_tokenizer": {"type": "FromTheFuture"}}, "no tokenizer .*variant"),
        ("tokenizer_config.json", {"model_specific_special_tokens": ["<a>"]}, "no tokenizer"),
        ("tokenizer_config.json", {"bos_token": 5}, "no tokenizer .*bos_token"),
    ],
)
def test_a_tokenizer_file_of_another_version_gets_one_line(
    copy: Path, file: str, change: dict[str, object], message: str
) -> None:
    content = json.loads((copy / file).read_text())
    (copy / file).write_text(json.dumps(content | change))
    with pytest.raises(DistilleakError, match=message) as caught:
        checkpoints.tokenizer(CheckpointSettings(directory=str(copy)))
    assert "\n" not in str(caught.value)


FORMS: dict[str, object] = {
    "return_dict": False,
    "output_hidden_states": True,
    "output_attentions": True,
    "use_cache": False,
    "chunk_size_feed_forward": 3,
    "problem_type": "regression",
    "torchscript": True,
    "fusion_config": {"attention": True},
    "distributed_config": {"tp_size": 2},
    "dtype": "bfloat16",
    "torch_dtype": "float16",
    "tie_word_embeddings": True,
}
"""Values that change in which form outputs come or weights are saved, and nothing else."""


@pytest.mark.parametrize("field", FORMS)
@pytest.mark.parametrize("family", ["gpt2", "llama", "bert", "albert"])
def test_a_checkpoint_says_the_same_in_whatever_form_its_configuration_wants_it(
    family: str, field: str, tmp_path: Path
) -> None:
    model = tiny_families.fresh(family, options={"tie_word_embeddings": True})
    vocabulary, masked = tiny_families.VOCABULARY, family in tiny_families.MASKED
    save_with_tokenizer(model, tmp_path / "model", vocabulary, masked)
    change_config(tmp_path / "model", **{field: FORMS[field]})
    for init in ("checkpoint", "random"):
        start = CheckpointSettings(directory=str(tmp_path / "model"), init=init)
        found = making.make(start, tmp_path / "model", 0).eval()  # type: ignore[no-untyped-call]
        assert found.dtype == torch.float32
        now = tiny_families.batch_of(family)
        if init == "checkpoint":
            expected = tiny_families.logits(model, now)
            torch.testing.assert_close(tiny_families.logits(found, now), expected)
        making.save(found, tmp_path / "model", tmp_path / init)
        again = making.load(tmp_path / init, "cpu")
        assert torch.equal(tiny_families.logits(again, now), tiny_families.logits(found, now))


def save_with_tokenizer(
    model: PreTrainedModel, path: Path, vocabulary: int, masked: bool = False
) -> None:
    """Save a model beside a tokenizer that has a word for each of `vocabulary` ids."""
    words = {f"w{number}": number for number in range(vocabulary)}
    tokenizer = Tokenizer(WordLevel(words, unk_token="w2"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    path.mkdir(parents=True)
    tokenizer.save(str(path / "tokenizer.json"))
    special = {"bos_token": "w0", "eos_token": "w0", "pad_token": "w1", "mask_token": "w1"}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **special}
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    making.save(model, path, path)


DAMAGED = ["x", "", -1, 0, 3, 2.5, 1e40, 10**40, True, [], [1], {}, {"": 1}, None]


@pytest.mark.parametrize("family", ["gpt2", "llama", "bert"])
def test_a_value_of_any_type_in_a_configuration_is_read_or_refused_in_one_line(
    family: str, tmp_path: Path
) -> None:
    masked = family in tiny_families.MASKED
    save_with_tokenizer(
        tiny_families.fresh(family), tmp_path / "m", tiny_families.VOCABULARY, masked
    )
    file = tmp_path / "m" / "config.json"
    whole = json.loads(file.read_text())
    start = CheckpointSettings(directory=str(tmp_path / "m"))
    refused = {}
    for field in [*whole, "return_dict", "output_attentions", "pad_token_id", "rope_scaling"]:
        for value in DAMAGED:
            file.write_text(json.dumps({**whole, field: value}))
            try:
                making.make(start, tmp_path / "m", 0)
            except DistilleakError as error:
                refused[field, repr(value)] = str(error)
    assert len(refused) > 100
    for key, message in refused.items():
        assert "\n" not in message, key
        assert str(tmp_path / "m") in message, key


@pytest.mark.parametrize(
    "content", ['{"max_new_tokens": "x"}', '{"compile_config": 3}', "[1]", "[" * 100_000]
)
def test_damage_in_how_a_model_generates_is_not_blamed_on_its_weights(
    copy: Path, content: str
) -> None:
    (copy / "generation_config.json").write_text(content)
    with pytest.raises(
        DistilleakError, match=r"model: generation_config\.json is damaged \(.*\); delete it, the"
    ) as caught:
        load(copy)
    assert "\n" not in str(caught.value)
    (copy / "generation_config.json").unlink()
    load(copy)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_found_when_they_are_loaded(
    copy: Path, value: float
) -> None:
    weights = load_file(copy / "model.safetensors")
    weights["transformer.h.1.mlp.c_fc.bias"][3] = value
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        DistilleakError,
        match=r"model: transformer\.h\.1\.mlp\.c_fc\.bias holds values that are (NaN|infinite)$",
    ):
        load(copy)


def test_a_model_that_predicts_nan_is_refused(copy: Path) -> None:
    change_config(copy, layer_norm_epsilon=-100.0)
    with pytest.raises(DistilleakError, match="predicts no finite number"):
        making.make(CheckpointSettings(directory=str(copy)), copy, 0)


@pytest.mark.parametrize("token", [VOCABULARY, VOCABULARY + 1, 10**6, -1])
def test_a_padding_token_outside_the_vocabulary_is_none(copy: Path, token: int) -> None:
    change_config(copy, pad_token_id=token)
    model = checkpoints.load(CheckpointSettings(directory=str(copy)))
    assert model.config.pad_token_id is None
    assert model.get_input_embeddings().padding_idx is None


def test_positions_cannot_be_counted_from_a_padding_token_outside_the_vocabulary(
    tmp_path: Path,
) -> None:
    rows = tiny_families.VOCABULARY
    model = tiny_families.fresh("roberta", options={"pad_token_id": 1})
    save_with_tokenizer(model, tmp_path / "m", rows, masked=True)
    change_config(tmp_path / "m", pad_token_id=rows)
    with pytest.raises(DistilleakError, match=rf"pad_token_id .* is {rows}, .* counted from it"):
        load(tmp_path / "m")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("_attn_implementation", "kernels-community/flash-attn"),
        ("attn_implementation", "someone/kernel@main:function"),
        ("attn_implementation", {"": "kernels-community/flash-attn"}),
        ("_attn_implementation", "flash_attention_2"),
        ("experts_implementation", "someone/experts"),
    ],
)
@pytest.mark.parametrize("init", ["checkpoint", "random"])
def test_attention_from_outside_is_code_of_its_own(
    copy: Path, field: str, value: object, init: str
) -> None:
    change_config(copy, **{field: value})
    start = CheckpointSettings(directory=str(copy), init=init)
    with pytest.raises(
        DistilleakError, match=rf"{field} in config\.json is .*never run; .* one of eager, sdpa"
    ):
        checkpoints.load(start)


@pytest.mark.parametrize("value", ["eager", "sdpa", None])
def test_attention_that_the_library_contains_is_read(copy: Path, value: str | None) -> None:
    change_config(copy, _attn_implementation=value)
    load(copy)


@pytest.mark.parametrize(
    ("family", "field", "value"),
    [
        ("llama", "is_causal", False),
        ("gemma", "use_bidirectional_attention", True),
        ("bert", "is_decoder", True),
    ],
)
def test_a_model_that_reads_in_the_other_direction_is_refused_by_name(
    family: str, field: str, value: bool, tmp_path: Path
) -> None:
    """Its scores would depend on the padding, and so on what shares the batch."""
    save_with_tokenizer(tiny_families.fresh(family), tmp_path / "m", tiny_families.VOCABULARY)
    load(tmp_path / "m")
    change_config(tmp_path / "m", **{field: value})
    with pytest.raises(DistilleakError, match=rf"{field} in config\.json is {value}, which makes"):
        load(tmp_path / "m")


def test_layers_that_are_dropped_at_random_are_kept(tmp_path: Path) -> None:
    save_with_tokenizer(tiny_families.fresh("opt"), tmp_path / "m", tiny_families.VOCABULARY)
    change_config(tmp_path / "m", layerdrop=0.9)
    model = checkpoints.load(CheckpointSettings(directory=str(tmp_path / "m")))
    assert model.config.layerdrop == model.base_model.decoder.layerdrop == 0.0  # type: ignore[union-attr]


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 4567\n"


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"]
)
def test_a_pointer_of_git_lfs_is_called_one(copy: Path, name: str) -> None:
    (copy / name).write_text(POINTER)
    with pytest.raises(
        DistilleakError, match=rf"{re.escape(name)}: only a pointer of git-lfs, .*git lfs pull"
    ):
        load(copy)


def test_a_gguf_file_that_is_a_pointer_of_git_lfs_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_text(POINTER)
    with pytest.raises(DistilleakError, match=r"a\.gguf: only a pointer of git-lfs"):
        checkpoints.load(CheckpointSettings(gguf=str(tmp_path / "a.gguf")))


@pytest.mark.parametrize(
    ("family", "absent", "message"),
    [
        ("llama", ["bos_token", "eos_token"], "no bos_token and no eos_token, which a causal"),
        ("bert", ["mask_token"], "no mask_token, which a masked"),
    ],
)
def test_a_tokenizer_without_a_token_that_is_needed_names_the_directory_of_the_user(
    family: str, absent: list[str], message: str, tmp_path: Path
) -> None:
    save_with_tokenizer(tiny_families.fresh(family), tmp_path / "m", tiny_families.VOCABULARY)
    one = json.dumps([{"directory": str(tmp_path / "m")}])
    copy_tokenizer.main(["--checkpoints", one, "--output", str(tmp_path / "whole")])
    file = tmp_path / "m" / "tokenizer_config.json"
    given = json.loads(file.read_text())
    file.write_text(json.dumps({key: given[key] for key in given if key not in absent}))
    with pytest.raises(DistilleakError, match=rf"m: its tokenizer_config\.json: {message}"):
        copy_tokenizer.main(["--checkpoints", one, "--output", str(tmp_path / "tokenizer")])
    assert not (tmp_path / "tokenizer").exists()


@pytest.mark.parametrize("template", ["{{ messages }}", {"default": 1}, 3])
def test_a_template_for_chats_is_not_copied(copy: Path, template: object, tmp_path: Path) -> None:
    file = copy / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "chat_template": template}))
    one = json.dumps([{"directory": str(copy)}])
    copy_tokenizer.main(["--checkpoints", one, "--output", str(tmp_path / "tokenizer")])
    assert {path.name for path in (tmp_path / "tokenizer").iterdir()} == {
        *tokenization.FILES,
        checksums.SUMS,
    }
    found = json.loads((tmp_path / "tokenizer" / "tokenizer_config.json").read_text())
    assert found.get("chat_template") is None


def test_models_that_are_padded_to_different_numbers_of_rows_share_a_tokenizer(
    pretrained: Path, tokenizer: Path, tmp_path: Path
) -> None:
    with making.seeded(0):
        padded = families.build(SHAPE, VOCABULARY + 20, START)
    making.save(padded, tokenizer, tmp_path / "padded")
    both = json.dumps([{"directory": str(pretrained)}, {"directory": str(tmp_path / "padded")}])
    copy_tokenizer.main(["--checkpoints", both, "--output", str(tmp_path / "tokenizer")])
    made = making.make(
        CheckpointSettings(directory=str(tmp_path / "padded")), tmp_path / "tokenizer", 0
    )
    assert made.config.vocab_size == VOCABULARY
