"""Pages, API and sign-in of the console; what they show is in `stream.console.store`."""
