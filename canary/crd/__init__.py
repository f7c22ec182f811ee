"""What people write: Canary, MetricTemplate, AlertProvider and Process.

`load_text` and `load_path` read files, `parse` reads objects of an API server, `dump` gives back
what was written. What a single field may hold is said by its type (`base.py`), what has to hold
between fields by `rules.py` and `spec_rules.py`, and both by the CRDs that `generate.py` makes
of the same models.

Nothing here knows a cluster or a clock, and every problem names the object, the field, what was
found and what was expected. `generate` is not imported from here: only two commands need it.
"""

from canary.crd.canary import Canary
from canary.crd.checking import Checked, check, foreign_references
from canary.crd.duration import Duration
from canary.crd.load import Loaded, load_path, load_text
from canary.crd.manifest import KINDS, dump, parse, version_of
from canary.crd.process import Process
from canary.crd.resource import Resource
from canary.crd.status import CanaryStatus
from canary.crd.templates import AlertProvider, MetricTemplate

__all__ = [
    "KINDS",
    "AlertProvider",
    "Canary",
    "CanaryStatus",
    "Checked",
    "Duration",
    "Loaded",
    "MetricTemplate",
    "Process",
    "Resource",
    "check",
    "dump",
    "foreign_references",
    "load_path",
    "load_text",
    "parse",
    "version_of",
]
