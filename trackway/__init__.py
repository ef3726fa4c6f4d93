"""The command line and the processes: joins the packages."""
