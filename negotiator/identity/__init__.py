"""Who somebody is: keys, DIDs and their documents, signed messages, and who may do what."""
