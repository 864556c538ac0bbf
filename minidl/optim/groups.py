"""Parameter groups: own settings for the parameters whose names match a pattern."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from minidl.kernels import checks

SETTINGS = ("lr", "weight_decay")


class Groups:
    """Settings by pattern: {"*.bias": {"lr": 2.0, "weight_decay": 0.0}}.

    A pattern is matched against the whole name of a parameter, such as "3.body.0.weight", with *, ? and [...] as in
    file names. lr is a factor of the optimiser's rate, weight_decay stands in place of the optimiser's. Where several
    patterns match, the last one that has a setting decides it. Raises TypeError or ValueError that names `who` for
    anything else.
    """

    def __init__(self, who: str, groups: Mapping[str, Mapping[str, float]] | None) -> None:
        self.who = who
        self.groups: dict[str, dict[str, float]] = {}
        for pattern, settings in (
            {} if groups is None else self._mapping("groups", groups, '{"*.bias": {"lr": 2.0}}')
        ).items():
            checked = self.groups[pattern] = {}
            for name, value in self._mapping(f"groups[{pattern!r}]", settings, '{"lr": 2.0}').items():
                what = f"groups[{pattern!r}][{name!r}]"
                if name not in SETTINGS:
                    raise ValueError(f"{who}: {what} must be one of {', '.join(SETTINGS)}")
                checked[name] = checks.real(who, what, value, "at least 0", lambda v: v >= 0)

    def check(self, names: Iterable[str]) -> None:
        """Refuse a pattern that matches none of the names."""
        check_patterns(self.who, "groups", self.groups, names)

    def settings(self, name: str) -> dict[str, float]:
        """The settings of the parameter called `name`; those of no pattern are left out."""
        found: dict[str, float] = {}
        for pattern, settings in self.groups.items():
            if fnmatchcase(name, pattern):
                found |= settings
        return found

    def _mapping(self, name: str, value: Mapping, example: str) -> Mapping:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise TypeError(f"{self.who}: {name} must be a mapping such as {example}, got {value!r}")
        return value


def check_patterns(who: str, setting: str, patterns: Iterable[str], names: Iterable[str]) -> None:
    """Refuse a pattern of a setting that matches none of the names: nobody would see that it does nothing."""
    names = list(names)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(
                f"{who}: the pattern {pattern!r} of {setting} must match a parameter, got {', '.join(names)}"
            )
