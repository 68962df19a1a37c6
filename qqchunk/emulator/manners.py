"""Bad manners: what nothing shows the platform to refuse, though no client should do it."""

from __future__ import annotations

from .behaviour import Behaviour
from .calls import Call
from .journal import Journal
from .replies import Refused, Reply


class Manners:
    """Notes bad manners in ``Emulator.manners``; refuses them if the emulator is strict."""

    def __init__(self, behaviour: Behaviour, journal: Journal) -> None:
        self._behaviour = behaviour
        self._journal = journal

    def breach(self, call: Call, note: str, reply: Reply) -> None:
        """Note a breach and go on.

        :param note: what the client did, in words.
        :param reply: what a strict emulator answers.
        :raises Refused: with that reply, if the emulator is strict.
        """
        if self._behaviour.strict:
            raise Refused(reply, note)
        call.manners.append(note)
        self._journal.note_manners(call.named(note))
