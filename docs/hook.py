"""What MkDocs calls: adds the API's reference to the site, and puts tables where pages ask for them.

A page asks by a comment on a line of its own, `<!-- table: settings -->`.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from contracts.descriptors import Descriptors
from contracts.reference import tables
from contracts.reference.api import INDEX, api_pages
from contracts.reference.error_classes import TABLES, error_class_table
from contracts.reference.protos import read_protos
from mesh.look import LOGO, TOKENS
from monitor.store.templates import index_templates

_SECTION: Final = "API reference"
_ASKED: Final = re.compile(r"^<!-- table: ([a-z-]+) -->$", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make what is generated, and give its pages their place in the navigation."""
    descriptors = read_protos(Path(config.config_file_path).parent)
    pages = api_pages(descriptors)
    config.extra["generated_pages"] = pages
    config.extra["generated_tables"] = _tables(descriptors)
    entries = [INDEX, *sorted(path for path in pages if path != INDEX)]
    if not _fill(config.nav, entries):
        raise PluginError(f"mkdocs.yml has no place for {_SECTION} in its nav")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and what the dashboard looks like."""
    for path, content in config.extra["generated_pages"].items():
        files.append(File.generated(config, path, content=content))
    for source in (LOGO, TOKENS):  # the dashboard's too: one look
        files.append(File.generated(config, f"look/{source.name}", abs_src_path=str(source)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, **_: object) -> str:
    """Put the tables where the page asks for them. Raises PluginError for one that there is not."""
    made: Mapping[str, Callable[[], str]] = config.extra["generated_tables"]

    def table(asked: re.Match[str]) -> str:
        if asked[1] not in made:
            raise PluginError(f"{page.file.src_uri} asks for a table {asked[1]}; there are {', '.join(sorted(made))}")
        return made[asked[1]]()

    return _ASKED.sub(table, markdown)


def _tables(descriptors: Descriptors) -> Mapping[str, Callable[[], str]]:
    events = index_templates()["polystream-events"]["template"]["mappings"]["properties"]
    return {
        "dead-letter-headers": lambda: tables.header_table(dead_letters=True),
        "errors": tables.error_table,
        **{f"{engine}-errors": partial(error_class_table, engine) for engine in TABLES},
        "events": lambda: tables.event_table(descriptors, events),
        "headers": lambda: tables.header_table(dead_letters=False),
        "metrics": tables.metric_table,
        "ports": tables.port_table,
        "records": lambda: tables.record_table(descriptors),
        "room": tables.room_table,
        "settings": tables.settings_tables,
        "signals": tables.signal_table,
        "spans": tables.span_table,
        "topics": lambda: tables.topic_table(descriptors),
    }


def _fill(entries: Any, pages: list[str]) -> bool:
    """Put the pages into the section that waits for them; tell whether there is one."""
    for entry in entries:
        for title, value in entry.items() if isinstance(entry, dict) else ():
            if title == _SECTION:
                entry[title] = pages
                return True
            if isinstance(value, list) and _fill(value, pages):
                return True
    return False
