"""Profiles of compiled functions: where the time of a call goes, by kernel, operation and line."""
