"""Where a deployment's docs come from: a folder, a git repository, or a built site by its sitemap."""
