"""The console's database: what the topics say, as rows that pages ask, and what lives only here."""
