"""What cannot be run, as an exception."""

from __future__ import annotations

MISFITS = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What the reading of an operator may raise where its inputs and attributes are not what it takes."""


class Refused(ValueError):
    """What minidl cannot run. attribute: of the operator, "" for the operator as it is; rule: what would be needed."""

    def __init__(self, attribute: str, rule: str) -> None:
        super().__init__(attribute, rule)
        self.attribute, self.rule = attribute, rule


def refused(error: Exception) -> Refused:
    """Any of `MISFITS` as what cannot be run."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, MemoryError):
        return Refused("", f"it takes more memory than there is {error}".rstrip())
    if type(error) in (TypeError, ValueError):
        return Refused("", str(error))
    return Refused("", f"its inputs and attributes are not what it takes: {error}")
