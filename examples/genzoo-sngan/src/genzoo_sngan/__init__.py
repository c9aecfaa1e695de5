"""SNGAN (Miyato et al. 2018) for genzoo."""
