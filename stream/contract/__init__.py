"""The contract with every other program: events, message identities, submission order, schemas."""
