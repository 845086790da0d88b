"""Signing in with a browser: by key, or by an identity provider."""
