"""The servers under test, behind one small interface."""
