"""Hostile clients at the socket: what they send, and what each server makes of it."""
