"""Names for what is released.

A revision is a hash of the part of a manifest that people change to release something, as the
API has it. The prefix names the way it was computed, so that a hash from another program or an
older version is recognised as foreign and adopted, never taken for a change.
"""

import json
from hashlib import sha256
from typing import Any

PREFIX = "c1-"


def revision(template: Any) -> str:
    """The revision of a template (any JSON value): stable over key order and restarts.

    >>> revision({"a": 1, "b": 2}) == revision({"b": 2, "a": 1})
    True
    """
    text = json.dumps(template, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return PREFIX + sha256(text.encode()).hexdigest()[:16]


def foreign(name: str) -> bool:
    """Whether a recorded revision was computed in another way than ours.

    >>> foreign("5d8f4c7b6"), foreign(""), foreign(revision({}))
    (True, False, False)
    """
    return bool(name) and not name.startswith(PREFIX)
