"""The edges of ANP: an agent as others find, negotiate with and call it."""

from negotiator.anp.door import AnpDoor, door_of
from negotiator.anp.offer import Offer
from negotiator.anp.server import AnpServer

__all__ = ["AnpDoor", "AnpServer", "Offer", "door_of"]
