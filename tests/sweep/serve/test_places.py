import asyncio
import threading

import pytest

from sweep.errors import QueryRefusedError, SystemLimitError
from sweep.serve.places import Places


def test_an_answer_and_an_error_come_back():
    async def ask():
        places = Places(1)
        assert await places.answer(lambda: 3, limit_s=5) == 3
        with pytest.raises(ZeroDivisionError):
            await places.answer(lambda: 1 / 0, limit_s=5)
        assert places.taken == 0

    asyncio.run(ask())


def test_what_takes_too_long_is_left_but_keeps_its_place(monkeypatch):
    monkeypatch.setattr("sweep.serve.places._GRACE_S", 0.0)
    monkeypatch.setattr("sweep.serve.places._PATIENCE_S", 0.05)
    end = threading.Event()

    async def ask():
        places = Places(1)
        with pytest.raises(QueryRefusedError, match=r"it ran for more than 0\.05 seconds"):
            await places.answer(end.wait, limit_s=0.05)
        assert places.taken == 1
        with pytest.raises(QueryRefusedError, match="1 questions are being answered, and no more"):
            await places.answer(lambda: 1, limit_s=5)
        end.set()
        monkeypatch.setattr("sweep.serve.places._PATIENCE_S", 5.0)
        assert await places.answer(lambda: 2, limit_s=5) == 2

    asyncio.run(ask())


def test_a_thread_that_the_system_refuses_gives_its_place_back(monkeypatch):
    class Refused(threading.Thread):
        def start(self):
            raise RuntimeError("can't start new thread")

    async def ask():
        places = Places(1)
        monkeypatch.setattr("sweep.serve.places.threading.Thread", Refused)
        with pytest.raises(SystemLimitError, match="No thread could be started: can't start new"):
            await places.answer(lambda: 1, limit_s=5)
        monkeypatch.undo()
        assert await places.answer(lambda: 1, limit_s=5) == 1

    asyncio.run(ask())
