"""How networks learn, and how images come out of them."""
