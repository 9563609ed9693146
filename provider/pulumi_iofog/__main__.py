"""Tools beside the resource, each a command:

    python -m pulumi_iofog convert offline-image.yaml      a Pulumi program in place of iofogctl's documents
    python -m pulumi_iofog sudoers docker --user deploy    the least that a login on an agent needs of sudo

What is made goes to standard output, errors to standard error. Exit codes: 0, and 2 for bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import get_args

from pulumi_iofog.convert import Flags, program
from pulumi_iofog.errors import InputError
from pulumi_iofog.inputs.iofogctl_document import read_documents
from pulumi_iofog.inputs.spec import EngineName
from pulumi_iofog.sudoers import Rule, lines
from pulumi_iofog.text import visible


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m pulumi_iofog", description="Tools for pulumi-iofog.")
    commands = parser.add_subparsers(dest="command", required=True)
    convert = commands.add_parser("convert", help="print the Pulumi program that iofogctl's documents describe")
    convert.add_argument("files", nargs="*", metavar="FILE", help="YAML files with kind: OfflineImage documents")
    convert.add_argument("-f", "--file", action="append", default=[], help="as with iofogctl deploy -f")
    convert.add_argument("-n", "--namespace", help="as with iofogctl deploy -n")
    convert.add_argument("--transfer-pool", type=int, default=2, metavar="N", help="as with iofogctl deploy")
    convert.add_argument("--no-cache", action="store_true", help="as with iofogctl deploy")
    convert.add_argument("--adopt", action="store_true", help="take over catalog items that already exist")
    rules = commands.add_parser("sudoers", help="print the lines of sudoers(5) that a login on an agent needs")
    rules.add_argument("engine", choices=get_args(EngineName))
    rules.add_argument("--user", default="iofog", metavar="NAME", help="the login, as in user= (default: iofog)")
    rules.add_argument("--program", metavar="PATH", help="the engine's command on the agent (default: /usr/bin/ENGINE)")
    rules.add_argument(
        "--socket", default="/var/run/docker.sock", metavar="PATH", help="Docker's, as in engine_socket="
    )
    rules.add_argument("--whole", action="store_true", help="allow all of the command, for sudo before 1.9.10")
    given = parser.parse_args(arguments)
    if given.command == "sudoers":
        path = given.program or f"/usr/bin/{given.engine}"
        sys.stdout.write(lines(Rule(given.engine, given.user, path, given.socket, given.whole)))
        return 0
    files = [*given.files, *given.file]
    if not files:
        convert.error("give at least one FILE")
    flags = Flags(given.namespace, given.transfer_pool, not given.no_cache, given.adopt)
    try:
        text = program(read_documents(*files), flags)
    except InputError as problem:
        for failure in problem.failures:
            print(visible(f"{failure.path}: {failure.reason}"), file=sys.stderr)
        return 2
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
