"""A guestbook: one page, one table, and everything a preview environment asks of an app."""
