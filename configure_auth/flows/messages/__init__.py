"""Message agents: journeys, senders and their phones."""
