"""What a process elsewhere is told: addresses, keys that nobody prints, and the version."""

from __future__ import annotations

import os
import pickle
import socket
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest

import slicedb
from slicedb.errors import OptionError
from slicedb.scale import cluster
from slicedb.scale.cluster import Actor
from slicedb.scale.plan import crew_of
from slicedb.scale.station import Address, Start
from slicedb.sources import credentials, take_credentials, use
from slicedb.store.shares import Place


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No credentials at all."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return monkeypatch


def test_keys_of_the_environment_and_of_a_profile_travel_and_files_do_not(
    nobody: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert credentials() == {}
    text = "[default]\naws_access_key_id = id1\naws_secret_access_key = secret1\n"
    (tmp_path / "credentials").write_text(text)
    both = {"AWS_ACCESS_KEY_ID": "id1", "AWS_SECRET_ACCESS_KEY": "secret1"}
    assert credentials() == both
    nobody.setenv("AZURE_STORAGE_ACCOUNT_KEY", "azure")
    nobody.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/home/me/key.json")
    nobody.setenv("AWS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
    assert credentials() == {**both, "AZURE_STORAGE_ACCOUNT_KEY": "azure"}


def test_a_node_that_has_keys_of_its_own_keeps_them_service_by_service(
    nobody: pytest.MonkeyPatch,
) -> None:
    nobody.setenv("AWS_ACCESS_KEY_ID", "mine")
    nobody.setenv("AZURE_REGION", "a place is no key")
    nobody.setenv("AZURE_STORAGE_ACCOUNT_KEY", "")
    nobody.delenv("AZURE_STORAGE_ACCOUNT_KEY")
    given = {"AWS_ACCESS_KEY_ID": "theirs", "AWS_SESSION_TOKEN": "t", "AZURE_CLIENT_ID": "a"}
    nobody.setenv("AZURE_CLIENT_ID", "")  # so that it is taken away again after the test
    nobody.delenv("AZURE_CLIENT_ID")
    take_credentials(given)
    assert os.environ["AWS_ACCESS_KEY_ID"] == "mine" and "AWS_SESSION_TOKEN" not in os.environ
    assert os.environ["AZURE_CLIENT_ID"] == "a"


def test_no_secret_is_in_what_is_printed_of_a_start(nobody: pytest.MonkeyPatch) -> None:
    nobody.setenv("AWS_SECRET_ACCESS_KEY", "hush1")
    use("s3://secret-place", {"aws_secret_access_key": "hush2", "region": "eu-west-1"})
    shown = repr((Start.at(Place()), Address("s3://secret-place/x", {"token": "hush3"})))
    assert "hush" not in shown and "s3://secret-place/x" in shown


def test_a_node_with_another_version_is_refused_before_anything_is_read() -> None:
    actor = Actor(b"what only another version can read", "counter", "0.0.1")
    (row,) = actor(pa.table({"key": [1]})).to_pylist()
    error = pickle.loads(row["tally"])
    assert error.message.startswith(f"SliceDB {slicedb.__version__} is installed on '")
    assert error.message.endswith("and 0.0.1 where the command runs.")


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(
        OptionError, match=r"Ray is not installed\. Hint: pip install 'slicedb\[ray\]'"
    ):
        crew_of("ray")


def test_what_listens_at_an_address_and_is_no_ray_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            line, _ = listening.accept()
            with line:
                line.recv(100)
                line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(OptionError, match="what listens there is no Ray"):
            cluster._refuse_unreachable(address)
