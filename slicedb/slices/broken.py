"""A slice that cannot be asked or judged, kept apart so that the others can."""

from __future__ import annotations

from dataclasses import dataclass, field

from slicedb.errors import SliceDBError


@dataclass(frozen=True)
class BrokenSlice:
    """A slice, or the file of one, with what is wrong with it."""

    name: str
    """The slice's; of a file that cannot be read the file's."""
    message: str
    """The error in full, with the place in the text."""
    path: str = ""
    """The file, "" where there is none."""
    suite: str = ""
    """The folder of the file."""
    error: SliceDBError | None = field(default=None, repr=False, compare=False)

    @property
    def short(self) -> str:
        """The first line of the message."""
        return self.message.split("\n", 1)[0]


def unless_all(broken: list[BrokenSlice], n_sound: int) -> None:
    """Raise the first error where nothing is left that could be judged."""
    if broken and not n_sound and broken[0].error is not None:
        raise broken[0].error
