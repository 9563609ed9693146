"""Text of users and of files, parsed into values. Pure."""
