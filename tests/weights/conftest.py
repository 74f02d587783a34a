"""A model directory that a test may spoil."""

import pytest
from checkpoint import Model


@pytest.fixture
def model(tmp_path):
    return Model(tmp_path)
