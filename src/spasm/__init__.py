"""Recognising infantile epileptic spasms from five-second pose segments."""
