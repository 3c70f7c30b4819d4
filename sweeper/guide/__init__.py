"""Records to guidance: what may be said of a study, as pure statistics. Neither words nor pictures are made here."""

from sweeper.guide.assemble import guidance
from sweeper.guide.guidance import Guidance

__all__ = ["Guidance", "guidance"]
