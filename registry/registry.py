"""What the registry does, without HTTP: subjects, versions, lookups and compatibility."""

from registry import errors
from registry.canonical import InvalidSchemaError, canonical_text
from registry.compatibility import Level, broken_promises, check_readable
from registry.store import RegistryStore, StoredVersion

LATEST = "latest"
_MAX_VERSION = 2**31 - 1
_MAX_SUBJECT_CHARACTERS = 512


class Registry:
    """The registry over one store. Every method raises RegistryError with Confluent's codes."""

    def __init__(self, store: RegistryStore, default_level: Level, max_schemas: int) -> None:
        self._store = store
        self._default_level = default_level
        self._max_schemas = max_schemas

    def register(self, subject: str, text: str) -> StoredVersion:
        """Give a subject a version with this schema, unless it has one, and return it."""
        if not 0 < len(subject) <= _MAX_SUBJECT_CHARACTERS:
            raise errors.not_permitted(f"A subject has 1 to {_MAX_SUBJECT_CHARACTERS} characters")
        canonical = _canonical(text)
        with self._store.transaction():
            versions = self._store.versions(subject)
            live = [version for version in versions if not version.deleted]
            for version in reversed(live):
                if version.canonical == canonical:
                    return version
            reasons = self._broken(subject, canonical, live)
            if reasons:
                raise errors.incompatible(subject, reasons)
            schema_id = self._store.schema_id(canonical)
            if schema_id is None:
                if self._store.count_schemas() >= self._max_schemas:
                    raise errors.not_permitted(f"The registry is full: it keeps at most {self._max_schemas} schemas")
                schema_id = self._store.add_schema(canonical, text)
            number = versions[-1].version + 1 if versions else 1
            self._store.add_version(subject, number, schema_id)
        return StoredVersion(subject, number, schema_id, deleted=False, canonical=canonical, text=text)

    def lookup(self, subject: str, text: str, *, deleted: bool) -> StoredVersion:
        """Return the subject's version that has this schema."""
        canonical = _canonical(text)
        for version in reversed(self.versions(subject, deleted=deleted)):
            if version.canonical == canonical:
                return version
        raise errors.schema_not_found()

    def subjects(self, *, prefix: str, deleted: bool, deleted_only: bool) -> list[str]:
        """Return the subjects' names, in order."""
        found = self._store.subjects()
        if deleted_only:
            return [name for name, gone in found if gone and name.startswith(prefix)]
        return [name for name, gone in found if (deleted or not gone) and name.startswith(prefix)]

    def versions(self, subject: str, *, deleted: bool = False, deleted_only: bool = False) -> list[StoredVersion]:
        """Return a subject's versions, oldest first; at least one."""
        versions = self._store.versions(subject)
        if deleted_only:
            found = [version for version in versions if version.deleted]
        else:
            found = [version for version in versions if deleted or not version.deleted]
        if not found:
            raise errors.subject_not_found(subject)
        return found

    def version(self, subject: str, number: str, *, deleted: bool = False) -> StoredVersion:
        """Return one version, by its number or `latest`."""
        wanted = _version_number(number)
        versions = self.versions(subject, deleted=deleted)
        if wanted is None:
            return versions[-1]
        for version in versions:
            if version.version == wanted:
                return version
        raise errors.version_not_found(wanted)

    def schema_by_id(self, schema_id: int) -> StoredVersion:
        """Return a version that has the schema, a deleted one where there is no other."""
        return self.versions_by_id(schema_id, deleted=True)[0]

    def versions_by_id(self, schema_id: int, *, deleted: bool) -> list[StoredVersion]:
        """Return every version that has the schema."""
        versions = self._store.versions_of_schema(schema_id)
        if not versions:
            raise errors.schema_not_found()
        return [version for version in versions if deleted or not version.deleted]

    def max_schema_id(self) -> int:
        """Return the greatest identifier given so far."""
        return self._store.max_schema_id()

    def delete_subject(self, subject: str, *, permanent: bool) -> list[int]:
        """Delete every version and return their numbers. The subject's level goes with them."""
        with self._store.transaction():
            versions = self._store.versions(subject)
            if not versions:
                raise errors.subject_not_found(subject)
            live = [version.version for version in versions if not version.deleted]
            if permanent:
                if live:
                    raise errors.subject_not_soft_deleted(subject)
                numbers = [version.version for version in versions]
                self._store.remove(subject, numbers)
                return numbers
            if not live:
                raise errors.subject_soft_deleted(subject)
            self._store.mark_deleted(subject, live)
            self._store.set_level(subject, None)
            return live

    def delete_version(self, subject: str, number: str, *, permanent: bool) -> int:
        """Delete one version and return its number."""
        with self._store.transaction():
            version = self.version(subject, number, deleted=number not in (LATEST, "-1"))
            if permanent:
                if not version.deleted:
                    raise errors.version_not_soft_deleted(subject, version.version)
                self._store.remove(subject, [version.version])
                return version.version
            if version.deleted:
                raise errors.version_soft_deleted(subject, version.version)
            self._store.mark_deleted(subject, [version.version])
            return version.version

    def test(self, subject: str, text: str, number: str | None) -> list[str]:
        """Return what the schema would break, judged by the subject's level; empty when it is compatible.

        With a version's number it is judged against that version alone, with None against those that the level
        names. A subject that does not exist breaks nothing.
        """
        canonical = _canonical(text)
        live = [version for version in self._store.versions(subject) if not version.deleted]
        if number is not None and _version_number(number) is not None:
            live = [self.version(subject, number)]
        elif number is not None:
            live = live[-1:]
        return self._broken(subject, canonical, live)

    def level(self, subject: str | None) -> Level | None:
        """Return the level set for a subject, or the global one for None."""
        stored = self._store.level(subject)
        if stored is None:
            return None if subject else self._default_level
        return Level(stored)

    def set_level(self, subject: str | None, level: str) -> Level:
        """Set a subject's level, or the global one for None."""
        try:
            parsed = Level(level.upper())
        except ValueError:
            raise errors.invalid_level(level, ", ".join(Level)) from None
        self._store.set_level(subject, parsed)
        return parsed

    def reset_level(self, subject: str | None) -> Level:
        """Unset a level and return what it was."""
        level = self.level(subject)
        if level is None:
            raise errors.subject_not_found(subject or "")
        self._store.set_level(subject, None)
        return level

    def _broken(self, subject: str, canonical: str, live: list[StoredVersion]) -> list[str]:
        level = self.level(subject) or self.level(None) or self._default_level
        try:
            return broken_promises(level, canonical, [(version.version, version.canonical) for version in live])
        except InvalidSchemaError as error:
            raise errors.invalid_schema(str(error)) from error


def _canonical(text: str) -> str:
    try:
        canonical = canonical_text(text)
        check_readable(canonical)
    except InvalidSchemaError as error:
        raise errors.invalid_schema(str(error)) from error
    return canonical


def _version_number(number: str) -> int | None:
    """Return the number, or None for the latest version."""
    if number in (LATEST, "-1"):
        return None
    if len(number) <= 10 and number.isascii() and number.isdigit() and 1 <= int(number) <= _MAX_VERSION:
        return int(number)
    raise errors.invalid_version(number)
