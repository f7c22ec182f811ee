"""The read cache: true to the cluster, whatever happens to its watches."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.cluster.cache import Backoff, Cache, Keep
from canary.cluster.embedded import Embedded
from canary.cluster.port import Change, Kind, Listing, Manifest, Ref
from canary.errors import ClusterError, Expired

KIND = Kind("v1", "ConfigMap")
OTHER = Kind("v1", "Secret")
APP = Ref(KIND, "default", "app")
OTHER_APP = Ref(KIND, "default", "other")


class Flaky(Embedded):
    """Counts lists and watches, and fails them when told to; otherwise the real thing."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.lists = self.watches = self.waiting = 0
        self.failures: list[Exception] = []
        self.watching: list[Cut] = []
        self.listed_again = asyncio.Event()

    async def list(
        self,
        kind: Kind,
        namespace: str = "",
        labels: Any = None,
        *,
        metadata_only: bool = False,
    ) -> Listing:
        self.lists += 1
        if self.failures:
            raise self.failures.pop(0)
        if self.lists > 1:
            self.listed_again.set()
        return await super().list(kind, namespace, labels, metadata_only=metadata_only)

    def watch(
        self, kind: Kind, namespace: str = "", since: str = "", *, metadata_only: bool = False
    ) -> AsyncIterator[Change]:
        self.watches += 1
        if self.failures:
            raise self.failures.pop(0)
        inner = super().watch(kind, namespace, since, metadata_only=metadata_only)
        cut = Cut(inner, self)
        self.watching.append(cut)
        return cut

    def cut(self, error: Exception | None) -> None:
        """Break the watches that are running; without an error they just end."""
        for watching in self.watching:
            watching.cut(error)
        self.watching.clear()


class Cut:
    """A watch whose connection can break."""

    def __init__(self, inner: AsyncIterator[Change], cluster: Flaky) -> None:
        self.inner, self.cluster = inner, cluster
        self.broken: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def cut(self, error: Exception | None) -> None:
        if not self.broken.done():
            self.broken.set_result(error)

    def __aiter__(self) -> "Cut":
        return self

    async def __anext__(self) -> Change:
        following: asyncio.Future[Change] = asyncio.ensure_future(anext(self.inner))
        either: set[asyncio.Future[Any]] = {following, self.broken}
        self.cluster.waiting += 1
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self.broken.done():
                raise self.broken.result() or StopAsyncIteration
            return following.result()
        finally:
            self.cluster.waiting -= 1
            following.cancel()


