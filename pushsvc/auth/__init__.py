"""Who asks, and what that lets them do: tokens in, scopes out."""
