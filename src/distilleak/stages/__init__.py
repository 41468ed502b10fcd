"""One command each, named after its module: it reads files and writes files."""
