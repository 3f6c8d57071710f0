"""Files and object stores outside the database: the only door to them.

A `Location` is a folder or a file, here or in a bucket; `read` gives the bytes behind an address.
"""

from __future__ import annotations

from slicedb.sources.address import address, is_remote
from slicedb.sources.client import all_settings, credentials, take_credentials, use
from slicedb.sources.entry import NOT_UTF8, Entry, Kind, is_utf8
from slicedb.sources.failure import unreachable
from slicedb.sources.files import Files, files_of
from slicedb.sources.local import path_of, read_regular
from slicedb.sources.location import Location
from slicedb.sources.pattern import is_pattern, matching
from slicedb.sources.reading import fetch, fetch_starts, read, read_or_empty, versions
from slicedb.sources.remote import Listing, covering, forget, listed, stand_in

__all__ = [
    "NOT_UTF8",
    "Entry",
    "Files",
    "Kind",
    "Listing",
    "Location",
    "address",
    "all_settings",
    "covering",
    "credentials",
    "fetch",
    "fetch_starts",
    "files_of",
    "forget",
    "is_pattern",
    "is_remote",
    "is_utf8",
    "listed",
    "matching",
    "path_of",
    "read",
    "read_or_empty",
    "read_regular",
    "stand_in",
    "take_credentials",
    "unreachable",
    "use",
    "versions",
]
