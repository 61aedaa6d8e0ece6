"""Plans: what a user asks for, what comes of it, and the files that say so."""
