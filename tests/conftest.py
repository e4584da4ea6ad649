"""What all tests share: a clean environment, hypothesis without a clock, and the real servers."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["tests.lab.fixtures"]

# Nothing of the developer's own cloud or of the machine's proxies may reach a test, nor the drctl
# that a test starts: every client here talks plain http to loopback, and says itself with which keys.
for name in tuple(os.environ):
    if (
        name.startswith(("AWS_", "CEPH_"))
        or name.lower().endswith("_proxy")
        or name == "DRD_CONFIG"
    ):
        del os.environ[name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull

# A shell that starts something in the background has it ignore Ctrl-C, and all that it starts as well: here
# some tests send that signal to a command, which is to end by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Two busy cores make a deadline in milliseconds a matter of luck; pytest-timeout ends what hangs. The
# same examples each time: what fails for one change failed because of it. With DRD_EFFORT (see
# tests/unit/work/effort.py) fresh ones.
FRESH = os.environ.get("DRD_EFFORT", "1") != "1"
settings.register_profile("drd", deadline=None, print_blob=True, derandomize=not FRESH)
settings.load_profile("drd")

UNIT = Path(__file__).parent / "unit"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with servers first, whose few tests take long; the many short ones of tests/unit come last.

    After pytest-randomly has mixed the files; xdist keeps this order (--no-loadscope-reorder in the
    Makefile). By number of tests, as it would sort them itself, the longest files came last, and one
    worker ended minutes after the other.
    """
    items.sort(key=lambda item: UNIT in item.path.parents)
