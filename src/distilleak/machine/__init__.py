"""What a job runs on: its processes, its GPUs, its memory, the signals that end it."""
