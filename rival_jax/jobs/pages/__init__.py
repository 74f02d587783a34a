"""Pages about a job: `gallery` chooses what is shown, `page` is its HTML, `histograms` draws distributions."""
