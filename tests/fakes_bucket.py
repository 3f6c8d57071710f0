"""A bucket on this machine: moto's server, which answers as S3 does."""

from __future__ import annotations

import contextlib
import logging
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from slicedb.sources import client


@dataclass(frozen=True)
class Bucket:
    """One bucket, "s3://<name>"."""

    endpoint: str
    name: str

    @property
    def uri(self) -> str:
        """Its address."""
        return f"s3://{self.name}"

    def put(self, key: str, data: bytes) -> None:
        """Write an object."""
        import obstore

        obstore.put(client.client(self.uri), key, data)

    def delete(self, *keys: str) -> None:
        """Remove objects."""
        import obstore

        obstore.delete(client.client(self.uri), list(keys))

    def put_tree(self, folder: Path, below: str = "") -> None:
        """Write the files of a folder."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                name = file.relative_to(folder).as_posix()
                self.put(f"{below}/{name}" if below else name, file.read_bytes())


@contextlib.contextmanager
def serve() -> Iterator[str]:
    """Start the server, and yield its address."""
    server = pytest.importorskip("moto.server", reason="needs moto[server]")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    try:
        yield f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
    finally:
        running.stop()


def create(endpoint: str, name: str) -> Bucket:
    """Make a bucket."""
    request = urllib.request.Request(f"{endpoint}/{name}", method="PUT")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
    return Bucket(endpoint, name)
