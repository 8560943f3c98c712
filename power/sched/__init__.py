"""Which models are in memory, who waits for them, who sits in which slot.

`open_models` is the whole of it: `Models.acquire` finds or loads a model and
keeps it in use, `Use.generate` takes a place in its bounded queue and yields
the mailbox its events arrive in.
"""

from power.sched.mailbox import Mailbox
from power.sched.models import Models, open_models
from power.sched.place import Sitting
from power.sched.running import RunningModel
from power.sched.use import Use
from power.sched.watch import Watch

__all__ = ["Mailbox", "Models", "RunningModel", "Sitting", "Use", "Watch", "open_models"]
