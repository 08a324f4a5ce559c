"""Work on recordings beside the calls: what is to be done, in processes of their own, and where the files are."""
