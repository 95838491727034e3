"""The environment of the programs that fetch what the engines are made of: Maven and Go."""

import os
from typing import Final

from stack.engines.process import bare_environment

# How the person who starts the platform reaches other people's servers.
_PROXY_NAMES: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_DOWNLOAD_NAMES: Final = (
    *_PROXY_NAMES,
    *(name.upper() for name in _PROXY_NAMES),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "JAVA_HOME"),
    *("MAVEN_OPTS", "MAVEN_ARGS", "MAVEN_HOME", "M2_HOME"),
    *("GOPROXY", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOSUMDB", "GOINSECURE", "GOAUTH", "GOVCS"),
    *("GOPATH", "GOCACHE", "GOMODCACHE", "GOTMPDIR", "GOROOT", "GOTOOLCHAIN"),
)


def download_environment() -> dict[str, str]:
    """Return the environment of a program that downloads: the proxies, certificates and indexes that it is to use."""
    return bare_environment() | {name: os.environ[name] for name in _DOWNLOAD_NAMES if name in os.environ}
