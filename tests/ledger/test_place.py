import sys
from pathlib import Path

import pytest

from gatemill.core.errors import InvalidValue
from gatemill.ledger.place import Place, locate

URL = "postgresql://anna:s3cret@db.example:5433/gatemill?sslmode=require"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (None, "/data/gatemill.db"),
        ("", "/data/gatemill.db"),
        ("sqlite:///other.db", "/data/other.db"),
        ("sqlite:////srv/ledger.db", "/srv/ledger.db"),
    ],
)
def test_the_database_lies_in_the_data_directory_unless_the_url_says_otherwise(url, path):
    place = locate(Path("/data"), url)
    assert place == Place(path=Path(path))
    assert place.shown == f"sqlite:///{path}"


@pytest.mark.parametrize("url", [URL, "postgres://host/db"])
def test_a_postgres_server_is_taken_as_it_is(url):
    assert locate(Path("/data"), url) == Place(url=url)


@pytest.mark.parametrize("url", ["mysql://host/db", "gatemill.db", "sqlite:///", "s3cret"])
def test_another_kind_of_database_is_refused_by_the_name_of_the_option(url):
    with pytest.raises(InvalidValue, match=r"sqlite:///.*postgresql://") as refused:
        locate(Path("/data"), url)
    assert refused.value.param == "stores.database"
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, "postgresql://anna@db.example:5433/gatemill"),
        ("postgres://db.example/gatemill", "postgresql://db.example/gatemill"),
        ("postgresql://anna:s3/cret@host/db", "postgresql://anna@host/db"),
        ("postgresql://anna:s3@cret@host/db", "postgresql://anna@host/db"),
        ("postgresql://anna:s3?cret@host/db", "postgresql://…"),
        ("postgresql:///db?host=/run&password=s3@cret", "postgresql://…"),
        ("postgresql:///db?password=s3cret", "postgresql:///db"),
    ],
)
def test_the_address_is_shown_without_a_password(url, shown):
    assert Place(url=url).shown == shown


def test_a_driver_that_is_not_installed_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    monkeypatch.delitem(sys.modules, "gatemill.ledger.postgres", raising=False)
    import gatemill.ledger

    monkeypatch.delattr(gatemill.ledger, "postgres", raising=False)
    with pytest.raises(InvalidValue, match=r'pip install "gatemill\[postgres\]"') as refused:
        Place(url=URL).open(writes=True)
    assert refused.value.param == "stores.database"
