"""What the platform asks of any schema registry, by the Confluent API: the same suite for each of them."""

import json

import httpx
import pytest
from confluent_kafka.schema_registry import (
    Schema,
    SchemaRegistryClient,
    SchemaRegistryError,
    topic_record_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from tests.support.registry_api import (
    CONTENT_TYPE,
    LONG_A,
    LONG_B,
    LONG_B_DEFAULT,
    assert_error,
    record,
    register,
)
from tests.support.registry_server import RegistryServer


class TestVersions:
    """Registering, reading and looking up."""

    def test_a_registered_schema_is_read_back_everywhere(self, api: httpx.Client, subject: str) -> None:
        """The identifier, the version, the latest version, the bare text and the lists all agree."""
        text = record(LONG_A, name=f"test.{subject[-33:]}")
        response = register(api, subject, text)
        assert response.status_code == 200
        schema_id = response.json()["id"]

        by_id = api.get(f"/schemas/ids/{schema_id}").json()
        assert json.loads(by_id["schema"]) == json.loads(text)
        for version in ("1", "latest", "-1"):
            found = api.get(f"/subjects/{subject}/versions/{version}").json()
            assert (found["subject"], found["version"], found["id"]) == (subject, 1, schema_id)
            assert json.loads(found["schema"]) == json.loads(text)
        assert json.loads(api.get(f"/subjects/{subject}/versions/latest/schema").text) == json.loads(text)
        assert api.get(f"/subjects/{subject}/versions").json() == [1]
        assert subject in api.get("/subjects").json()
        assert api.get(f"/schemas/ids/{schema_id}/versions").json() == [{"subject": subject, "version": 1}]
        assert "AVRO" in api.get("/schemas/types").json()

    def test_subjects_are_listed_by_their_beginning(self, api: httpx.Client, subject: str) -> None:
        """Those of another beginning are left out."""
        for name in (subject, f"other-{subject}"):
            assert register(api, name, record(LONG_A, name=f"test.{subject[-33:]}")).status_code == 200
        assert api.get("/subjects", params={"subjectPrefix": subject}).json() == [subject]

    def test_an_identifier_leads_to_its_subjects(self, api: httpx.Client, subject: str) -> None:
        """Who has only a record can find out what it is called."""
        schema_id = register(api, subject, record(LONG_A, name=f"test.{subject[-33:]}")).json()["id"]
        assert api.get(f"/schemas/ids/{schema_id}/subjects").json() == [subject]

    def test_answers_have_the_media_type_of_the_api(self, api: httpx.Client, subject: str) -> None:
        """Every answer says which version of the API it is of."""
        assert register(api, subject, record(LONG_A)).headers["content-type"].startswith(CONTENT_TYPE)

    def test_registering_again_changes_nothing(self, api: httpx.Client, subject: str) -> None:
        """The same schema under the same subject keeps its identifier and its version."""
        first, second = (register(api, subject, record(LONG_A)).json() for _ in range(2))
        assert first["id"] == second["id"]
        assert api.get(f"/subjects/{subject}/versions").json() == [1]

    def test_one_schema_has_one_identifier_in_all_subjects(self, api: httpx.Client, subject: str) -> None:
        """Identifiers are global: white space, order of attributes and the way of naming do not matter."""
        dotted = record(LONG_A, name="test.same.Record")
        spaced = json.dumps(
            {"name": "Record", "namespace": "test.same", "fields": [{"type": "long", "name": "a"}], "type": "record"},
            indent=2,
        )
        ids = {register(api, f"{subject}-{number}", text).json()["id"] for number, text in enumerate((dotted, spaced))}
        assert len(ids) == 1

    def test_docs_and_defaults_are_kept(self, api: httpx.Client, subject: str) -> None:
        """A default or a doc makes another schema, and its text comes back with both."""
        texts = [record(LONG_B), record(LONG_B_DEFAULT), record(LONG_B_DEFAULT, doc="What it is.")]
        ids = [register(api, subject, text).json()["id"] for text in texts]
        assert len(set(ids)) == 3
        for schema_id, text in zip(ids, texts, strict=True):
            assert json.loads(api.get(f"/schemas/ids/{schema_id}").json()["schema"]) == json.loads(text)

    def test_lookup_finds_a_schema_by_its_text(self, api: httpx.Client, subject: str) -> None:
        """Looking up answers with the subject's version, and says which of subject and schema is missing."""
        schema_id = register(api, subject, record(LONG_A)).json()["id"]
        found = api.post(f"/subjects/{subject}", json={"schema": record(LONG_A)}).json()
        assert (found["subject"], found["version"], found["id"]) == (subject, 1, schema_id)
        assert_error(api.post(f"/subjects/{subject}", json={"schema": record(LONG_B)}), 404, 40403)
        assert_error(api.post(f"/subjects/{subject}-none", json={"schema": record(LONG_A)}), 404, 40401)

    def test_a_subject_may_hold_any_character(self, api: httpx.Client, subject: str) -> None:
        """A subject with slashes, spaces and letters beyond ASCII is registered and read under that name."""
        name = f"{subject}/versions/ação %"
        path = "".join(f"%{byte:02X}" for byte in name.encode())
        assert register(api, path, record(LONG_A)).status_code == 200
        assert name in api.get("/subjects").json()
        assert api.get(f"/subjects/{path}/versions/1").json()["subject"] == name


class TestDeletion:
    """Deleting subjects and versions."""

    def test_a_deleted_subject_is_gone_but_its_schema_is_readable(self, api: httpx.Client, subject: str) -> None:
        """Deleting is soft: records written before are still decoded by the schema's identifier."""
        schema_id = register(api, subject, record(LONG_A, name="test.Deleted")).json()["id"]
        assert api.delete(f"/subjects/{subject}").json() == [1]
        assert subject not in api.get("/subjects").json()
        assert subject in api.get("/subjects", params={"deleted": "true"}).json()
        assert_error(api.get(f"/subjects/{subject}/versions"), 404, 40401)
        assert api.get(f"/schemas/ids/{schema_id}").status_code == 200

    def test_registering_after_a_deletion_goes_on_counting(self, api: httpx.Client, subject: str) -> None:
        """A schema that comes back keeps its identifier and gets the next version."""
        first = register(api, subject, record(LONG_A)).json()["id"]
        api.delete(f"/subjects/{subject}")
        assert register(api, subject, record(LONG_A)).json()["id"] == first
        assert api.get(f"/subjects/{subject}/versions").json() == [2]

    def test_one_version_can_be_deleted(self, api: httpx.Client, subject: str) -> None:
        """A deleted version is missing from the lists, and `latest` is the one before."""
        register(api, subject, record(LONG_A))
        register(api, subject, record(LONG_A, LONG_B_DEFAULT))
        assert api.delete(f"/subjects/{subject}/versions/2").json() == 2
        assert api.get(f"/subjects/{subject}/versions").json() == [1]
        assert api.get(f"/subjects/{subject}/versions/latest").json()["version"] == 1
        assert_error(api.get(f"/subjects/{subject}/versions/2"), 404, 40402)
        assert api.get(f"/subjects/{subject}/versions/2", params={"deleted": "true"}).json()["version"] == 2

    def test_a_permanent_deletion_takes_a_soft_one_before_it(self, api: httpx.Client, subject: str) -> None:
        """A subject is forgotten for good in two steps, never in one by mistake."""
        register(api, subject, record(LONG_A))
        hasty = api.delete(f"/subjects/{subject}", params={"permanent": "true"})
        assert (hasty.is_success, hasty.json()["error_code"]) == (False, 40405)
        api.delete(f"/subjects/{subject}")
        assert_error(api.delete(f"/subjects/{subject}"), 404, 40404)
        assert api.delete(f"/subjects/{subject}", params={"permanent": "true"}).json() == [1]
        assert subject not in api.get("/subjects", params={"deleted": "true"}).json()


class TestErrors:
    """Refusals, with the codes that clients know."""

    def test_what_does_not_exist(self, api: httpx.Client, subject: str) -> None:
        """An unknown subject, version and identifier each have their own code."""
        assert_error(api.get(f"/subjects/{subject}/versions"), 404, 40401)
        assert_error(api.get(f"/subjects/{subject}/versions/latest"), 404, 40401)
        assert_error(api.delete(f"/subjects/{subject}"), 404, 40401)
        register(api, subject, record(LONG_A))
        assert_error(api.get(f"/subjects/{subject}/versions/9"), 404, 40402)
        assert_error(api.get("/schemas/ids/987654321"), 404, 40403)
        assert api.get("/nothing/here").status_code == 404

    @pytest.mark.parametrize("version", ["0", "abc", "-2", "2147483648", "9" * 5000])
    def test_a_version_is_a_positive_number_or_latest(self, api: httpx.Client, subject: str, version: str) -> None:
        """Anything else in its place is refused."""
        register(api, subject, record(LONG_A))
        assert_error(api.get(f"/subjects/{subject}/versions/{version}"), 422, 42202)

    @pytest.mark.parametrize(
        "schema",
        [
            "",
            "{",
            '"nothing"',
            '{"type": "record", "name": "test.R"}',
            '{"type": "record", "name": "test.R", "fields": [{"name": "a"}]}',
            '{"type": "record", "name": "test.R-1", "fields": []}',
            '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]}',
            '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int", "default": "x"}]}',
            '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "Unknown"}]}',
            '{"type": "enum", "name": "E", "symbols": ["A", "A"]}',
            '["null", "null"]',
            '["null", ["string"]]',
            '{"type": "fixed", "name": "F", "size": -1}',
            "[" * 3000 + "]" * 3000,
        ],
    )
    def test_an_invalid_schema_is_refused(self, api: httpx.Client, subject: str, schema: str) -> None:
        """A text that is no Avro schema never gets an identifier."""
        assert_error(register(api, subject, schema), 422, 42201)
        assert_error(api.get(f"/subjects/{subject}/versions"), 404, 40401)

    def test_an_invalid_level_is_refused(self, api: httpx.Client, subject: str) -> None:
        """A compatibility level that does not exist is refused, for a subject and globally."""
        assert_error(api.put(f"/config/{subject}", json={"compatibility": "PERHAPS"}), 422, 42203)
        assert_error(api.put("/config", json={"compatibility": "PERHAPS"}), 422, 42203)

    def test_a_body_that_is_not_json_is_refused(self, api: httpx.Client, subject: str) -> None:
        """Malformed JSON is the caller's error, not the server's."""
        assert api.post(f"/subjects/{subject}/versions", content="{not json").status_code in (400, 422)
        assert api.post(f"/subjects/{subject}/versions", content="[]").status_code in (400, 422)

    def test_a_wrong_method_is_refused(self, api: httpx.Client) -> None:
        """A path that exists answers 405 to a method that it does not have."""
        assert api.put("/subjects").status_code == 405


class TestConfluentClient:
    """The clients that the platform and its users really have."""

    def test_the_client_library_manages_subjects(self, client: SchemaRegistryClient, subject: str) -> None:
        """Registering, looking up, levels and deletion by confluent_kafka's own client."""
        schema_id = client.register_schema(subject, Schema(record(LONG_A), "AVRO"))
        assert client.lookup_schema(subject, Schema(record(LONG_A), "AVRO")).schema_id == schema_id
        assert client.get_latest_version(subject).version == 1
        assert client.get_versions(subject) == [1]
        assert subject in client.get_subjects()
        client.set_compatibility(subject_name=subject, level="FULL")
        assert client.get_compatibility(subject) == "FULL"
        assert client.test_compatibility(subject, Schema(record(LONG_A, LONG_B), "AVRO")) is False
        with pytest.raises(SchemaRegistryError) as refusal:
            client.register_schema(subject, Schema(record(LONG_A, LONG_B), "AVRO"))
        assert refusal.value.http_status_code == 409
        assert client.delete_subject(subject) == [1]

    def test_records_travel_from_serializer_to_deserializer(
        self, registry: RegistryServer, client: SchemaRegistryClient, subject: str
    ) -> None:
        """A record written with one version is read with a later one, found by the identifier in its bytes."""
        topic = subject.partition("-")[2]
        writer_text = record(LONG_A, name="test.Travels")
        reader_text = record(LONG_A, LONG_B_DEFAULT, name="test.Travels")
        strategy = {"subject.name.strategy": topic_record_subject_name_strategy}
        context = SerializationContext(topic, MessageField.VALUE)

        value = AvroSerializer(client, writer_text, conf=strategy)({"a": 7}, context)
        assert value is not None
        assert value[0] == 0

        with SchemaRegistryClient({"url": registry.url}) as consumers_own:
            assert AvroDeserializer(consumers_own, reader_text)(value, context) == {"a": 7, "b": 0}
        versions = httpx.get(f"{registry.url}/subjects/{topic}-test.Travels/versions").json()
        assert versions == [1]
