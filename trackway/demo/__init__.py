"""What `trackway up --demo` brings along: a stand-in for the CDP that shows what reached it."""
