"""Bash in which `rival` is this process, where programs stay compiled, and a cluster's commands are stand-ins."""

import json
import os
import socket
import subprocess
import sys
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

from command import rival

_RIVAL = """#!{python} -SE
import json, os, socket, sys
if "--ray" in sys.argv:  # `ray stop` ends a process that has been Ray's driver
    os.execv({python!r}, [{python!r}, "-m", "rival_jax.cli", *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as link:
    link.connect({address!r})
    link.sendall(json.dumps([os.getcwd(), sys.argv[1:]]).encode())
    link.shutdown(socket.SHUT_WR)
    code, out, err = json.loads(link.makefile().read())
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""
_STAND_INS = {
    # an array's tasks, one after the other
    "sbatch": """[ "$1" = --wait ] && range=$(sed -n 's/^#SBATCH --array=//p' "$2")
        for task in $(seq "${range%-*}" "${range#*-}"); do
            SLURM_ARRAY_TASK_ID=$task SLURM_ARRAY_TASK_COUNT=$((${range#*-} + 1)) bash -eu "$2"
        done""",
    "srun": 'exec "$@"',
    # what `ssh --command` runs, on two hosts of a slice
    "gcloud": """for word in "$@"; do case $word in --command=*) command=${word#--command=};; esac; done
        for host in 0 1; do HOSTNAME=$5-w-$host bash -eu -c "$command"; done""",
}


@dataclass(frozen=True)
class Shell:
    """Made by `install`."""

    folder: Path

    @classmethod
    def install(cls, folder: Path) -> "Shell":
        """Puts the commands into a folder whose path is short enough for a socket's address."""
        scripts = {name: f"#!/usr/bin/env bash\nset -eu\n{text}\n" for name, text in _STAND_INS.items()}
        scripts["rival"] = _RIVAL.format(python=sys.executable, address=str(folder / "socket"))
        for name, text in scripts.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        return cls(folder)

    def __call__(self, text: str, place: Path) -> tuple[int, str]:
        """Exit code and all output of Bash lines, run in `place` until one fails."""
        said = self.folder / "said.txt"
        environment = os.environ | {"PATH": f"{self.folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
        with socket.socket(socket.AF_UNIX) as server, said.open("w") as output:
            server.bind(str(self.folder / "socket"))
            server.listen()
            server.settimeout(0.05)
            command = ["bash", "-euo", "pipefail", "-c", text]
            process = subprocess.Popen(command, cwd=place, env=environment, stdout=output, stderr=subprocess.STDOUT)
            while process.poll() is None:
                try:
                    link, _ = server.accept()
                except TimeoutError:
                    continue
                with link:
                    _answer(link)
        (self.folder / "socket").unlink()
        return process.returncode, said.read_text()


def _answer(link: socket.socket) -> None:
    """Runs one `rival` as it was called."""
    link.settimeout(None)
    place, arguments = json.loads(link.makefile().read())
    with chdir(place):
        result = rival(*arguments)
    link.sendall(json.dumps([result.code, result.out, result.err]).encode())
