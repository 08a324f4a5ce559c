"""The private names of aiortc and pylibsrtp that are used exist, and one module of the relay and one of the client use them."""

import ast
import functools
import importlib
import inspect
from pathlib import Path

import aiortc.rtcdtlstransport
import pylibsrtp._binding
from aiortc import RTCCertificate
from aiortc.rtcdtlstransport import RTCDtlsTransport
from pylibsrtp import Session

import relay as package
from relay.client import bare
from relay.media.net import dtls_srtp
from tests.kit.sources import parsed

OF_CLASSES: dict[type, list[str]] = {
    RTCCertificate: ["_create_ssl_context"],
    RTCDtlsTransport: ["_set_role", "_set_state", "_register_data_receiver"],
}
OF_INSTANCES: dict[type, list[str]] = {
    RTCDtlsTransport: ["_srtp_profiles", "_state", "_ssl", "_task", "_rx_srtp", "_tx_srtp"],
    Session: ["_srtp"],
}
OF_MODULES = {
    aiortc.rtcdtlstransport: ["SRTP_AEAD_AES_128_GCM", "SRTP_AES128_CM_SHA1_80", "State", "RTCDtlsTransport"],
    pylibsrtp._binding: ["ffi", "lib", "__file__"],
}
OF_LIB = ["srtp_protect", "srtp_unprotect", "srtp_protect_rtcp", "srtp_unprotect_rtcp", "srtp_remove_stream"]
OF_LIBRARY = ["srtp_get_stream_roc", "srtp_set_stream_roc"]

FOREIGN = ("aiortc", "pylibsrtp")


def private_names(tree: ast.AST) -> set[str]:
    """`_x` of whatever is not `self` or `cls`."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and ast.unparse(node.value) not in ("self", "cls")
    }


def test_every_private_name_that_is_used_exists() -> None:
    for module, names in OF_MODULES.items():
        assert [name for name in names if not hasattr(module, name)] == []
    for kind, names in OF_CLASSES.items():
        assert [name for name in names if not callable(getattr(kind, name, None))] == []
    for kind, names in OF_INSTANCES.items():
        source = inspect.getsource(kind)
        assert [name for name in names if f"self.{name}" not in source] == []
    assert [name for name in OF_LIB if not callable(getattr(pylibsrtp._binding.lib, name, None))] == []
    assert [name for name in OF_LIBRARY if not hasattr(dtls_srtp._counters_lib, name)] == []
    assert "._recv()" in inspect.getsource(RTCDtlsTransport)
    assert "._send(" in inspect.getsource(RTCDtlsTransport)
    assert "._handle_data(" in inspect.getsource(RTCDtlsTransport)


def test_no_private_name_is_used_that_the_test_above_does_not_know() -> None:
    used = private_names(parsed(Path(dtls_srtp.__file__)))
    known = {name for group in (OF_CLASSES, OF_INSTANCES) for names in group.values() for name in names}
    assert used == known
    assert private_names(parsed(Path(bare.__file__))) <= known


@functools.cache
def modules() -> tuple[Path, ...]:
    return tuple(sorted(Path(package.__file__).parent.rglob("*.py")))


def test_only_the_modules_of_dtls_touch_private_names_of_aiortc_and_pylibsrtp() -> None:
    known = {name for group in (OF_CLASSES, OF_INSTANCES) for names in group.values() for name in names}
    for path in modules():
        if path.name in ("dtls_srtp.py", "bare.py"):
            continue
        tree = parsed(path)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FOREIGN:
                private = [part for part in (node.module or "").split(".") if part.startswith("_")]
                assert not private + [name.name for name in node.names if name.name.startswith("_")], path
            if isinstance(node, ast.Import):
                assert not [one.name for one in node.names if one.name.split(".")[0] == "pylibsrtp"], path
        if any(isinstance(node, ast.ImportFrom) and (node.module or "").startswith(FOREIGN) for node in ast.walk(tree)):
            assert not private_names(tree) & (known - {"_state", "_task"}), path
    assert importlib.import_module("relay.media.net.dtls_srtp") is dtls_srtp
