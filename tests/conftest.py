"""What holds for a whole run of tests."""

from contextlib import suppress
from pathlib import Path

from throwaway import PREFIX

# Nomad that starts again kills the process ids of its old helpers where nobody answers (go-plugin, reattach).
# With several clusters the kernel's 32768 come round within minutes, and an id is another process's by then.
PID_MAX, ENOUGH = Path("/proc/sys/kernel/pid_max"), 4194304  # what systemd sets (sysctl.d/50-pid-max.conf)


def pytest_configure(config):
    if hasattr(config, "workerinput"):
        return  # the process that started the workers has done it
    with suppress(OSError):  # only root may
        before = int(PID_MAX.read_text())
        PID_MAX.write_text(str(max(before, ENOUGH)))
        config.pid_max = before


def pytest_unconfigure(config):
    another_run = any(Path("/tmp").glob(f"{PREFIX}*"))  # whose clusters need it
    if hasattr(config, "pid_max") and not another_run:
        PID_MAX.write_text(str(config.pid_max))
