"""How an exchange or a call ended: with a value, or with an error that is not raised yet."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Generic, Optional, TypeVar

from ..errors import UploadError
from ..protocol.ladder import Step

_T = TypeVar("_T")


@dataclass(frozen=True)
class Outcome(Generic[_T]):
    """How an exchange ended: with a value, or with an error that is not raised yet.

    An error that travels as a value has no context in which URLs and tokens hang.

    :ivar step: for a whole call, what follows from the error
    """

    value: Optional[_T] = None
    error: Optional[UploadError] = None
    step: Step = Step.DONE

    def get(self) -> _T:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise copy.copy(self.error)  # itself would refer to this frame, and this frame to it
        if self.value is None:
            raise TypeError("an outcome without a value and without an error")
        return self.value


@dataclass
class Doubt:
    """Whether a call that has not succeeded may have been carried out all the same.

    :ivar raised: True from when its request goes out until a clear refusal comes
    """

    raised: bool = False
