"""Records to guides: what may be said of a study, as pure statistics. Neither words nor pictures are made here."""
