"""Links work once, sessions have roles, and a read-only server has viewers alone."""

from __future__ import annotations

import pytest

from slicedb.errors import CheckError
from slicedb.web.access import Access


def test_a_link_opens_one_session_of_its_role() -> None:
    used: list[str] = []
    access = Access(on_use=used.append)
    token = access.link("viewer")
    secret = access.exchange(token)
    assert secret is not None and secret != token
    session = access.session(secret)
    assert session is not None and session.role == "viewer"
    assert access.exchange(token) is None and used == ["viewer"]
    assert access.session(token) is None and access.exchange(secret) is None


def test_a_read_only_server_has_viewers_alone() -> None:
    access = Access(read_only=True)
    session = access.session(access.exchange(access.link("editor")) or "")
    assert session is not None and session.role == "viewer"


def test_there_are_two_roles() -> None:
    with pytest.raises(CheckError, match=r"role 'owner'.*viewer, editor"):
        Access().link("owner")  # type: ignore[arg-type]


def test_unused_links_are_forgotten_in_time() -> None:
    access = Access()
    first = access.link()
    for _ in range(1001):
        access.link()
    assert access.exchange(first) is None
