"""Copy the tokenizer of pretrained models; all models of a pair must have the same one.

Or that of bases of the study, before they are trained.
"""

import argparse
import logging
from collections.abc import Sequence
from typing import Any

from distilleak.errors import DistilleakError
from distilleak.files import atomic
from distilleak.guards import checksums
from distilleak.models import checkpoints
from distilleak.records import tokenizer as tokenization
from distilleak.settings.architecture import CheckpointSettings
from distilleak.stages import base

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the stage.

    Raises:
        DistilleakError: a model has no fast tokenizer, or one without a token that it needs, or two
            have different ones.
    """
    arguments = _parser().parse_args(argv)
    if arguments.ready is not None:
        with atomic(arguments.output) as temporary:
            temporary.mkdir()
            tokenization.copy_tokenizer(arguments.ready, temporary)
            checksums.seal(temporary)
        return
    found = {
        checkpoints.name(settings): checkpoints.tokenizer(settings)
        for settings in arguments.checkpoints
    }
    for settings in arguments.checkpoints:
        _check_needed(settings, found[checkpoints.name(settings)])
    (first, tokenizer), *others = found.items()
    for name, other in others:
        if tokenization.rules(other) != tokenization.rules(tokenizer):
            raise DistilleakError(
                f"{first} and {name} have different tokenizers ({len(tokenizer.get_vocab())} and "
                f"{len(other.get_vocab())} tokens, or other rules to cut a text into them); "
                "teacher, student and reference of a pair must share one, else the student cannot "
                "learn the teacher's distribution"
            )
    tokenization.save_pretrained(tokenizer, arguments.output)
    log.info("tokenizer of %s: %d tokens", first, len(tokenizer.get_vocab()))


def _check_needed(settings: CheckpointSettings, tokenizer: Any) -> None:
    """Check that a model's tokenizer has the special tokens that the model reads.

    Raises:
        DistilleakError: it lacks one; names what the user gave.
    """
    kind = checkpoints.kind(settings)
    for names in tokenization.NEEDED[kind]:
        if all(getattr(tokenizer, name) is None for name in names):
            shown = f"{checkpoints.name(settings)}: its tokenizer_config.json"
            raise tokenization.lacking(shown, names, kind)


def _parser() -> argparse.ArgumentParser:
    parser = base.parser(__name__, __doc__)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--ready", metavar="DIRECTORY", help="tokenizer directory to copy")
    given.add_argument(
        "--checkpoints",
        type=base.settings_argument(list[CheckpointSettings]),
        help="JSON: list of pretrained models, the first of which gives its tokenizer",
    )
    parser.add_argument("--output", required=True, help="tokenizer directory to write")
    return parser
