"""Runs the reader as on a bare machine: ``python -I -S alone.py SITE READER ARGUMENTS…``.

SITE is a folder with the reader's packages and nothing else. Ends with 99 if drd can be found in spite
of that, or was loaded.
"""

import importlib.util
import runpy
import sys

SITE, READER = sys.argv[1:3]
STRANGE = 99

sys.path.append(SITE)
if importlib.util.find_spec("drd") is not None:
    print("drd can be found here: this proves nothing", file=sys.stderr)  # noqa: T201
    sys.exit(STRANGE)
sys.argv = [READER, *sys.argv[3:]]
try:
    runpy.run_path(READER, run_name="__main__")
finally:
    if any(name.partition(".")[0] == "drd" for name in sys.modules):
        sys.exit(STRANGE)
