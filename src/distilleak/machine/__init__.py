"""The machine that a job runs on: its processes, its GPUs, the signals that end it."""