class Told:
    """A subscriber that writes down what it is told, and can be waited for."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str, str]] = []
        self._more = asyncio.Event()

    def __call__(self, change: str, old: Manifest | None, new: Manifest) -> None:
        before = old["data"]["n"] if old else "-"
        self.changes.append((change, before, new["data"]["n"]))
        self._more.set()

    async def count(self, wanted: int) -> list[tuple[str, str, str]]:
        async with asyncio.timeout(10):
            while len(self.changes) < wanted:
                self._more.clear()
                await self._more.wait()
        return self.changes


def numbered(number: int, ref: Ref = APP) -> Manifest:
    return ref.manifest(data={"n": str(number)})


def patch(number: int) -> Manifest:
    return {"data": {"n": str(number)}}


@pytest.fixture
async def cluster() -> AsyncIterator[Flaky]:
    opened = await Flaky.open(None)
    yield opened
    await opened.close()


@pytest.fixture
async def cache(cluster: Flaky) -> AsyncIterator[Cache]:
    made = Cache(cluster, backoff=Backoff(first=0.001, longest=0.01))
    yield made
    await made.close()


@pytest.fixture
async def told(cache: Cache) -> Told:
    subscriber = Told()
    cache.subscribe(KIND, subscriber)
    return subscriber


async def started(cache: Cache, namespace: str = "") -> None:
    await cache.start(KIND, namespace)
    async with asyncio.timeout(10):
        await cache.wait_synced(KIND)


async def test_it_holds_what_exists_once_it_is_in_sync(cluster: Flaky, cache: Cache) -> None:
    made = await cluster.create(numbered(1))
    await cache.start(KIND)
    assert not cache.synced(KIND)
    await cache.wait_synced()
    assert cache.synced(KIND)
    assert cache.get(APP) == made
    assert cache.items(KIND) == [made]
    assert cache.items(KIND, "elsewhere") == []
    assert cache.get(Ref(KIND, "default", "other")) is None


async def test_it_tells_each_change_with_what_was_before(
    cluster: Flaky, cache: Cache, told: Told
) -> None:
    await cluster.create(numbered(1))
    await started(cache)
    await cluster.patch(APP, patch(2), manager="test")
    await cluster.delete(APP)
    await cluster.create(numbered(3))
    assert await told.count(4) == [
        ("ADDED", "-", "1"),
        ("MODIFIED", "1", "2"),
        ("DELETED", "2", "2"),
        ("ADDED", "-", "3"),
    ]


async def test_a_late_subscriber_is_told_what_is_there(
    cluster: Flaky, cache: Cache, told: Told
) -> None:
    await cluster.create(numbered(1))
    await started(cache)
    late = Told()
    end = cache.subscribe(KIND, late)
    assert late.changes == [("ADDED", "-", "1")]
    end()
    await cluster.patch(APP, patch(2), manager="test")
    await told.count(2)
    assert len(late.changes) == 1


async def test_starting_a_kind_twice_is_one_watch(cluster: Flaky, cache: Cache) -> None:
    await asyncio.gather(*(cache.start(KIND) for _ in range(3)))
    await cache.wait_synced(KIND)
    await cache.start(KIND)
    await cache.start(KIND, "default")
    assert (cluster.lists, cluster.watches) == (1, 1)


async def test_a_namespace_is_watched_by_itself_until_all_are(
    cluster: Flaky, cache: Cache, told: Told
) -> None:
    elsewhere = Ref(KIND, "elsewhere", "app")
    await cluster.create(numbered(1))
    await cluster.create(numbered(2, elsewhere))
    await started(cache, "default")
    assert [Ref.of(item) for item in cache.items(KIND)] == [APP]
    await started(cache)
    assert await told.count(2) == [("ADDED", "-", "1"), ("ADDED", "-", "2")]
    await cluster.patch(APP, patch(3), manager="test")
    assert (await told.count(3))[2:] == [("MODIFIED", "1", "3")]
    await asyncio.sleep(0)
    assert cluster.waiting == 1, "the watch of one namespace has ended"


async def test_kinds_are_kept_apart(cluster: Flaky, cache: Cache, told: Told) -> None:
    await cluster.create(Ref(OTHER, "default", "app").manifest(data={"n": "9"}))
    await cluster.create(numbered(1))
    await cache.start(OTHER)
    await started(cache)
    assert await told.count(1) == [("ADDED", "-", "1")]
    assert [Ref.of(item).kind for item in cache.items(OTHER)] == [OTHER]


BREAKS = {
    "the connection broke": ClusterError("connection reset"),
    "the changes were no longer kept": Expired("too old"),
    "something was wrong with the reply": KeyError("metadata"),
    "the server ended it": None,
}


@pytest.mark.parametrize("error", BREAKS.values(), ids=BREAKS)
async def test_after_a_break_only_differences_are_told(
    cluster: Flaky, cache: Cache, told: Told, error: Exception | None
) -> None:
    refs = [Ref(KIND, "default", name) for name in ("same", "changed", "gone", "remade")]
    for ref in refs:
        await cluster.create(numbered(1, ref))
    await started(cache)
    await told.count(4)
    cluster.cut(error)
    _, changed, gone, remade = refs
    await cluster.patch(changed, patch(2), manager="test")
    await cluster.delete(gone)
    await cluster.delete(remade)
    await cluster.create(numbered(3, remade))
    await cluster.create(numbered(4, Ref(KIND, "default", "new")))
    news = (await told.count(9))[4:]
    assert sorted(news) == [
        ("ADDED", "-", "3"),
        ("ADDED", "-", "4"),
        ("DELETED", "1", "1"),
        ("DELETED", "1", "1"),
        ("MODIFIED", "1", "2"),
    ]
    await cluster.patch(changed, patch(5), manager="test")
    assert (await told.count(10))[9:] == [("MODIFIED", "2", "5")]


async def test_a_break_without_changes_tells_nothing(
    cluster: Flaky, cache: Cache, told: Told
) -> None:
    await cluster.create(numbered(1))
    await started(cache)
    cluster.cut(Expired("too old"))
    await asyncio.wait_for(cluster.listed_again.wait(), 10)
    await cluster.patch(APP, patch(2), manager="test")
    assert await told.count(2) == [("ADDED", "-", "1"), ("MODIFIED", "1", "2")]


async def test_a_broken_connection_is_taken_up_without_listing_again(
    cluster: Flaky, cache: Cache, told: Told
) -> None:
    await started(cache)
    cluster.cut(ClusterError("connection reset"))
    await cluster.create(numbered(1))
    await told.count(1)
    assert cluster.lists == 1
    assert cluster.watches == 2


async def test_a_cluster_that_cannot_be_reached_is_asked_again(
    cluster: Flaky, cache: Cache, told: Told
) -> None:
    cluster.failures = [ClusterError("refused")] * 5 + [OSError("odd")]
    await cluster.create(numbered(1))
    await cache.start(KIND)
    assert not cache.synced(KIND)
    assert await told.count(1) == [("ADDED", "-", "1")]
    assert cluster.lists == 7


class Noted(Backoff):
    """A back-off that notes how many failures it was asked about, and waits for none."""

    asked: ClassVar[list[int]] = []

    def delay(self, failures: int) -> float:
        self.asked.append(failures)
        return 0.0


async def test_failures_in_a_row_are_counted_until_something_is_heard(cluster: Flaky) -> None:
    cache, told = Cache(cluster, backoff=Noted()), Told()
    cache.subscribe(KIND, told)
    cluster.failures = [ClusterError("refused")] * 3
    await started(cache)
    await cluster.create(numbered(1))
    await told.count(1)
    cluster.failures = [ClusterError("refused")] * 2
    cluster.cut(ClusterError("connection reset"))
    await cluster.patch(APP, patch(2), manager="test")
    await told.count(2)
    await cache.close()
    assert Noted.asked == [0, 1, 2, 0, 1, 2]


async def test_a_subscriber_that_fails_does_not_keep_others_from_being_told(
    cluster: Flaky, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(change: str, old: Manifest | None, new: Manifest) -> None:
        raise RuntimeError("a bug")

    cache.subscribe(KIND, fails)
    told = Told()
    cache.subscribe(KIND, told)
    await started(cache)
    await cluster.create(numbered(1))
    await told.count(1)
    assert "a subscriber failed at ADDED ConfigMap default/app" in caplog.text


async def test_waiting_for_what_was_never_started_is_a_mistake(cache: Cache) -> None:
    with pytest.raises(LookupError, match="ConfigMap was not started"):
        await cache.wait_synced(KIND)


async def test_what_a_write_returned_is_readable_at_once_and_told_once(
    cluster: Flaky, cache: Cache, told: Told
) -> None:
    await cluster.create(numbered(1))
    await started(cache)
    written = await cluster.patch(APP, patch(2), manager="test")
    cache.note(written)
    assert cache.get(APP) == written
    await cluster.patch(APP, patch(3), manager="test")
    assert await told.count(3) == [
        ("ADDED", "-", "1"),
        ("MODIFIED", "1", "2"),
        ("MODIFIED", "2", "3"),
    ]


async def test_what_was_written_before_replaces_nothing_newer(
    cluster: Flaky, cache: Cache, told: Told
) -> None:
    old = await cluster.create(numbered(1))
    await started(cache)
    await cluster.patch(APP, patch(2), manager="test")
    await told.count(2)
    cache.note(old)
    assert cache.items(KIND)[0]["data"] == {"n": "2"}
    await cluster.delete(APP)
    await told.count(3)
    cache.note(old)
    assert cache.get(APP) is None, "nor does it come back to life"


async def test_what_is_not_watched_is_not_kept(cluster: Flaky, cache: Cache) -> None:
    await started(cache, "default")
    for ref in (Ref(KIND, "elsewhere", "app"), Ref(OTHER, "default", "app")):
        cache.note(await cluster.create(numbered(1, ref)))
        assert cache.get(ref) is None


async def test_what_is_known_stays_readable_after_closing(cluster: Flaky, cache: Cache) -> None:
    made = await cluster.create(numbered(1))
    await started(cache)
    await cache.close()
    await cluster.patch(APP, patch(2), manager="test")
    assert cache.get(APP) == made


KEPT: dict[str, tuple[Keep, set[str], set[str]]] = {
    "everything": (Keep.ALL, {"data"}, {"managedFields", "annotations"}),
    "not who wrote what": (Keep.CONTENT, {"data"}, {"annotations"}),
    "nothing but metadata": (Keep.METADATA, set(), {"annotations"}),
}


@pytest.mark.parametrize(("keep", "content", "meta"), KEPT.values(), ids=KEPT)
async def test_of_each_object_only_what_is_used_is_kept(
    cluster: Flaky, keep: Keep, content: set[str], meta: set[str]
) -> None:
    cache = Cache(cluster, keep={KIND: keep})
    await cluster.create(numbered(1, OTHER_APP))
    await started(cache)
    applied = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"}
    written = await cluster.create(APP.manifest(metadata={"annotations": applied}, data={"n": "2"}))
    cache.note(written)
    common = {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp"}
    found = cache.get(APP)
    assert found
    assert set(found) == {"apiVersion", "kind", "metadata"} | content
    assert set(found["metadata"]) == common | meta
    assert found["metadata"]["annotations"] == (applied if keep is Keep.ALL else {"a": "b"})
    listed = cache.get(OTHER_APP)
    assert listed
    assert set(listed["metadata"]) == common | meta - {"annotations"}
    assert "managedFields" in written["metadata"], "the writer's own copy stays as it is"
    await cache.close()


async def test_what_is_wrong_is_said_until_it_is_right_and_logged_once(
    cluster: Flaky, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.failures = [ClusterError("refused")] * 3
    await cache.start(KIND)
    async with asyncio.timeout(10):
        while not cache.trouble(KIND):  # noqa: ASYNC110 - which is no event
            await asyncio.sleep(0)
        assert cache.trouble(KIND) == "refused"
        await cache.wait_synced(KIND)
    assert cache.trouble(KIND) == ""
    warned = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert warned == ["the watch of ConfigMap in all namespaces broke: refused"]


class Slow(Flaky):
    """One whose lists are on their way for a while."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.made, self.arrives = asyncio.Event(), asyncio.Event()
        self.arrives.set()

    async def list(
        self,
        kind: Kind,
        namespace: str = "",
        labels: Any = None,
        *,
        metadata_only: bool = False,
    ) -> Listing:
        listing = await super().list(kind, namespace, labels, metadata_only=metadata_only)
        self.made.set()
        await self.arrives.wait()
        return listing


