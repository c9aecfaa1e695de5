"""New distributions from templates: where `genzoo new` gets them."""
