"""Everything that can go wrong, named for what the caller does next.

* CanaryError
  * SpecError            what the user wrote can't be acted on; wait until it changes
    * UnknownName        nothing here goes by that name; the nearest one is suggested
  * ClusterError         the API server (or the embedded one) said no; the next tick tries again
    * NotFound           no such object
      * NoSuchKind       nor any of its kind: a CRD isn't installed
    * AlreadyExists      somebody was faster
    * Conflict           somebody else wrote the object first
    * Forbidden          a permission is missing
    * Expired            a watch asked for changes that are no longer kept; list again
  * ProviderError        a backend, a hook or a data plane let us down; the next tick tries again
    * NoValues           the query worked and found nothing: a fact, not an outage
    * MultipleValues     the query found more than one number
  * LocalError           something of this machine: a port, a program, a folder, a state file
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


class CanaryError(Exception):
    """The root. Its text is meant for people and never needs a traceback beside it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with what somebody wrote, complete enough to mend it by."""

    where: str
    """The object: file, kind and name, as in `app.yaml: Canary default/podinfo`."""
    field: str
    """The path of the field, as in `spec.analysis.stepWeights[2]`; empty for the object itself."""
    found: str
    expected: str
    nearest: str = ""
    """The nearest valid name, where one is near."""

    def __str__(self) -> str:
        place = f"{self.where}: {self.field}" if self.field else self.where
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{place}: found {self.found}, expected {self.expected}{hint}"


class SpecError(CanaryError):
    """What the user wrote can't be acted on. Carries every problem found, not only the first."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class UnknownName(SpecError):
    """Nothing here goes by that name."""

    def __init__(self, where: str, field: str, found: str, known: Iterable[str]) -> None:
        names = sorted(known)
        super().__init__(
            Problem(where, field, repr(found), f"one of {', '.join(names)}", nearest(found, names))
        )


def nearest(name: str, known: Sequence[str]) -> str:
    """The known name closest to a mistyped one, or an empty string.

    >>> nearest("stepWieght", ["stepWeight", "stepWeights", "maxWeight"])
    'stepWeight'
    """
    lowered = {word.lower(): word for word in known}
    if exact := lowered.get(name.lower()):
        return exact
    close = get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return lowered[close[0]] if close else ""


class ClusterError(CanaryError):
    """The API server, real or embedded, said no."""


class NotFound(ClusterError):
    pass


class NoSuchKind(NotFound):
    pass


class AlreadyExists(ClusterError):
    pass


class Conflict(ClusterError):
    pass


class Forbidden(ClusterError):
    pass


class Expired(ClusterError):
    pass


class ProviderError(CanaryError):
    """A backend, a hook or a data plane let us down."""


class NoValues(ProviderError):
    """The query worked and found nothing. A fact, not an outage, and never a failed check."""


class MultipleValues(ProviderError):
    """The query found more than one number where one is expected."""


class LocalError(CanaryError):
    """Something of this machine: a port, a program, a folder, a state file."""
