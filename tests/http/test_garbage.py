"""What a client leaves behind in the whole relay, from the accepted connection to the database."""

import asyncio

import aiohttp

from tests.http.conftest import socket_of
from tests.kit.garbage import garbage_of
from tests.kit.wait import eventually


async def test_the_garbage_collector_need_not_look_for_clients_that_have_come_and_gone(http: aiohttp.ClientSession) -> None:
    async def client() -> None:
        before = len(asyncio.all_tasks())
        async with socket_of(http, "student_456"):
            pass
        await eventually(lambda: len(asyncio.all_tasks()) <= before, "the relay has done with the client")

    left = await garbage_of(client, 10)
    # The client itself is in this process too, and is not looked at.
    assert not [kind for kind in left if kind.startswith(("relay.", "aiohttp.web", "sqlalchemy."))], left
