"""The page of `rival demo`: variations, edits, fillings and sequences of your own photos, in a browser."""
