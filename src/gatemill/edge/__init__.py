"""The door: bytes to Call, Reply or error to bytes. Rule: no decision about models is taken here."""
