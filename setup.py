"""Which packages a wheel has; everything else is in setup.cfg, which cannot say that a folder is installed under another name."""

from setuptools import find_namespace_packages, setup

PAGE = {
    f"relay.{name}": name.replace(".", "/") for name in ("web", *(f"web.{inner}" for inner in find_namespace_packages("web")))
}

setup(packages=[*find_namespace_packages(include=["relay*"]), *PAGE], package_dir=PAGE)
