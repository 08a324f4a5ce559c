"""What calls leave behind: entries for the database, written after the fact and kept on disk while it is away."""
