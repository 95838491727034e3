"""The pocket registry's settings."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from registry.compatibility import Level


class PocketRegistrySettings(BaseSettings):
    """Read from SCHEMA_REGISTRY_* variables and an optional `.env` file."""

    model_config = SettingsConfigDict(env_prefix="SCHEMA_REGISTRY_", env_file=".env", extra="ignore", frozen=True)

    host: str = "127.0.0.1"
    port: int = 8181
    allowed_hosts: str = ""  # further names that clients know it by, separated by commas; `*` is any
    data_dir: Path = Path(".data/schema-registry")
    compatibility: Level = Level.FULL_TRANSITIVE  # until PUT /config says otherwise
    max_body_bytes: int = 1024 * 1024
    max_schemas: int = 10_000  # deleted ones included
