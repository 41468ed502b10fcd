"""The law of reruns: what a costly stage depends on is written down here, file by file. So are the
stages before it.

A rule runs again when any file changes that its stage imports. A stage that comes to import one
file more is run again for changes that cannot change its results: hours of training, for nothing.
So a name that is added to these lists needs a reason. Code that only one stage needs belongs into a
file that only this stage imports.
"""

import pytest
from architecture import PACKAGE, PACKAGES, name_of

from distilleak import catalogue
from distilleak.study.closure import import_closure

MODEL = """
    catalogue errors files guards.checksums seeding
    machine.processes machine.signals
    models.activations models.batches models.checkpoints models.families models.family_fields
    models.family_table models.heads models.making models.surgery.base models.vocabulary
    records.framing records.tokenizer
    settings.architecture settings.base
    stages.base
"""
ALL = f"{MODEL} records.streaming records.table records.window"
TRAINING = f"""
    {ALL}
    guards.locks guards.sealed_json
    machine.fingerprint machine.leftovers machine.memory machine.precision
    settings.objective settings.training
    stages._training_options
    training.hardware training.loop training.objective training.privacy training.snapshots
    training.targets
"""
BEFORE_TRAINING = {
    "load_corpus": """
        catalogue corpora._choosing corpora.base ragged records.deduplication records.texts seeding
        settings.base settings.conditions settings.deduplication
    """,
    "split_records": """
        records.documents records.evaluation records.splitting seeding settings.base settings.pools
    """,
    "train_tokenizer": """
        guards.checksums records.framing records.tokenizer settings.base settings.tokenizer
    """,
    "copy_tokenizer": """
        guards.checksums models.checkpoints models.family_fields models.family_table models.heads
        records.framing records.tokenizer
        settings.architecture settings.base
    """,
    "encode_records": """
        corpora.base guards.checksums ragged records.canaries records.copies records.deduplication
        records.encoding records.framing records.insertion records.texts records.tokenizer
        seeding settings.base settings.canaries settings.deduplication
    """,
    "draw_shadow": "records.evaluation records.shadows seeding",
    "find_vulnerable": """
        attacks.base catalogue evidence.table metrics.rates metrics.thresholds ragged
        records.pools records.streaming records.table records.window
        scoring.attacking scoring.needs scoring.vulnerability seeding
    """,
}
"""Cheap stages whose outputs trainings read: they make everything after them run again."""
CHOICE = "methods.base records.pools settings.objective training.choice"
COSTLY = {
    "train_model": f"{TRAINING} stages.train_model training.language_model",
    "train_student": f"""
        {TRAINING} {CHOICE} stages.train_student training.heldout training.student
        training.surgery
    """,
    "train_base": f"""
        {TRAINING} floors.kneser_ney metrics.rates records.packing records.public records.texts
        settings.bases stages.train_base training.base_model training.heldout
        training.language_model
    """,
    "finish_student": f"{ALL} {CHOICE} guards.sealed_json stages.finish_student",
    "take_epoch": """
        errors files guards.checksums guards.sealed_json machine.signals stages.base
        stages.take_epoch
    """,
    "undo_method": f"{MODEL} models.undoing stages.undo_method",
    "store_targets": f"{ALL} guards.locks stages.store_targets training.targets",
    "compute_evidence": f"""
        {ALL}
        guards.locks
        evidence.fused evidence.neighbours evidence.passes evidence.probing evidence.shards
        evidence.statistics evidence.table evidence.tempered evidence.views evidence.windows
        machine.fingerprint machine.leftovers machine.memory machine.precision machine.progress
        models.adapters models.finished models.quantisation
        ragged records.pools records.tokenizer_rules settings.evidence settings.finished
        stages.compute_evidence
    """,
    **{
        stage: f"errors files machine.signals stages.base stages.{stage} {others}"
        for stage, others in BEFORE_TRAINING.items()
    },
}
OUTPUT_MAP = "methods._output_map models.surgery._head models.surgery.output_map"
METHODS = {
    "bottleneck": "models.surgery._head models.surgery.bottleneck",
    "combination": "settings.problems",
    "kd": "",
    "no_teacher": "",
    "nonorm": "models.surgery.nonorm",
    "nonvulnerable": "",
    "public": "",
    "red_list": OUTPUT_MAP,
    "subset": "",
    "temperature": OUTPUT_MAP,
}
"""What a method's students depend on beside all that every student does."""


def closure(module: str) -> set[str]:
    return {name_of(file) for file in import_closure(PACKAGE, module)} - PACKAGES


@pytest.mark.parametrize("stage", COSTLY)
def test_a_costly_stage_depends_on_these_files_and_no_others(stage: str) -> None:
    assert closure(f"stages.{stage}") == set(COSTLY[stage].split())


def test_every_method_has_a_list() -> None:
    assert METHODS.keys() == set(catalogue.names("methods"))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_adds_these_files_to_those_of_every_student(method: str) -> None:
    own = closure(f"methods.{method}") - closure("stages.train_student")
    assert own == {f"methods.{method}", *METHODS[method].split()}
