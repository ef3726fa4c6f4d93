"""`topics`, `config` and `doctor`: what an installation stands on."""

from __future__ import annotations

import asyncio
from argparse import Namespace

from eventlog.provision import provision
from trackway.commands import run
from trackway.doctor import examine
from trackway.printing import print_json, print_rows, print_tree, say
from trackway.settings import Settings


def topics(settings: Settings, arguments: Namespace) -> int:
    """Compare the topics with the table, or make them; 1 where one is not as it must be."""
    findings = asyncio.run(provision(settings, arguments.apply))
    rows = [{"topic": one.topic, "state": one.level, "what": one.message} for one in findings]
    print_rows(rows, ("topic", "state", "what"), arguments.json)
    return int(any(one.level == "fail" for one in findings))


def check(settings: Settings, _: Namespace) -> int:
    """Say that the settings can be used: whoever gets here has read them."""
    count = len(settings.sources)
    workflows = len(settings.workflows)
    say(f"the settings can be used: {_counted(count, 'source')}, {_counted(workflows, 'workflow')}")
    return 0


def show(settings: Settings, arguments: Namespace) -> int:
    """Print the settings in force."""
    # SecretStr writes itself as stars; a store's URL may hold a password.
    values = settings.model_dump(mode="json", by_alias=True)
    for name in ("log", "store"):
        values[name] = without_password(values[name])
    if arguments.json:
        print_json(values)
    else:
        print_tree(values)
    return 0


def doctor(settings: Settings, arguments: Namespace) -> int:
    """Check everything this installation needs; 1 where something fails."""

    async def work() -> int:
        findings = await examine(settings)
        rows = [
            {"code": one.code, "state": one.level, "check": one.check, "what": one.message, "do": one.remedy}
            for one in findings
        ]
        print_rows(rows, ("code", "state", "check", "what"), arguments.json)
        if not arguments.json:
            for one in findings:
                if one.remedy:
                    say(f"{one.code}: {one.remedy}")
        return int(any(one.level == "fail" for one in findings))

    return run(work)


def without_password(url: str) -> str:
    """The URL with stars for its password."""
    scheme, separator, rest = url.partition("://")
    credentials, at, host = rest.rpartition("@")
    if not at:
        return url
    return f"{scheme}{separator}{credentials.partition(':')[0]}:**********@{host}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
