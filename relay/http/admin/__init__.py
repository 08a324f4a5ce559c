"""`/api/admin`: what the platform does, with a service token. Without one in the settings, none of this exists."""
