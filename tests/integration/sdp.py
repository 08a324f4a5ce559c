"""What a test wants to know of a session description."""

import re

TRANSPORT = re.compile(r"a=(candidate|end-of-candidates|ice-|fingerprint|setup|rtcp:|tls-id|group:BUNDLE)|[co]=")
"""Lines that belong to one leg (RFC 9429 section 5); BUNDLE is kept apart because it stands in no media section."""


def values(sdp: str, name: str) -> list[str]:
    """The values of every `a=NAME:VALUE` line."""
    return [line.partition(":")[2] for line in sdp.splitlines() if line.startswith(f"a={name}:")]


def secrets_of(sdp: str) -> set[str]:
    """The texts that lead to its author: credentials, fingerprints, candidates and their addresses with ports."""
    endpoints = {" ".join(candidate.split()[4:6]) for candidate in values(sdp, "candidate")}
    hashes = {value.split()[-1] for value in values(sdp, "fingerprint")}
    # A ufrag of four characters may well occur in the middle of something else, but not after its name.
    ufrags = {f"a=ice-ufrag:{ufrag}" for ufrag in values(sdp, "ice-ufrag")}
    return endpoints | hashes | ufrags | {*values(sdp, "candidate"), *values(sdp, "ice-pwd")}


def media_sections(sdp: str) -> list[list[str]]:
    """The media sections line by line, without what belongs to the transport and without the port of the m-line."""
    _, *sections = re.split(r"^(?=m=)", sdp, flags=re.MULTILINE)
    return [
        [re.sub(r"^(m=\w+) \d+", r"\1", line) for line in section.splitlines() if not TRANSPORT.match(line)]
        for section in sections
    ]


def without(sdp: str, *beginnings: str) -> str:
    """The description without the lines that begin so."""
    return "".join(line for line in sdp.splitlines(keepends=True) if not line.startswith(beginnings))
