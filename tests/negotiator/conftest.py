from collections.abc import AsyncIterator

import pytest

from negotiator.testing import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Agents in one process, on a clock that the event loop keeps too."""
    async with World() as made:
        with made.clock.driving():
            yield made
