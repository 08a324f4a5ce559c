"""Capture of a call: what each party sends, decrypted and before any of it is dropped, to one file of pcapng."""
