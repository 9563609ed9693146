"""Pulumi's part in an update, without Pulumi: a real plugin process, and who speaks to it as Pulumi's engine does.

Two commands of Pulumi cost four Pythons and two engines; here they cost two Pythons, and the plugin can be halted at
any line of its log, killed there, and measured from outside.
"""

from __future__ import annotations

from lab.plugin.operator import Done, Operator
from lab.plugin.process import Plugin

__all__ = ["Done", "Operator", "Plugin"]
