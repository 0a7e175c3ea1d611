"""The exceptions that a user is meant to read, and the one that costs a single clip."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from flowkeeper.errors import UserError

__all__ = ["Faults", "LostClip", "UserError", "row_faults"]

_SHOWN = 20  # sentences on one file
_ALIKE = 5  # sentences that differ in what they quote alone; more are told by the first


class Faults(UserError):
    """All that is wrong with one thing: a sentence each; the message is the first, and how many follow."""

    def __init__(self, sentences: Sequence[str]) -> None:
        more = len(sentences) - 1
        super().__init__(sentences[0] + (f" (And {more} more.)" if more else ""))
        self.sentences = list(sentences)

    @staticmethod
    def of(error: UserError) -> list[str]:
        """The sentences of any error."""
        return error.sentences if isinstance(error, Faults) else [str(error)]


class LostClip(Exception):
    """A clip that cannot be used: `status` as in a manifest, and the reason. It is counted; the others go on."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


def row_faults(where: object, wrong: Iterable[tuple[int, str]]) -> list[str]:
    """Sentences on the rows of a table: what is wrong in the same way with many is said once, and counted.

    wrong: (number of the row, what is wrong with it).
    """
    rows: dict[str, list[int]] = {}
    told_first: dict[str, str] = {}
    wrong = list(wrong)
    alike = Counter(_kind(told) for told in {told for _, told in wrong})
    for number, told in wrong:
        key = _kind(told) if alike[_kind(told)] > _ALIKE else told
        rows.setdefault(key, []).append(number)
        told_first.setdefault(key, told)
    sentences = [f"{where}, row {numbers[0]}{_further(numbers)}: {told_first[key]}" for key, numbers in rows.items()]
    more = len(sentences) - _SHOWN
    return sentences if more < 1 else [*sentences[:_SHOWN], f"{where}: {more} more rows are wrong in other ways."]


def _kind(told: str) -> str:
    """A sentence without what it quotes."""
    return re.sub(r"'(?:[^'\\]|\\.)*'", "''", told)


def _further(numbers: Sequence[int]) -> str:
    return f" (and {len(numbers) - 1} more, to row {numbers[-1]})" if len(numbers) > 1 else ""
