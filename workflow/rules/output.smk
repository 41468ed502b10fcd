# One line for every job that starts, instead of several for its start and several for its end, and the
# errors of failed jobs last. Where `--quiet` differs from that of profiles/default, Snakemake shows its
# own lines, with the reason why a job runs.

import signal
import threading

from snakemake.logging import logger
from snakemake.settings.enums import Quietness

from distilleak.study.screen import Interruption, OneLine

# A job on a cluster node is ended by its scheduler.
INTERRUPTION = Interruption()
if (
    workflow.exec_mode == ExecMode.DEFAULT
    and threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) != signal.SIG_IGN
):
    logger.addFilter(INTERRUPTION)
    signal.signal(signal.SIGINT, INTERRUPTION)

# A job on a cluster node runs without this setting.
if Quietness.REASON in (workflow.output_settings.quiet or ()):
    for handler in logger.handlers:
        if handler.name == "DefaultStreamHandler":
            short = OneLine(handler.formatter, INTERRUPTION)
            handler.addFilter(short)
            handler.setFormatter(short)
