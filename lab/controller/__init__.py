"""A stand-in for the ioFog Controller, held to recordings of two real ones (3.0.4 and 3.7.3); 3.9 by its source."""

from lab.controller.server import ControllerStandIn

__all__ = ["ControllerStandIn"]
