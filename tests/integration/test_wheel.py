"""The relay installed from a wheel into an environment of its own, and started from a folder that knows nothing of it."""

import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from tests.kit.process import serving

pytestmark = pytest.mark.servers

ROOT: Final = Path(__file__).parents[2]
PIP: Final = ("-m", "pip", "--disable-pip-version-check")


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    run("git", "checkout-index", "--all", f"--prefix={source}/", cwd=ROOT)
    run(sys.executable, *PIP, "wheel", "--no-deps", "--wheel-dir", tmp_path, source, cwd=tmp_path)
    [built] = tmp_path.glob("*.whl")
    return built


def test_a_wheel_brings_one_top_level_package(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"relay"}


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Path:
    """The command `call-relay` of an environment that has nothing but the wheel and what the lock names."""
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", environment, cwd=tmp_path)
    python = environment / "bin" / "python"
    run(python, *PIP, "install", "--require-hashes", "-r", ROOT / "requirements.lock", cwd=tmp_path)
    run(python, *PIP, "install", "--no-deps", wheel, cwd=tmp_path)
    run(python, *PIP, "check", cwd=tmp_path)
    return environment / "bin" / "call-relay"


async def test_an_installed_relay_migrates_its_database_and_serves_its_pages(installed: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    async with (
        serving(tmp_path, program=str(installed), cwd=str(empty)) as server,
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
