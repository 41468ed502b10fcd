"""records: invented personal records from the package `faker`, for canaries and toy studies."""

import datetime
import string
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from distilleak.corpora.base import Passage
from distilleak.errors import DistilleakError
from distilleak.settings.base import Settings

BORN = (datetime.date(1935, 1, 1), datetime.date(2005, 12, 31))
"""Fixed dates: ages counted from today would give different records tomorrow."""

# Slots break each sentence into short runs of words, and sentences are combined at random. Records
# that shared long runs would be near copies of each other, and deduplication would remove them.
WHO = (
    "{name} was born on {birth} and is registered as {number}.",
    "Record {number} belongs to {name}, date of birth {birth}.",
    "File {number}: {name}, born {birth}.",
    "Our client {name} (born {birth}) holds account {number}.",
    "On {birth}, {name} was born; the case number is {number}.",
    "Patient {number} is {name}, whose birthday is {birth}.",
)
WHERE = (
    "The home address is {address}, as confirmed last spring.",
    "Letters go to {address} until further notice.",
    "Since moving house, the family lives at {address}.",
    "Deliveries are left at {address} with a neighbour.",
    "{name} can be visited at {address} in the evening.",
    "The lease for {address} runs for another year.",
)
HOW = (
    "Please call {phone} or write to {email} before noon.",
    "Questions are answered at {email}; the telephone is {phone}.",
    "In an emergency dial {phone}, otherwise mail {email} first.",
    "Reminders are sent to {email} and by text to {phone}.",
    "The number {phone} is private, {email} is for work.",
    "Reach the office through {email}, or ring {phone} twice.",
)


class Parameters(Settings):
    """How many records to invent, and where the people live."""

    count: int = Field(ge=1, le=10**8)
    """Number of records, all different."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """The same seed gives the same records with the same version of `faker`. It is independent of
    the study's seeds, which all draw their pools from one corpus."""
    locale: str = Field(default="en_US", min_length=1)
    """Where the people live, which determines names, addresses and telephone numbers; the sentences
    around them are English."""


def files(parameters: Parameters) -> list[str]:
    """None: everything is invented."""
    return []


def passages(parameters: Parameters) -> Iterator[Passage]:
    """`count` records of 25 to 60 words, each with a unique number.

    Raises:
        DistilleakError: the package `faker` is missing or does not know the locale.
    """
    fake = _fake(parameters)
    seen: set[str] = set()
    while len(seen) < parameters.count:
        number = fake.bothify("??-########", letters=string.ascii_uppercase)
        if number in seen:
            continue
        seen.add(number)
        yield Passage(_record(fake, number), source="", date="")


def _record(fake: Any, number: str) -> str:
    template = " ".join(fake.random_element(sentences) for sentences in (WHO, WHERE, HOW))
    born = fake.date_between_dates(*BORN)
    return template.format(
        name=fake.name(),
        birth=f"{born.day} {born:%B %Y}",
        number=number,
        address=", ".join(fake.address().splitlines()),
        phone=fake.phone_number(),
        # At example.org and the like, where nobody has an address.
        email=fake.ascii_safe_email(),
    )


def _fake(parameters: Parameters) -> Any:
    try:
        from faker import Faker
    except ImportError as error:
        raise DistilleakError(
            "corpus.source: records needs the package faker, which is not installed"
        ) from error
    try:
        fake = Faker(parameters.locale)
    except AttributeError as error:
        raise DistilleakError(
            f"corpus.locale: {parameters.locale!r} is not a locale of faker; "
            "use one such as en_US, de_DE or ja_JP"
        ) from error
    fake.seed_instance(parameters.seed)
    return fake
