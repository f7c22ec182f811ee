"""Calls the hooks of a Canary and tells what they answered."""

import asyncio
from collections.abc import Awaitable, Callable

from canary.core.facts import HookAnswer, HookType
from canary.crd.analysis import Webhook
from canary.crd.canary import Canary
from canary.crd.status import Announcement
from canary.errors import ProviderError
from canary.hooks import payload
from canary.hooks.retries import pause, worth_repeating
from canary.http import Http, Reply, Request, TransportError

Intercept = Callable[[Canary, Webhook], Awaitable[HookAnswer] | None]
"""Carries out a hook in another way than by calling its URL, or returns None to have it called."""


class Hooks:
    """Hooks of one type are called in the order of the list; any 2xx answer is success."""

    def __init__(
        self, http: Http, *, intercept: Intercept | None = None, event_webhook: str = ""
    ) -> None:
        """`event_webhook` is the URL for events of Canaries without event hooks of their own."""
        self._http = http
        self._intercept = intercept
        self._event_webhook = event_webhook

    async def ask(
        self,
        canary: Canary,
        kind: HookType,
        phase: str,
        attempt: str,
    ) -> tuple[HookAnswer, ...]:
        """The answers so far: the first failure ends the calls, and no hooks give none.

        Of `rollback` hooks the first success ends them, and asks for a rollback. Never raises.
        """
        answers: list[HookAnswer] = []
        decisive = kind == HookType.ROLLBACK
        for hook in _of_kind(canary, kind):
            answers.append(await self._one(canary, hook, phase, attempt))
            if answers[-1].passed is decisive:
                break
        return tuple(answers)

    async def event(self, canary: Canary, announcement: Announcement) -> tuple[HookAnswer, ...]:
        """Post an announcement to the event hooks, side by side. Never raises."""
        hooks = _of_kind(canary, HookType.EVENT)
        if not hooks and self._event_webhook:
            hooks = [Webhook(name="event-webhook", url=self._event_webhook, type="event")]
        bodies = (payload.event(canary, announcement, hook.metadata) for hook in hooks)
        calls = (
            self._call(canary, hook, body, announcement.key)
            for hook, body in zip(hooks, bodies, strict=True)
        )
        return tuple(await asyncio.gather(*calls))

    async def _one(self, canary: Canary, hook: Webhook, phase: str, attempt: str) -> HookAnswer:
        if self._intercept and (answer := self._intercept(canary, hook)):
            try:
                return await answer
            except ProviderError as error:
                return _answer(hook, passed=False, detail=str(error))
        body = payload.payload(canary, phase, hook.metadata)
        return await self._call(canary, hook, body, attempt)

    async def _call(self, canary: Canary, hook: Webhook, body: bytes, attempt: str) -> HookAnswer:
        request = Request(
            "POST",
            hook.url,
            headers={
                "Content-Type": "application/json",
                "Idempotency-Key": payload.idempotency_key(canary, hook, attempt),
            },
            body=body,
            timeout=hook.timeout_seconds,
            insecure=hook.disable_tls,
            keep=False,
        )
        result, attempts = await self._send(request, 1 + hook.retries)
        passed = isinstance(result, Reply) and result.ok
        detail = _detail(result, attempts)
        return _answer(hook, passed=passed, detail=detail)

    async def _send(self, request: Request, most: int) -> tuple[Reply | TransportError, int]:
        """The last result, and how many attempts it took."""
        attempt = 0
        while True:
            attempt += 1
            result = await self._attempt(request)
            if attempt >= most or not worth_repeating(result):
                return result, attempt
            await asyncio.sleep(pause(attempt, result))

    async def _attempt(self, request: Request) -> Reply | TransportError:
        try:
            return await self._http.send(request)
        except TransportError as error:
            return error


def _of_kind(canary: Canary, kind: HookType) -> list[Webhook]:
    return [hook for hook in canary.spec.analysis.webhooks if hook.hook == kind.value]


def _answer(hook: Webhook, *, passed: bool, detail: str) -> HookAnswer:
    return HookAnswer(hook.name, passed, detail, hook.mute_alert)


def _detail(result: Reply | TransportError, attempts: int) -> str:
    if isinstance(result, Reply):
        text = f"{result.host} answered {result.summary() if not result.ok else result.status}"
    else:
        text = str(result)
    return text if attempts == 1 else f"{text} (attempt {attempts})"
