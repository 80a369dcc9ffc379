"""Puts the project's import roots on the environment's path: the repository, ``libs`` and
``tests``.

What an editable install would do, without a build; the roots are those that ``pyproject.toml``
states.
"""

import sys
import sysconfig
import tomllib
from pathlib import Path

root = Path(__file__).resolve().parent.parent
project = tomllib.loads((root / "pyproject.toml").read_text())
roots = project["tool"]["pytest"]["ini_options"]["pythonpath"]
site = Path(sysconfig.get_path("purelib"))
(site / "nautilus_mesh.pth").write_text("\n".join(str(root / part) for part in roots) + "\n")
for name, target in project["project"]["scripts"].items():
    module, function = target.split(":")
    script = Path(sys.executable).parent / name
    script.write_text(
        f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
    )
    script.chmod(0o755)
