"""The relay installed from a wheel into an environment of its own, and started from a folder that knows nothing of it."""

import re
import signal
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from packaging.requirements import Requirement

from tests.kit.process import serving

# They share the wheel.
pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("wheel")]

ROOT: Final = Path(__file__).parents[2]
PIP: Final = ("-m", "pip", "--disable-pip-version-check")


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    run("git", "checkout-index", "--all", f"--prefix={source}/", cwd=ROOT)
    run(sys.executable, *PIP, "wheel", "--no-deps", "--wheel-dir", folder, source, cwd=folder)
    [built] = folder.glob("*.whl")
    return built


def test_a_wheel_brings_one_top_level_package(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"relay"}


def test_a_wheel_brings_the_files_of_others_with_their_licences(wheel: Path) -> None:
    vendor = {str(file.relative_to(ROOT / "web")) for file in (ROOT / "web" / "vendor").rglob("*.*")}
    assert any(file.endswith(".wasm") for file in vendor) and any(file.endswith("LICENSE.txt") for file in vendor)
    assert vendor <= {name.removeprefix("relay/web/") for name in zipfile.ZipFile(wheel).namelist()}


def locked() -> list[str]:
    """The packages of the lock that this platform needs."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    wanted = [Requirement(line.removesuffix("\\")) for line in lines if line and line[0] not in "# "]
    return [one.name for one in wanted if one.marker is None or one.marker.evaluate()]


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Path:
    """The command `call-relay` of an environment that has nothing but the wheel and what the lock names.

    The packages are links to those of the environment that the tests run in, which `make` has installed from the locks by their
    hashes: to install them again takes longer than all the rest.
    """
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=tmp_path)
    [packages] = environment.glob("lib/python*/site-packages")
    for name in locked():
        parts = {file.parts[0] for file in distribution(name).files or () if file.parts[0] not in ("..", "__pycache__")}
        for part in parts:
            if not (packages / part).exists():
                (packages / part).symlink_to(Path(str(distribution(name).locate_file(part))))
    python = environment / "bin" / "python"
    run(sys.executable, *PIP, "--python", python, "install", "--no-deps", "--no-compile", wheel, cwd=tmp_path)
    run(sys.executable, *PIP, "--python", python, "check", cwd=tmp_path)
    return environment / "bin" / "call-relay"


async def test_an_installed_relay_migrates_its_database_and_serves_its_pages(installed: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    run(installed.with_name("python"), "-c", "from relay.client import connect, MediaFile", cwd=empty)
    async with (
        serving(tmp_path, program=str(installed), cwd=str(empty), workers="auto") as server,
        aiohttp.ClientSession(server.relay.url) as http,
    ):

        async def get(path: str) -> tuple[int, str]:
            async with http.get(path) as answer:
                return answer.status, await answer.text()

        for page in ("/", "/connectivity", "/recordings"):
            status, text = await get(page)
            assert (status, "<title>" in text) == (200, True)
            parts = re.findall(r'(?:href|src)="/?((?:css|js)/[^"]+|icon\.svg)"', text)
            assert parts, page
            assert {part: (await get(f"/{part}"))[0] for part in parts} == dict.fromkeys(parts, 200)
        async with http.post("/api/dev/login", json={"profile_id": 456, "profile_type": "student"}) as answer:
            assert answer.status == 200, "the migrations came along, and the tables have the people of development mode"
        assert (await server.stop(signal.SIGINT)).status == 0
