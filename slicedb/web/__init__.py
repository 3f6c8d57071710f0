"""The local page: explore, name, judge and clean in a browser; `slicedb app`, `Database.app`.

Nothing here decides anything: pages call the verbs of `Database`, and charts come from `show/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from slicedb.errors import PluginError

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.web.serve import Server

__all__ = ["server"]


def server(
    db: Database,
    *,
    port: int | None = None,
    host: str = "127.0.0.1",
    read_only: bool = False,
    allow_host: Sequence[str] = (),
    root_path: str = "",
) -> Server:
    """Return a server of a database that does not run yet; see `Database.app`.

    Raises:
        PluginError: the packages that it needs are missing.
        CheckError: the port is taken, the address is none of this machine, or a name is none.
    """
    missing = [name for name in ("fastapi", "jinja2", "uvicorn") if find_spec(name) is None]
    if missing:
        hint = "`pip install 'slicedb[app]'` brings what it needs."
        raise PluginError(f"The page needs {', '.join(missing)}, not installed here.", hint)
    from slicedb.web.serve import Server

    return Server(
        db,
        port=port,
        host=host,
        read_only=read_only,
        allow_host=allow_host,
        root_path=root_path,
    )
