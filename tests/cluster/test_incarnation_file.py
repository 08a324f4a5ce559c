"""What a server that starts knows of the processes before it."""

from pathlib import Path

import pytest

from relay.cluster.alone import Alone
from relay.cluster.incarnation_file import KEPT, IncarnationFile
from relay.errors import Unavailable


class Counter:
    """Incarnations, without a database."""

    def __init__(self) -> None:
        self.latest = 0
        self.away = False

    async def next_incarnation(self) -> int:
        if self.away:
            raise Unavailable("the database is away")
        self.latest += 1
        return self.latest


def server(counter: Counter, path: Path | None) -> Alone:
    return Alone("here", counter, None if path is None else IncarnationFile(path))


async def killed(one: Alone) -> None:
    """As by `kill -9`: its lock is gone, its file is there."""
    await one.close(in_order=False)


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_a_server_succeeds_those_that_died_before_it(tmp_path: Path) -> None:
    counter, path = Counter(), tmp_path / "incarnation"
    for before in ([], [1], [1, 2]):
        one = server(counter, path)
        await one.start()
        assert sorted(one.predecessors) == before
        assert (one.me.name, one.me.incarnation) == ("here", len(before) + 1)
        await killed(one)


async def test_a_server_that_stops_in_order_leaves_nothing_behind(tmp_path: Path) -> None:
    one = server(Counter(), tmp_path / "incarnation")
    await one.start()
    await one.close(in_order=True)
    assert files_in(tmp_path) == []


async def test_a_server_that_starts_beside_another_one_succeeds_it_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    counter, path = Counter(), tmp_path / "incarnation"
    one, beside = server(counter, path), server(counter, path)
    await one.start()
    await beside.start()
    assert not beside.predecessors
    assert beside.me.incarnation > one.me.incarnation
    assert "is that of a server that runs" in caplog.text
    await beside.close(in_order=True)
    await killed(one)
    later = server(counter, path)
    await later.start()
    assert [*later.predecessors] == [one.me.incarnation], "what the other one left to its own devices is still there"
    await killed(later)


async def test_a_start_while_the_database_is_away_forgets_none_that_died(tmp_path: Path) -> None:
    counter, path = Counter(), tmp_path / "incarnation"
    one = server(counter, path)
    await one.start()
    await killed(one)
    counter.away = True
    failing = server(counter, path)
    with pytest.raises(Unavailable):
        await failing.start()
    await failing.close(in_order=False)
    counter.away = False
    later = server(counter, path)
    await later.start()
    assert [*later.predecessors] == [1]
    await killed(later)


async def test_servers_that_die_again_and_again_leave_a_small_file(tmp_path: Path) -> None:
    counter, path = Counter(), tmp_path / "incarnation"
    for _ in range(3 * KEPT):
        one = server(counter, path)
        await one.start()
        await killed(one)
    assert sorted(one.predecessors) == [*range(2 * KEPT, 3 * KEPT)]
    assert path.stat().st_size < 100


@pytest.mark.parametrize("content", ["", "nonsense\n", "-4 \x00", "7 none"])
async def test_a_file_that_makes_no_sense_names_no_predecessor_that_is_not_in_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "incarnation"
    path.write_text(content)
    one = server(Counter(), path)
    await one.start()
    assert [*one.predecessors] == ([7] if "7" in content else [])
    await killed(one)


async def test_a_server_starts_without_a_file_that_cannot_be_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = server(Counter(), tmp_path / "missing" / "incarnation")
    await one.start()
    assert not one.predecessors
    await one.close(in_order=True)
    assert caplog.text.count("cannot be used: No such file or directory") == 1
