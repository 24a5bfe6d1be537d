"""Access control: from tokens to principals and what they may read and write."""
