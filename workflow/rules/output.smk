# One line for every job that starts, instead of several for its start and several for its end. Where
# `--quiet` differs from that of profiles/default, Snakemake shows its own lines, with the reason why a
# job runs.

from datetime import datetime

from snakemake.logging import logger
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

LEFT_OUT = (LogEvent.PROGRESS, LogEvent.JOB_STARTED, LogEvent.JOB_FINISHED)


class OneLine:
    """Filter and formatter of the terminal: what is not about jobs is left as it is."""

    def __init__(self, formatter):
        self.formatter = formatter
        self.progress = ""

    def filter(self, record):
        event = getattr(record, "event", None)
        if event == LogEvent.PROGRESS:
            self.progress = f"{record.done} of {record.total} done: "
        return event not in LEFT_OUT and not record.getMessage().startswith(
            "Select jobs"
        )

    def format(self, record):
        message = getattr(record, "rule_msg", None)
        if getattr(record, "event", None) != LogEvent.JOB_INFO or not message:
            return self.formatter.format(record)
        return f"{datetime.now():%H:%M:%S} {self.progress}{message}"


# A job on a cluster node runs without this setting.
if Quietness.REASON in (workflow.output_settings.quiet or ()):
    for handler in logger.handlers:
        if handler.name == "DefaultStreamHandler":
            short = OneLine(handler.formatter)
            handler.addFilter(short)
            handler.setFormatter(short)
