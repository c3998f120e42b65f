"""Bearer tokens of other issuers: the user they name and the keys they are signed with."""
