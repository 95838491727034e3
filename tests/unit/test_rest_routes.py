"""Which binding a path leads to, and what is said of a path or method that leads to none."""

from collections.abc import Iterator

import pytest

from gateway.rest.routes import MAX_PATH_BYTES, MethodNotAllowed, Routes
from mesh.catalog import Catalog
from mesh.errors import PolystreamError, Reason
from tests.support.rest_trial import MESSAGES, Trial, one
