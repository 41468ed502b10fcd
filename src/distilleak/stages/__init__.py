"""The stages of a study: one command each, named after its module, which reads and writes files."""
