"""The registry's errors, with the codes that Confluent's clients know."""


class RegistryError(Exception):
    """An answer other than success: an HTTP status, Confluent's error code and a sentence."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def bad_request(message: str) -> RegistryError:
    """Say that the request is not one that the API has."""
    return RegistryError(400, 400, message)


def foreign_host() -> RegistryError:
    """Say that the request came to a name that the registry is not known by (RFC 9110, section 15.5.20)."""
    return RegistryError(
        421,
        421,
        "HTTP 421 the registry is not known by the name in the header host; use localhost, or name it in "
        "SCHEMA_REGISTRY_ALLOWED_HOSTS",
    )


def foreign_origin() -> RegistryError:
    """Say that a page of another origin asks for a change."""
    return RegistryError(403, 403, "HTTP 403 a page of another origin may change nothing here")


def subject_not_found(subject: str) -> RegistryError:
    """Say that there is no such subject, or only a deleted one."""
    return RegistryError(404, 40401, f"Subject '{subject}' not found.")


def version_not_found(version: int | str) -> RegistryError:
    """Say that the subject has no such version."""
    return RegistryError(404, 40402, f"Version {version} not found.")


def schema_not_found() -> RegistryError:
    """Say that no schema has the identifier, or that the subject has no such schema."""
    return RegistryError(404, 40403, "Schema not found")


def subject_soft_deleted(subject: str) -> RegistryError:
    """Say that the subject was deleted already; its schemas are still readable by their identifiers."""
    return RegistryError(
        404, 40404, f"Subject '{subject}' was soft deleted. Set permanent=true to delete it permanently."
    )


def subject_not_soft_deleted(subject: str) -> RegistryError:
    """Say that a permanent deletion takes a deletion before it."""
    return RegistryError(404, 40405, f"Subject '{subject}' was not deleted first, before being permanently deleted.")


def version_soft_deleted(subject: str, version: int) -> RegistryError:
    """Say that the version was deleted already."""
    return RegistryError(
        404,
        40406,
        f"Subject '{subject}' Version {version} was soft deleted. Set permanent=true to delete it permanently.",
    )


def version_not_soft_deleted(subject: str, version: int) -> RegistryError:
    """Say that a permanent deletion takes a deletion before it."""
    return RegistryError(
        404, 40407, f"Subject '{subject}' Version {version} was not deleted first, before being permanently deleted."
    )


def level_not_configured(subject: str) -> RegistryError:
    """Say that the subject follows the global compatibility level."""
    return RegistryError(404, 40408, f"Subject '{subject}' does not have subject-level compatibility configured")


def mode_not_configured(subject: str) -> RegistryError:
    """Say that the subject follows the global mode."""
    return RegistryError(404, 40409, f"Subject '{subject}' does not have subject-level mode configured")


def incompatible(subject: str, reasons: list[str]) -> RegistryError:
    """Say that the schema breaks the subject's compatibility level."""
    details = "; ".join(reasons)
    return RegistryError(
        409,
        409,
        f"Schema being registered is incompatible with an earlier schema for subject '{subject}', details: {details}",
    )


def invalid_schema(message: str) -> RegistryError:
    """Say that the text is not a schema that the registry keeps."""
    return RegistryError(422, 42201, f"Invalid schema: {message}")


def invalid_version(version: str) -> RegistryError:
    """Say that the path's version is neither a number nor `latest`."""
    return RegistryError(
        422,
        42202,
        f"The specified version '{version}' is not a valid version id. "
        'Allowed values are between [1, 2^31-1] and the string "latest"',
    )


def invalid_level(level: str, allowed: str) -> RegistryError:
    """Say that there is no such compatibility level."""
    return RegistryError(422, 42203, f"Invalid compatibility level '{level}'. Valid values are {allowed}")


def invalid_mode(mode: str) -> RegistryError:
    """Say that the registry is read and written, always."""
    return RegistryError(422, 42204, f"Invalid mode '{mode}'. This registry has READWRITE only")


def not_permitted(message: str) -> RegistryError:
    """Say that the operation exists, and is not offered here or has reached a bound."""
    return RegistryError(422, 42205, message)


def store_failed() -> RegistryError:
    """Say that the file could not be read or written."""
    return RegistryError(500, 50001, "Error in the backend data store")
