from collections.abc import AsyncIterator, Iterator

import pytest
import structlog

from tests.engine.place import Place, a_place


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Only what is wrong is worth reading below a test that failed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    yield
    structlog.reset_defaults()


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with a_place() as made:
        yield made
