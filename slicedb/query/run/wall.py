"""Keep the process from growing further while a query does not heed its interrupt.

DuckDB looks for an interrupt between pieces of work, and one piece may take gigabytes. The system
is then told to refuse the process more memory: DuckDB gets none, and gives up as at its own limit.
"""

from __future__ import annotations

try:
    import resource
except ImportError:  # Windows has none
    resource = None  # type: ignore[assignment]

_SLACK = 32 << 20
"""Bytes that the process may still take, for all that is not the query."""
_DATA = 5
"""Place in `statm` of the pages that the process may write and shares with nobody."""


class Wall:
    """A limit on the memory of this process; the limit that was there before is put back.

    It holds for every thread, so it stands only while a query is over its memory already.
    """

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None

    def build(self, statm: bytes, page: int) -> None:
        """Let the process have little more than it has now.

        Args:
            statm: what the system says of its memory.
            page: bytes of a page.
        """
        if resource is None or self._before is not None:
            return
        words = statm.split()
        if len(words) <= _DATA:
            return
        before = resource.getrlimit(resource.RLIMIT_DATA)
        most = int(words[_DATA]) * page + _SLACK
        if any(limit != resource.RLIM_INFINITY and limit < most for limit in before):
            return
        self._before = before
        resource.setrlimit(resource.RLIMIT_DATA, (most, before[1]))

    def take_down(self) -> None:
        """Let the process have what it could have before."""
        if self._before is not None:
            resource.setrlimit(resource.RLIMIT_DATA, self._before)
            self._before = None
