"""The demo of `trackway up --demo`: a shop to click through, and a stand-in for the CDP that shows what it got."""