async def test_what_was_written_after_a_list_was_made_is_not_taken_for_deleted() -> None:
    cluster = await Slow.open(None)
    cache, told = Cache(cluster, backoff=Backoff(first=0.001, longest=0.01)), Told()
    cache.subscribe(KIND, told)
    await started(cache)
    cluster.made.clear()
    cluster.arrives.clear()
    cluster.cut(Expired("too old"))
    await asyncio.wait_for(cluster.made.wait(), 10)
    cache.note(await cluster.create(numbered(1)))
    cluster.arrives.set()
    await cluster.patch(APP, patch(2), manager="test")
    assert await told.count(2) == [("ADDED", "-", "1"), ("MODIFIED", "1", "2")]
    await cache.close()
    await cluster.close()


class Restored(Flaky):
    """One whose store can be replaced by an older copy of it."""

    copy: Embedded | None = None

    async def list(
        self,
        kind: Kind,
        namespace: str = "",
        labels: Any = None,
        *,
        metadata_only: bool = False,
    ) -> Listing:
        if self.copy:
            return await self.copy.list(kind, namespace, labels, metadata_only=metadata_only)
        return await super().list(kind, namespace, labels, metadata_only=metadata_only)


async def test_a_store_brought_back_from_a_copy_is_believed(tmp_path: Path) -> None:
    cluster = await Restored.open(tmp_path / "state.db")
    await cluster.create(numbered(1))
    await cluster.close()
    shutil.copy(tmp_path / "state.db", tmp_path / "copy.db")
    cluster = await Restored.open(tmp_path / "state.db")
    copy = await Embedded.open(tmp_path / "copy.db")
    cache, told = Cache(cluster, backoff=Backoff(first=0.001, longest=0.01)), Told()
    cache.subscribe(KIND, told)
    await started(cache)
    await cluster.patch(APP, patch(2), manager="test")
    await cluster.create(numbered(7, OTHER_APP))
    await told.count(3)
    cluster.copy = copy
    cluster.cut(Expired("the server is at 1, which was before 3"))
    news = (await told.count(5))[3:]
    assert news == [("DELETED", "7", "7"), ("MODIFIED", "2", "1")]
    assert cache.items(KIND) == (await copy.list(KIND)).items
    for each in (cache, cluster, copy):
        await each.close()


@given(st.integers(0, 10_000))
def test_a_delay_grows_to_its_bound_and_never_beyond(failures: int) -> None:
    backoff = Backoff(first=0.2, longest=30.0)
    longest = min(30.0, 0.2 * 2 ** min(failures, 20))
    assert longest / 2 <= backoff.delay(failures) <= longest
