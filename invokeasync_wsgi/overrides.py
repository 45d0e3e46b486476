"""What clients have set of a function through the API, over what its application declares.

An `Overrides` is a value: each call that changes something makes a new one of it, and stores keep
it as one JSON text, so that a change is there as a whole or not at all. What it means for the
function, `functions.Function.overlaid` says.

Pure: texts and values in, values out.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from . import names

#: Under which a function's own policy and revision stand among those of its qualifiers.
UNQUALIFIED = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventInvokeConfig:
    """How the events of one qualifier are retried, and what follows. ``None``: nothing is said."""

    maximum_retry_attempts: int | None = None
    maximum_event_age_s: int | None = None
    #: As `targets` names them.
    on_success: str | None = None
    on_failure: str | None = None
    #: In seconds since the epoch.
    modified_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedVersion:
    """What a function was when a version of it was published."""

    #: An import string ``package.module:name``.
    handler: str
    description: str
    timeout_s: float
    memory_limit_in_mb: int
    runtime: str
    #: As `targets` names it.
    dead_letter: str | None
    #: In seconds since the epoch.
    published_at: float

    def is_same(self, other: PublishedVersion) -> bool:
        """Whether publishing ``other`` would change nothing; descriptions do not count."""
        return self == replace(other, description=self.description, published_at=self.published_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAlias:
    """An alias as it was created or updated."""

    version: str
    description: str = ""
    #: The other version and its share: at most one entry.
    weights: Mapping[str, float] = field(default_factory=dict)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Those of the versions that it is for."""
        return (self.version, *self.weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What clients have set of one function. Empty: nothing."""

    reserved_concurrency: int | None = None
    recursive_loop: str | None = None
    #: By qualifier: ``$LATEST``, a version, an alias.
    event_invoke_configs: Mapping[str, EventInvokeConfig] = field(default_factory=dict)
    #: By number.
    versions: Mapping[str, PublishedVersion] = field(default_factory=dict)
    #: By name.
    aliases: Mapping[str, SetAlias] = field(default_factory=dict)
    #: Statements of resource-based policies, by qualifier or `UNQUALIFIED`, then by their Sid.
    statements: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    #: Changed with each change of a function, version or alias or of its policy; by qualifier or
    #: `UNQUALIFIED`.
    stamps: Mapping[str, str] = field(default_factory=dict)

    @property
    def delivers(self) -> bool:
        """Whether anything of it names a destination or a dead letter."""
        return any(
            config.on_success or config.on_failure for config in self.event_invoke_configs.values()
        ) or any(version.dead_letter for version in self.versions.values())

    def next_number(self, known: Iterable[str]) -> str:
        """The number of the version that is published next.

        No number is used twice, as something may be set for one whose version is gone.

        Args:
            known: the numbers of the versions that there are; ``$LATEST`` may be among them.
        """
        spoken_of = {
            *known,
            *self.versions,
            *self.event_invoke_configs,
            *self.statements,
            *self.stamps,
            *(number for alias in self.aliases.values() for number in alias.numbers),
        }
        return str(max((int(each) for each in spoken_of if names.is_version(each)), default=0) + 1)

    def stamped(self, qualifier: str, **changes: Any) -> Overrides:
        """A copy with other fields, and a new revision of what the qualifier means."""
        stamps = {**self.stamps, qualifier: str(uuid.uuid4())}
        return replace(self, stamps=stamps, **changes)

    def without(self, qualifier: str) -> Overrides:
        """A copy without what was set for a qualifier that is no more."""
        return replace(
            self,
            event_invoke_configs=dropped(self.event_invoke_configs, qualifier),
            statements=dropped(self.statements, qualifier),
            stamps=dropped(self.stamps, qualifier),
        )

    def to_json(self) -> str:
        """As stores keep it, in ASCII."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Overrides:
        """What `to_json` wrote, by this release or an older one.

        A member that is not known is an error: a release that adds one adds a step to
        `store.database.MIGRATIONS`, so that older ones refuse the file as a whole.
        """
        members = json.loads(text)
        for name, kind in _KINDS.items():
            given = members.get(name, {})
            members[name] = {key: kind(**value) for key, value in given.items()}
        overrides = cls(**members)
        if type(overrides.reserved_concurrency) not in (int, type(None)):
            raise TypeError("reserved_concurrency must be a whole number")
        return overrides


_KINDS: Mapping[str, type] = {
    "event_invoke_configs": EventInvokeConfig,
    "versions": PublishedVersion,
    "aliases": SetAlias,
}

#: Nothing set.
NOTHING_SET = Overrides()

_V = TypeVar("_V")


def dropped(mapping: Mapping[str, _V], key: str) -> dict[str, _V]:
    """A copy without a key."""
    return {each: value for each, value in mapping.items() if each != key}
