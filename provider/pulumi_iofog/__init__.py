"""Container images onto Eclipse ioFog edge hosts that cannot pull them, as a Pulumi resource."""

from pulumi_iofog.args import (
    AgentArgs,
    AgentArgsDict,
    ControllerArgs,
    ControllerArgsDict,
    RegistryAuthArgs,
    RegistryAuthArgsDict,
)
from pulumi_iofog.errors import IofogError
from pulumi_iofog.offline_image import OfflineImage

__all__ = [
    "AgentArgs",
    "AgentArgsDict",
    "ControllerArgs",
    "ControllerArgsDict",
    "IofogError",
    "OfflineImage",
    "RegistryAuthArgs",
    "RegistryAuthArgsDict",
]
