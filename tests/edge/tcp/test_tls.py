"""The certificate's files, and what becomes of connections when they change."""

import errno
import logging
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from relay.edge.counters import EdgeCounters
from relay.edge.tcp.tls import CertificateFiles
from relay.errors import ConfigurationError
from tests.edge.kit import REQUEST, RunningEdge, common_name, limited, trusting, write_certificate
from tests.kit.wait import eventually


def names_of(files: CertificateFiles) -> str:
    """Whom the certificate in force is for, read by shaking hands in memory."""
    import ssl

    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting().wrap_bio(to_client, to_server)
    server = files.context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for one in (client, server):
            try:
                one.do_handshake()
            except ssl.SSLWantReadError:
                continue
    der = client.getpeercert(binary_form=True)
    assert der is not None
    return common_name(der)


def test_a_changed_certificate_is_loaded(tmp_path: Path) -> None:
    files = CertificateFiles(*write_certificate(tmp_path, "first"), EdgeCounters())
    files.check()
    assert names_of(files) == "first"
    write_certificate(tmp_path, "second")
    files.check()
    assert names_of(files) == "second"


def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As certbot and Kubernetes put new certificates in place."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        write_certificate(tmp_path / name, name)
    link = tmp_path / "live"
    link.symlink_to(tmp_path / "old")
    files = CertificateFiles(str(link / "certificate.pem"), str(link / "key.pem"), EdgeCounters())
    link.unlink()
    files.check()
    assert names_of(files) == "old"
    link.symlink_to(tmp_path / "new")
    files.check()
    assert names_of(files) == "new"


@pytest.mark.parametrize("broken", ["certificate.pem", "key.pem"])
def test_what_cannot_be_used_leaves_the_old_one_in_force_and_is_said_once(
    tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    counters = EdgeCounters()
    files = CertificateFiles(*write_certificate(tmp_path, "first"), counters)
    (tmp_path / broken).write_text("not in PEM")
    files.check()
    files.check()
    assert names_of(files) == "first"
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert (counters["certificates_refused"], counters["certificates_loaded"]) == (1, 1)
    write_certificate(tmp_path, "third")
    files.check()
    assert names_of(files) == "third"


def test_a_key_that_arrives_after_its_certificate_is_waited_for(tmp_path: Path) -> None:
    files = CertificateFiles(*write_certificate(tmp_path, "first"), EdgeCounters())
    (tmp_path / "later").mkdir()
    certificate, key = write_certificate(tmp_path / "later", "second")
    Path(certificate).rename(tmp_path / "certificate.pem")
    files.check()
    files.check()
    assert names_of(files) == "first"
    Path(key).rename(tmp_path / "key.pem")
    files.check()
    assert names_of(files) == "second"


@pytest.mark.parametrize("missing", ["certificate.pem", "key.pem"])
def test_while_a_file_is_away_the_old_certificate_stays(tmp_path: Path, missing: str) -> None:
    files = CertificateFiles(*write_certificate(tmp_path, "first"), EdgeCounters())
    (tmp_path / missing).unlink()
    files.check()
    assert names_of(files) == "first"
    write_certificate(tmp_path, "second")
    files.check()
    assert names_of(files) == "second"


@pytest.mark.parametrize("unreadable", ["certificate.pem", "key.pem"])
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, unreadable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run as root, who may read everything, so the file system has to be told what to say."""
    certificate, key = write_certificate(tmp_path, "first")
    real = Path.open

    def refusing(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == unreadable:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return real(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refusing)
    with pytest.raises(ConfigurationError, match=rf"cannot be used: .*{unreadable}: Permission denied$"):
        CertificateFiles(certificate, key, EdgeCounters())


def test_a_key_of_another_certificate_cannot_be_used(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "first")
    shutil.copy(certificate, tmp_path / "kept.pem")
    write_certificate(tmp_path, "second")
    with pytest.raises(ConfigurationError, match=r"kept\.pem with the key .*key\.pem cannot be used: "):
        CertificateFiles(str(tmp_path / "kept.pem"), key, EdgeCounters())


def test_files_that_are_the_other_way_round_are_told_so(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "first")
    with pytest.raises(ConfigurationError, match="they are the other way round"):
        CertificateFiles(key, certificate, EdgeCounters())


def test_a_key_of_another_certificate_is_told_in_words(tmp_path: Path) -> None:
    certificate, _ = write_certificate(tmp_path, "first")
    (tmp_path / "other").mkdir()
    _, other = write_certificate(tmp_path / "other", "second")
    with pytest.raises(ConfigurationError, match="the key is not that of the first certificate"):
        CertificateFiles(certificate, other, EdgeCounters())


@pytest.mark.parametrize(
    ("days", "said"),
    [(-1, "has expired on"), (1.5, "in [01] days"), (13.5, r"expires on \d{4}-\d\d-\d\d, in 1[23] days"), (15.5, None)],
)
def test_a_certificate_that_has_expired_or_soon_will_is_warned_of_at_start_on_renewal_and_daily(
    tmp_path: Path, days: float, said: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    now = time.time()
    files = CertificateFiles(*write_certificate(tmp_path, "first", days), EdgeCounters(), lambda: now)

    def warned() -> bool:
        texts = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        caplog.clear()
        assert len(texts) < 2
        return bool(texts and said and re.search(said, texts[0]))

    due = said is not None
    assert warned() is due, "at start"
    assert files.expires_in == pytest.approx(days * 86_400, abs=60)
    now += 23 * 3600
    files.check()
    assert not warned()
    now -= 23 * 3600
    write_certificate(tmp_path, "second", days)
    files.check()
    assert warned() is due, "on renewal"
    now += 86_401
    files.check()
    assert warned() is due, "a day later"
    now += 60
    files.check()
    assert not warned()


def test_files_that_are_missing_are_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file or directory"):
        CertificateFiles(str(tmp_path / "none.pem"), str(tmp_path / "none.key"), EdgeCounters())


@limited(certificate_interval=0.05)
async def test_a_running_relay_shows_the_new_certificate_and_old_connections_go_on(secure: RunningEdge, tmp_path: Path) -> None:
    async def shown() -> str:
        async with secure.connected(ssl=trusting()) as one:
            return common_name(one.writer.get_extra_info("ssl_object").getpeercert(binary_form=True))

    async with secure.connected(ssl=trusting()) as old:
        assert await shown() == "first"
        write_certificate(tmp_path, "second")
        secure.edge._certificate.check()  # type: ignore[union-attr]

        async def second() -> bool:
            return await shown() == "second"

        await eventually(second, "the new certificate is shown")
        old.send(REQUEST)
        assert (await old.rest()).startswith(b"HTTP/1.1 200 ")
