"""What may be asked of an allocation, and what is refused."""

from typing import Any

import pytest

from relay.turn.allocate import check
from relay.turn.messages import Address
from relay.turn.refusal import Refusal
from tests.kit.turn import ALLOCATION

EVEN, ODD, IPV6 = ("192.0.2.1", 3478), ("192.0.2.1", 3479), ("2001:db8::1", 3478)


@pytest.mark.parametrize(
    ("attributes", "relayed"),
    [
        ({}, EVEN),
        ({}, IPV6),
        ({"DONT-FRAGMENT": None}, EVEN),
        ({"REQUESTED-ADDRESS-FAMILY": 1}, EVEN),
        ({"REQUESTED-ADDRESS-FAMILY": 2}, IPV6),
        ({"EVEN-PORT": False}, EVEN),
    ],
)
def test_a_supported_request_is_granted(attributes: dict[str, Any], relayed: Address) -> None:
    assert check(ALLOCATION | attributes, relayed) == {}


@pytest.mark.parametrize(
    ("attributes", "relayed", "code"),
    [
        ({"REQUESTED-TRANSPORT": 6 << 24}, EVEN, 442),
        ({"REQUESTED-TRANSPORT": 0}, EVEN, 442),
        ({"REQUESTED-ADDRESS-FAMILY": 2}, EVEN, 440),
        ({"REQUESTED-ADDRESS-FAMILY": 1}, IPV6, 440),
        ({"REQUESTED-ADDRESS-FAMILY": 7}, EVEN, 440),
        ({"EVEN-PORT": True}, EVEN, 508),
        ({"EVEN-PORT": False}, ODD, 508),
        ({"RESERVATION-TOKEN": bytes(8)}, EVEN, 508),
        ({"RESERVATION-TOKEN": bytes(8), "EVEN-PORT": False}, EVEN, 400),
        ({"RESERVATION-TOKEN": bytes(8), "REQUESTED-ADDRESS-FAMILY": 1}, EVEN, 400),
        ({"RESERVATION-TOKEN": bytes(8), "ADDITIONAL-ADDRESS-FAMILY": 2}, EVEN, 400),
        ({"ADDITIONAL-ADDRESS-FAMILY": 2, "REQUESTED-ADDRESS-FAMILY": 1}, EVEN, 400),
        ({"ADDITIONAL-ADDRESS-FAMILY": 1}, EVEN, 400),
        ({"ADDITIONAL-ADDRESS-FAMILY": 2, "EVEN-PORT": True}, EVEN, 400),
    ],
)
def test_an_unsupported_request_is_refused(attributes: dict[str, Any], relayed: Address, code: int) -> None:
    with pytest.raises(Refusal) as refused:
        check(ALLOCATION | attributes, relayed)
    assert refused.value.code == code


def test_a_request_without_a_transport_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        check({}, EVEN)
    assert refused.value.code == 400


def test_a_request_for_both_families_gets_one_and_names_the_missing_one() -> None:
    wanted = ALLOCATION | {"ADDITIONAL-ADDRESS-FAMILY": 2}
    assert check(wanted, EVEN)["ADDRESS-ERROR-CODE"][:2] == (2, 440)
    assert check(wanted, IPV6)["ADDRESS-ERROR-CODE"][:2] == (1, 440)
