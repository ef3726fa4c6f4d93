"""What the browser tracker costs a page, beside other vendors' trackers in the same browser and run."""
