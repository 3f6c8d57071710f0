"""Where the tables stand: the branch, its commit, and the versions that hold no change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Self

from slicedb.errors import DatabaseError

HEAD = "slicedb:head"
"""Where the metadata of the table of commits holds it."""


@dataclass(frozen=True)
class Head:
    """The present state, as the metadata of the table of commits records it."""

    branch: str = "main"
    """The current branch."""
    commit: str | None = None
    """The commit that the next one comes after."""
    branches: dict[str, str] = field(default_factory=dict)
    """The commit that each branch stands at."""
    clean: dict[str, int] = field(default_factory=dict)
    """The version of each table at the last commit or checkout."""
    going: str | None = None
    """The commit that a checkout or reset is on its way to."""

    @classmethod
    def read(cls, text: str | None) -> Self:
        """Return the head that was stored as JSON; None is that of a database without commits."""
        return cls() if text is None else cls(**json.loads(text))

    def to_json(self) -> str:
        """Return the head as it is stored."""
        return json.dumps(asdict(self))

    def at(self, commit: str, clean: Mapping[str, int] | None = None) -> Self:
        """Return the head with its branch standing at a commit.

        Args:
            commit: an id.
            clean: the version of each table there; None leaves them as they are.
        """
        branches = {**self.branches, self.branch: commit}
        versions = self.clean if clean is None else dict(clean)
        return replace(self, commit=commit, branches=branches, clean=versions)

    def check_whole(self) -> None:
        """Raise DatabaseError where a checkout was cut off: the tables are of two commits."""
        if self.going:
            raise DatabaseError(
                f"A checkout of commit {self.going} was cut off, or another process is at it: some "
                "tables are there and others are not.",
                f"`slicedb reset {self.going}` finishes it.",
            )
