from __future__ import annotations

import sqlite3

from sweeper.search.database import LIBPQ, _engine


def test_a_server_is_asked_before_each_use_of_a_connection_and_what_the_url_says_wins() -> None:
    url = "postgresql+psycopg://u@h/d"
    plain = _engine(url, sqlite3.Connection)
    assert plain["pool_pre_ping"] is True  # else the first call after a restart fails
    assert plain["connect_args"] == dict(LIBPQ)
    (first, *others) = LIBPQ
    said = _engine(f"{url}?{first}=3", sqlite3.Connection)
    assert said["connect_args"].keys() == {*others}
