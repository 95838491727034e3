"""Where settings come from, and what is said of one that is not valid.

A value in the environment wins over the one in the file that POLYSTREAM_ENV_FILE names; no other file is looked for.
"""

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from mesh.env_file import EnvFile, SettingsError, read_env_file

ENV_FILE_VARIABLE: Final = "POLYSTREAM_ENV_FILE"
# The pocket registry's own (`registry/settings.py`): it imports nothing of the platform.
REGISTRY_NAMES: Final = frozenset(
    f"SCHEMA_REGISTRY_{name}"
    for name in ("HOST", "PORT", "ALLOWED_HOSTS", "DATA_DIR", "COMPATIBILITY", "MAX_BODY_BYTES", "MAX_SCHEMAS")
)
# Standard variables of OpenTelemetry's that its SDK reads itself, and which of them are of a collector of one's own.
COLLECTOR_NAMES: Final = frozenset({"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_CERTIFICATE"})
TELEMETRY_NAMES: Final = COLLECTOR_NAMES | {"OTEL_RESOURCE_ATTRIBUTES"}
# What is as near to a setting's name as this is meant to be it: POSTGRES_PASWORD, MONGODB_URI. A name that ends in one
# of these words is more probably another program's.
_NEAR: Final = 0.85
_OTHERS_WORDS: Final = ("_HOST", "_PORT", "_USER", "_URL")
_SHOWN_CHARACTERS: Final = 60


class Settings(BaseSettings):
    """Settings of one part. Raises SettingsError where a value is not valid, or the file can't be used."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError("\n".join(_sentences(type(self), error))) from error

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's own reading passes over mistakes
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - there are none
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, the one that wins first."""
        return init_settings, env_settings, _EnvFileSource(settings_cls)


class _EnvFileSource(EnvSettingsSource):
    """The values of the file that POLYSTREAM_ENV_FILE names."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        file = env_file()
        return {name.lower(): value for name, value in file.values.items()} if file else {}


def variable(settings: type[BaseSettings], name: str, field: FieldInfo) -> str:
    """Return the name of the variable that a field is read from."""
    return str(field.validation_alias or f"{settings.model_config.get('env_prefix', '')}{name}".upper())


def setting_names() -> frozenset[str]:
    """Return the name of every setting, with those of the pocket registry and of OpenTelemetry's SDK."""
    from mesh import settings as _  # noqa: F401, PLC0415 - it defines the classes, and imports this module

    own = (
        variable(settings, name, field)
        for settings in Settings.__subclasses__()
        for name, field in settings.model_fields.items()
    )
    return (REGISTRY_NAMES | TELEMETRY_NAMES).union(own)


def env_file() -> EnvFile | None:
    """Return what the file that POLYSTREAM_ENV_FILE names says, None where it names none.

    Raises SettingsError where it can't be read, and for a name that is nearly a setting's: left as it is, it would
    have no effect.
    """
    named = os.environ.get(ENV_FILE_VARIABLE)
    if not named:
        return None
    file = read_env_file(Path(named).absolute())
    known = setting_names()
    sentences = [
        f"{file.place(name)} sets {name}, which is no setting: write {meant}, or leave the line out"
        for name in _unknown(file.values, known)
        if (meant := _meant(name, known))
    ]
    if sentences:
        raise SettingsError("\n".join(sentences))
    return file


def names_without_effect(file: EnvFile) -> list[str]:
    """Return a sentence for each name in the file that begins as settings do, and is none."""
    known = setting_names()
    beginnings = {name.partition("_")[0] for name in known}
    return [
        f"{file.place(name)} sets {name}, which is no setting here and has no effect"
        for name in _unknown(file.values, known)
        if name.upper().partition("_")[0] in beginnings
    ]


def given_settings(environment: Mapping[str, str], file: EnvFile | None) -> dict[str, str]:
    """Return every setting that the environment or the file sets, by its name; the environment wins."""
    known = setting_names()
    given: dict[str, str] = {}
    for source in (file.values if file else {}, environment):
        # As pydantic reads them, names in lower case count too.
        spelled = {name.upper(): value for name, value in source.items() if name.upper() in known}
        given |= spelled | {name: value for name, value in source.items() if name in known}
    return given


def check_settings(classes: Iterable[type[Settings]]) -> None:
    """Read the settings of each class. Raises SettingsError with every mistake in them."""
    sentences: list[str] = []
    env_file()  # what is wrong with the file is said alone
    for settings in classes:
        try:
            settings()
        except SettingsError as error:
            sentences += str(error).splitlines()
    if sentences:
        raise SettingsError("\n".join(dict.fromkeys(sentences)))


def _unknown(names: Iterable[str], known: frozenset[str]) -> Iterator[str]:
    for name in names:
        if name.upper() not in known:
            yield name


def _meant(name: str, known: frozenset[str]) -> str | None:
    if name.endswith(_OTHERS_WORDS):
        named_so = {other for other in known if other.endswith(name[name.rindex("_") :])}
        known = frozenset(named_so)
    return next(iter(difflib.get_close_matches(name.upper(), known, n=1, cutoff=_NEAR)), None)


def _sentences(settings: type[BaseSettings], error: ValidationError) -> Iterator[str]:
    names = {
        place: (variable(settings, name, field), field)
        for name, field in settings.model_fields.items()
        for place in (name, str(field.validation_alias))
    }
    for fault in error.errors():
        own = str(fault.get("ctx", {}).get("error", ""))
        if not fault["loc"]:
            yield own or fault["msg"]
            continue
        name, field = names[str(fault["loc"][0])]
        yield f"{name}, {_place_of(name)}, {own or _clause(field, fault['input'])}"


def _place_of(name: str) -> str:
    if any(name == given.upper() for given in os.environ):
        return "in the environment"
    file = env_file()
    stands = next((given for given in (file.values if file else ()) if given.upper() == name), None)
    return file.place(stands) if file and stands else "as it is given"


def _clause(field: FieldInfo, value: object) -> str:
    shown = repr(value)[:_SHOWN_CHARACTERS]
    return f"is {shown if value != '' else 'empty'}: write {_need(field)}, or leave it out"


def _need(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return " or ".join(map(str, get_args(field.annotation)))
    if field.annotation is bool:
        return "1 or 0"
    kind = "a whole number" if field.annotation is int else "a number" if field.annotation is float else "a text"
    least = next((rule.ge for rule in field.metadata if isinstance(rule, Ge)), None)
    above = next((rule.gt for rule in field.metadata if isinstance(rule, Gt)), None)
    most = next((rule.le for rule in field.metadata if isinstance(rule, Le)), None)
    if least is not None and most is not None:
        return f"{kind} from {least} to {most}"
    if least is not None:
        return f"{kind} of at least {least}"
    if above is not None:
        return f"{kind} above {above}"
    return kind
