"""Recognizers that are passed as objects leave nothing behind for other tests."""

from collections.abc import Iterator

import pytest

from melmoat.models import MODELS
from melmoat.objects import OBJECT


@pytest.fixture(autouse=True)
def clean_registry() -> Iterator[None]:
    yield
    MODELS.table.pop(OBJECT, None)
