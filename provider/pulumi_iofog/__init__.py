"""A Pulumi resource that brings container images to Eclipse ioFog edge hosts that cannot pull them."""

from pulumi_iofog.errors import IofogError
from pulumi_iofog.program.args import (
    AgentArgs,
    AgentArgsDict,
    ControllerArgs,
    ControllerArgsDict,
    ImageArgs,
    ImageArgsDict,
    RegistryAuthArgs,
    RegistryAuthArgsDict,
)
from pulumi_iofog.program.offline_image import OfflineImage
from pulumi_iofog.program.offline_image_set import OfflineImageSet

__version__ = "0.1.0"

__all__ = [
    "AgentArgs",
    "AgentArgsDict",
    "ControllerArgs",
    "ControllerArgsDict",
    "ImageArgs",
    "ImageArgsDict",
    "IofogError",
    "OfflineImage",
    "OfflineImageSet",
    "RegistryAuthArgs",
    "RegistryAuthArgsDict",
    "__version__",
]
