"""Who is connected: devices, their WebSockets, and what each may have missed."""
