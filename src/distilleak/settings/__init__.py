"""One small module per section of the configuration, so that a stage depends only on its own."""
