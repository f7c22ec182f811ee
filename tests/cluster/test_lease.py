"""Leases, under a clock that only moves when the test says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from canary.cluster.embedded import Embedded
from canary.cluster.lease import LEASE, Lease, Terms
from canary.cluster.port import Manifest, Ref
from canary.errors import ClusterError

LOCK = Ref(LEASE, "canary-system", "flagger-leader-election")


class SteppedClock:
    """Stands still until somebody moves it; wakes the sleepers whose time it passes."""

    def __init__(self) -> None:
        self.elapsed = 1000.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.Event()
        self._sleepers.append((self.elapsed + seconds, woken))
        await woken.wait()

    async def move(self, seconds: float) -> None:
        """Pass the time second by second, and let everybody act on it in between."""
        for _ in range(round(seconds)):
            self.elapsed += 1
            for due, woken in self._sleepers:
                if due <= self.elapsed:
                    woken.set()
            self._sleepers = [(due, woken) for due, woken in self._sleepers if not woken.is_set()]
            await idle()


async def idle() -> None:
    """Let everything run that can; the embedded cluster in memory needs a few turns a write."""
    for _ in range(50):
        await asyncio.sleep(0)


class Partition(Embedded):
    """A cluster that can be cut off: its calls fail at once, or never come back."""

    broken = hanging = False

    async def get(self, ref: Ref) -> Manifest:
        if self.hanging:
            await asyncio.Event().wait()
        if self.broken:
            raise ClusterError("connection refused")
        return await super().get(ref)


@pytest.fixture
async def cluster() -> AsyncIterator[Partition]:
    opened = await Partition.open(None)
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


def lease(cluster: Embedded, clock: SteppedClock, identity: str, **terms: Any) -> Lease:
    return Lease(
        cluster,
        namespace=LOCK.namespace,
        name=LOCK.name,
        identity=identity,
        terms=Terms(**terms),
        clock=clock,
    )


def holds(lease: Lease) -> bool:
    """As mypy believes that a property stays what it was."""
    return lease.held


async def spec(cluster: Embedded) -> dict[str, Any]:
    found: dict[str, Any] = (await cluster.get(LOCK))["spec"]
    return found


async def test_the_first_to_come_holds_it(cluster: Partition, clock: SteppedClock) -> None:
    one, two = lease(cluster, clock, "one"), lease(cluster, clock, "two")
    assert await one.attempt()
    assert not await two.attempt()
    assert (holds(one), holds(two)) == (True, False)
    assert await spec(cluster) == {
        "holderIdentity": "one",
        "leaseDurationSeconds": 60,
        "acquireTime": "2026-01-01T00:16:40.000000Z",
        "renewTime": "2026-01-01T00:16:40.000000Z",
        "leaseTransitions": 0,
    }


async def test_of_many_at_the_same_moment_one_gets_it(
    cluster: Partition, clock: SteppedClock
) -> None:
    many = [lease(cluster, clock, f"{number}") for number in range(10)]
    assert sum(await asyncio.gather(*(one.attempt() for one in many))) == 1
    assert sum(holds(one) for one in many) == 1


async def test_renewing_moves_only_the_renew_time(cluster: Partition, clock: SteppedClock) -> None:
    one = lease(cluster, clock, "one")
    await one.attempt()
    before = await spec(cluster)
    await clock.move(10)
    assert await one.attempt()
    assert await spec(cluster) == {**before, "renewTime": "2026-01-01T00:16:50.000000Z"}


async def test_it_is_not_held_longer_than_it_was_renewed(
    cluster: Partition, clock: SteppedClock
) -> None:
    one = lease(cluster, clock, "one")
    await one.attempt()
    await clock.move(14)
    assert holds(one)
    await clock.move(1)
    assert not holds(one)


async def test_the_time_that_renewing_takes_counts_against_it(
    cluster: Partition, clock: SteppedClock
) -> None:
    one = lease(cluster, clock, "one")
    attempt = asyncio.create_task(one.attempt())
    await asyncio.sleep(0)
    clock.elapsed += 10  # the answer takes so long
    assert await attempt
    await clock.move(4)
    assert holds(one)
    await clock.move(1)
    assert not holds(one)


async def test_of_many_who_see_it_abandoned_one_gets_it(
    cluster: Partition, clock: SteppedClock
) -> None:
    await lease(cluster, clock, "gone").attempt()
    many = [lease(cluster, clock, f"{number}") for number in range(10)]
    assert sum(await asyncio.gather(*(one.attempt() for one in many))) == 0
    await clock.move(60)
    assert sum(await asyncio.gather(*(one.attempt() for one in many))) == 1
    assert (await spec(cluster))["leaseTransitions"] == 1


async def test_an_abandoned_lease_is_taken_after_its_whole_duration(
    cluster: Partition, clock: SteppedClock
) -> None:
    await lease(cluster, clock, "one").attempt()
    await clock.move(500)
    two = lease(cluster, clock, "two")
    assert not await two.attempt(), "it has only just seen it, whatever the renew time says"
    await clock.move(59)
    assert not await two.attempt()
    await clock.move(1)
    assert await two.attempt()
    assert (await spec(cluster))["leaseTransitions"] == 1
    assert (await spec(cluster))["holderIdentity"] == "two"


async def test_a_renewed_lease_is_never_taken(cluster: Partition, clock: SteppedClock) -> None:
    one, two = lease(cluster, clock, "one"), lease(cluster, clock, "two")
    for _ in range(30):
        assert await one.attempt()
        assert not await two.attempt()
        await clock.move(10)


async def test_two_never_hold_it_at_once(cluster: Partition, clock: SteppedClock) -> None:
    one, two = lease(cluster, clock, "one"), lease(cluster, clock, "two")
    holders = set()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(one)
        waiting = asyncio.create_task(stack.enter_async_context(two))
        cluster.broken = True
        for second in range(200):
            cluster.broken = second < 30
            await clock.move(1)
            assert not (holds(one) and holds(two))
            holders.add((holds(one), holds(two)))
        await waiting
    assert holders == {(True, False), (False, False), (False, True)}


async def test_a_released_lease_is_free_at_once(cluster: Partition, clock: SteppedClock) -> None:
    one, two = lease(cluster, clock, "one"), lease(cluster, clock, "two")
    await one.attempt()
    await two.attempt()
    await one.release()
    assert not holds(one)
    assert "holderIdentity" not in await spec(cluster)
    assert await two.attempt()


async def test_releasing_what_another_one_holds_changes_nothing(
    cluster: Partition, clock: SteppedClock
) -> None:
    one, two = lease(cluster, clock, "one"), lease(cluster, clock, "two")
    await one.release()
    await one.attempt()
    before = await spec(cluster)
    await two.release()
    assert await spec(cluster) == before


async def test_the_same_identity_takes_its_lease_up_again(
    cluster: Partition, clock: SteppedClock
) -> None:
    await lease(cluster, clock, "one").attempt()
    before = await spec(cluster)
    assert await lease(cluster, clock, "one").attempt()
    assert await spec(cluster) == before


async def test_it_is_kept_renewed_while_it_is_used_and_released_after_it(
    cluster: Partition, clock: SteppedClock
) -> None:
    async with lease(cluster, clock, "one") as one:
        await clock.move(300)
        assert holds(one)
        assert not one.lost.is_set()
        assert (await spec(cluster))["renewTime"] > "2026-01-01T00:21:30"
    assert not holds(one)
    assert "holderIdentity" not in await spec(cluster)


async def test_the_next_one_waits_until_the_first_is_done(
    cluster: Partition, clock: SteppedClock
) -> None:
    two = lease(cluster, clock, "two")
    async with lease(cluster, clock, "one"):
        waiting = asyncio.create_task(two.__aenter__())
        await clock.move(100)
        assert not waiting.done()
    await clock.move(5)
    assert await waiting is two
    await two.__aexit__(None, None, None)


CUT_OFF = {"calls fail": {"broken": True}, "calls never return": {"hanging": True}}


@pytest.mark.parametrize("trouble", CUT_OFF.values(), ids=CUT_OFF)
async def test_a_holder_that_is_cut_off_notices_in_time(
    cluster: Partition, clock: SteppedClock, trouble: dict[str, bool]
) -> None:
    async with lease(cluster, clock, "one") as one:
        vars(cluster).update(trouble)
        await clock.move(14)
        assert holds(one)
        await clock.move(1)
        assert not holds(one)
        async with asyncio.timeout(5):
            await one.lost.wait()
        vars(cluster).update(dict.fromkeys(trouble, False))


async def test_a_short_interruption_is_survived(cluster: Partition, clock: SteppedClock) -> None:
    async with lease(cluster, clock, "one") as one:
        cluster.broken = True
        await clock.move(9)
        cluster.broken = False
        await clock.move(100)
        assert holds(one)


async def test_a_lease_taken_by_force_is_noticed(cluster: Partition, clock: SteppedClock) -> None:
    async with lease(cluster, clock, "one") as one:
        usurped = {"spec": {"holderIdentity": "two"}}
        await cluster.patch(LOCK, usurped, manager="kubectl")
        await clock.move(5)
        assert not holds(one)
        assert one.lost.is_set()
    assert (await spec(cluster))["holderIdentity"] == "two"


async def test_a_deleted_lease_is_made_again(cluster: Partition, clock: SteppedClock) -> None:
    async with lease(cluster, clock, "one") as one:
        await cluster.delete(LOCK)
        await clock.move(5)
        assert holds(one)
        assert (await spec(cluster))["holderIdentity"] == "one"


async def test_an_unreachable_cluster_is_waited_for(
    cluster: Partition, clock: SteppedClock
) -> None:
    cluster.broken = True
    one = lease(cluster, clock, "one")
    waiting = asyncio.create_task(one.__aenter__())
    await clock.move(60)
    assert not waiting.done()
    cluster.broken = False
    await clock.move(5)
    await waiting
    assert holds(one)
    await one.__aexit__(None, None, None)


@pytest.mark.parametrize(
    "terms",
    [{"duration": 10}, {"renew_within": 5}, {"retry": 0}],
    ids=lambda terms: next(iter(terms)),
)
def test_terms_that_let_two_hold_it_are_refused(terms: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="does not hold"):
        Terms(**terms)  # type: ignore[arg-type]  # duration is whole in every row
