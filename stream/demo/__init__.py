"""The demo: the whole service in one process, on clips that it draws or on a folder of videos."""
