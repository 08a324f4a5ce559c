"""What is known of the path to a party, and what is counted of all of them."""

import pytest

from relay.media.api import Address, DtlsRole, Route, TransportParameters
from relay.signaling.calls.live import PartyMedia
from relay.signaling.calls.paths import RTT_BOUNDS, Paths, RoundTrips
from relay.signaling.ports import UNKNOWN_PATH, MediaPath
from relay.signaling.sessions.addresses import Addresses
from relay.signaling.sessions.session import Session

HOME, OFFICE, GONE = ("192.0.2.1", 5000), ("127.64.0.1", 5001), ("127.64.0.2", 5002)
UDP, TLS = Route("udp", "ipv6"), Route("turn-tls", "ipv4")
ROUTES: dict[Address, Route] = {HOME: UDP, OFFICE: TLS}


@pytest.fixture
def paths() -> Paths:
    return Paths(ROUTES.get)


@pytest.fixture
def media() -> PartyMedia:
    return new_media()


def new_session() -> Session:
    return Session("one", TransportParameters("ufrag", "pwd", (), DtlsRole.ACTPASS), Addresses())


def new_media() -> PartyMedia:
    return PartyMedia(new_session())


def test_nothing_is_known_of_a_party_whose_media_never_came(media: PartyMedia) -> None:
    assert media.path == UNKNOWN_PATH == MediaPath(None, None)


def test_the_route_is_known_at_once_and_the_round_trip_when_it_was_measured(paths: Paths, media: PartyMedia) -> None:
    assert paths.seen(media, HOME) == MediaPath(UDP, None)
    assert paths.seen(media, HOME, 0.02) == MediaPath(UDP, 0.02)
    assert paths.seen(media, HOME, None) == media.path == MediaPath(UDP, 0.02)


def test_a_session_is_counted_when_it_is_connected_and_when_it_moves_and_not_in_between(paths: Paths, media: PartyMedia) -> None:
    for remote in (HOME, HOME, OFFICE, OFFICE, HOME):
        paths.seen(media, remote)
    assert paths.connected == {UDP: 2, TLS: 1}
    paths.seen(new_media(), OFFICE)
    assert paths.connected == {UDP: 2, TLS: 2}


def test_what_was_known_stays_until_something_newer_is_known(paths: Paths, media: PartyMedia) -> None:
    paths.seen(media, OFFICE, 0.1)
    for remote in (GONE, None):
        assert paths.seen(media, remote) == MediaPath(TLS, 0.1)
    assert paths.connected == {TLS: 1}


def test_a_new_session_of_the_same_party_is_counted_anew_and_until_it_is_up_the_old_path_stays(
    paths: Paths, media: PartyMedia
) -> None:
    paths.seen(media, HOME, 0.1)
    media.session = new_session()
    assert media.path == MediaPath(UDP, 0.1)
    paths.seen(media, HOME)
    assert paths.connected == {UDP: 2}


def test_routes_stay_unknown_without_a_source_for_them(media: PartyMedia) -> None:
    paths = Paths(None)
    assert paths.seen(media, HOME, 0.02) == MediaPath(None, 0.02)
    assert (paths.connected, paths.round_trips) == ({}, {})


def test_round_trips_are_counted_by_route_and_by_how_long_they_are(paths: Paths, media: PartyMedia) -> None:
    for rtt in (0.0, RTT_BOUNDS[0], 0.12, 9.0):
        paths.seen(media, HOME, rtt)
    paths.seen(media, OFFICE, 0.3)
    assert paths.round_trips[UDP].counts == [2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    assert paths.round_trips[UDP].total == pytest.approx(9.125)
    assert sum(paths.round_trips[TLS].counts) == 1


def test_a_round_trip_belongs_to_the_first_class_that_it_is_not_longer_than() -> None:
    trips = RoundTrips()
    for bound in RTT_BOUNDS:
        trips.add(bound)
    assert trips.counts == [1] * len(RTT_BOUNDS) + [0]
