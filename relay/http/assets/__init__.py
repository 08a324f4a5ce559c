"""The page as a browser loads it: modules linked into few files, compressed once, under names that change with their content."""
