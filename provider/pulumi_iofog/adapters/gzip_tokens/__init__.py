"""gzip-tokens, a small program that takes a gzip file apart and puts it together again, bit for bit: gzip_tokens.c
says how and why, program.py which there are. setup.py builds it."""
