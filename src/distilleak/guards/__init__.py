"""What protects finished work: checksums of files, locks of running jobs."""
