"""The pocket registry's settings."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from registry.compatibility import Level


class PocketRegistrySettings(BaseSettings):
    """The pocket registry, which the embedded set has. Its variables are read from the environment alone."""

    model_config = SettingsConfigDict(env_prefix="SCHEMA_REGISTRY_", extra="ignore", frozen=True)

    host: str = "127.0.0.1"  # the address that it listens on
    port: int = Field(8181, ge=1, le=65535)  # the port that it listens on
    # Further names of this machine that clients know it by, separated by commas; `*` is any.
    allowed_hosts: str = ""
    data_dir: Path = Path(".data/schema-registry")  # its folder
    # The level that subjects are held to until `PUT /config` says otherwise.
    compatibility: Level = Level.FULL_TRANSITIVE
    max_body_bytes: int = Field(1024 * 1024, ge=1)  # how large a request's body may be, in bytes
    max_schemas: int = Field(10_000, ge=1)  # how many schemas it takes, deleted ones included
