"""Packages that only some commands need: which extra of mmedc brings a package that is not installed."""

import re
from importlib import metadata

NOT_FOR_USERS = ("dev", "docs")
"""Extras that only people who change mmedc install."""


def extra_of(module: str) -> str | None:
    """Return the extra with the package of `module` (`torch.nn`), the smallest if several have it; None if none has.

    What the extras contain is read from the metadata of the installed mmedc, so no second list can go stale.
    """
    package = module.partition(".")[0].lower().replace("_", "-")
    extras: dict[str, list[str]] = {}
    for line in metadata.requires("mmedc") or ():
        if found := re.match(r"([\w.-]+).*;.*extra == ['\"]([\w-]+)['\"]", line):
            extras.setdefault(found[2], []).append(found[1].lower().replace("_", "-"))
    having = [name for name, packages in extras.items() if package in packages and name not in NOT_FOR_USERS]
    return min(having, key=lambda name: (len(extras[name]), name), default=None)


def how_to_install(problem: ModuleNotFoundError) -> str | None:
    """Return what to install where a package of an extra is missing; None where no extra has it."""
    extra = extra_of(problem.name or "")
    return f"{problem.name} is not installed: pip install 'mmedc[{extra}]'" if extra else None
