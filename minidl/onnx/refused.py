"""What cannot be run, as an exception."""

from __future__ import annotations


class Refused(ValueError):
    """What minidl cannot run. attribute: of the operator, "" for the operator as it is; rule: what would be needed."""

    def __init__(self, attribute: str, rule: str) -> None:
        super().__init__(attribute, rule)
        self.attribute, self.rule = attribute, rule
