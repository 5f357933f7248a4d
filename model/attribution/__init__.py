"""Attribution: which events raised a propensity, and which touches earn a conversion."""
