"""Show the page inside a notebook: through Jupyter's proxy where there is one, else as a link."""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from slicedb.show import html

_HEIGHT = 760
"""Pixels of the frame."""


def is_kernel() -> bool:
    """Return whether this process is a notebook's kernel, whose outputs may be HTML."""
    module = sys.modules.get("IPython")
    shell = None if module is None else module.get_ipython()
    return getattr(shell, "kernel", None) is not None


def proxied() -> str:
    """Return the path under which Jupyter's proxy shows a port, with {port} for it; empty if none.

    A JupyterHub says where a reader's own server is, and a Jupyter server by itself in a file of
    its runtime folder. `jupyter_server_proxy` has to be installed beside either, which only shows
    where the kernel shares its packages; of a hub it is taken for granted.
    """
    if not is_kernel():
        return ""
    base = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    if not base and find_spec("jupyter_server_proxy") is not None:
        base = _base_of(os.environ.get("JPY_PARENT_PID", ""))
    return f"{base.rstrip('/')}/proxy/{{port}}" if base else ""


def _base_of(process: str) -> str | None:
    """Return the base of the addresses of a running Jupyter server, None where none is known."""
    from jupyter_core.paths import jupyter_runtime_dir

    for kind in ("jpserver", "nbserver"):
        try:
            about = json.loads(
                Path(jupyter_runtime_dir(), f"{kind}-{process}.json").read_text(encoding="utf-8")
            )
        except (OSError, ValueError):
            continue
        if isinstance(about, dict) and isinstance(about.get("base_url"), str):
            return about["base_url"] or "/"
    return None


def shown(database: str, address: str, link: str, frame: str) -> str:
    """Return what a cell shows.

    Args:
        database: its path.
        address: of the page.
        link: opens it once.
        frame: the path of a link through Jupyter's proxy, or empty.
    """
    title = f"SliceDB: {database}"
    to = frame or link
    said = html.element("a", "Open in a tab" if frame else address, href=to, target="_blank")
    note = html.element("p", html.Html(f"{html.escape(title)} · {said} (the link works once)"))
    if not frame:
        return note
    inside = html.element("iframe", "", src=frame, title=title, width="100%", height=_HEIGHT)
    return f"{inside}{note}"
