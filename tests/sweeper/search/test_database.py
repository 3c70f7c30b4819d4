from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.errors import SetupError
from sweeper.search import state_counts
from sweeper.search.database import LIBPQ, _engine, _remedy, open_storage


def test_a_server_is_asked_before_each_use_of_a_connection_and_what_the_url_says_wins() -> None:
    url = "postgresql+psycopg://u@h/d"
    plain = _engine(url, sqlite3.Connection)
    assert plain["pool_pre_ping"] is True  # else the first call after a restart fails
    assert plain["connect_args"] == dict(LIBPQ)
    (first, *others) = LIBPQ
    said = _engine(f"{url}?{first}=3", sqlite3.Connection)
    assert said["connect_args"].keys() == {*others}


def test_another_programs_tables_are_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "payroll.db"
    with closing(sqlite3.connect(file)) as made, made:
        made.execute("create table studies (employee text)")
    url = f"sqlite:///file:{file}?uri=true"  # as a server's database: no file that we look into ourselves
    for use in (open_storage, lambda url: state_counts(url, "one")):
        with pytest.raises(SetupError, match="has another program's tables: studies") as refused:
            use(url)
        assert "a database of its own" in refused.value.remedy
    with closing(sqlite3.connect(file)) as made:
        assert made.execute("select name from sqlite_master").fetchall() == [("studies",)]


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ('FATAL:  password authentication failed for user "me"', "check user and password in the URL"),
        ("connection failed: Connection refused", "check host and port in the URL, and that the server runs"),
        ('FATAL:  database "x" does not exist', "make the database (createdb), or correct its name in the URL"),
        ("something else", "give a SQLite path in a directory that exists"),
    ],
)
def test_a_remedy_is_of_what_the_driver_says(said: str, remedy: str) -> None:
    assert _remedy(said).startswith(remedy)
