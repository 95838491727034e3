"""How the platform's own clients reach their servers: directly, and as the settings say.

Client libraries look for proxies and certificates in variables that were meant for a browser or a package manager, and
libpq for whole connections in `PG*`. None of them has a say here: what a server needs has a setting.
"""

import os
import ssl
from typing import Final, TypedDict

GRPC_OPTIONS: Final = (("grpc.enable_http_proxy", 0),)  # of every channel

_AMBIENT_PREFIXES: Final = ("PG",)
_AMBIENT: Final = frozenset(
    {
        *("http_proxy", "https_proxy", "all_proxy", "no_proxy", "grpc_proxy", "no_grpc_proxy", "ftp_proxy"),
        *("ssl_cert_file", "ssl_cert_dir", "requests_ca_bundle", "curl_ca_bundle", "sslkeylogfile"),
        *("grpc_default_ssl_roots_file_path", "openssl_conf", "openssl_modules"),
        "krb5ccname",
    }
)


class HttpOptions(TypedDict):
    """Arguments of an httpx client."""

    trust_env: bool
    verify: ssl.SSLContext | bool
    proxy: str | None


def http_options(*, ca_file: str = "", proxy_url: str = "") -> HttpOptions:
    """Return the arguments of a client that goes by these settings alone. Raises OSError for a file that is none."""
    return {
        "trust_env": False,
        "verify": ssl.create_default_context(cafile=ca_file) if ca_file else True,
        "proxy": proxy_url or None,
    }


def forget_ambient_variables() -> None:
    """Take the variables that client libraries would follow out of this process's environment."""
    for name in list(os.environ):
        if name.startswith(_AMBIENT_PREFIXES) or name.lower() in _AMBIENT:
            del os.environ[name]
