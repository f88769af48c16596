"""What the memory broker and the memory backend of one name share: everything, under one lock."""
