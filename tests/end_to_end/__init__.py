"""genzoo as people get it: from wheels, in an environment of its own."""
