//! What was probably meant by a name that nobody knows.

/// The known name that is nearest to `name`, if one is near: at most a quarter of its letters, or two, are others.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |known: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase());
    known
        .into_iter()
        .map(|known| (distance(known), known))
        .filter(|(distance, known)| *distance <= 2.max(known.len() / 4) && *distance < known.len())
        .min()
        .map(|(_, known)| known)
}

/// `; did you mean …?`, or nothing.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |known| format!("; did you mean {known}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_suggested() {
        let known = ["schedule", "repository", "paths"];
        for (name, meant) in [
            ("schedul", Some("schedule")),
            ("Repository", Some("repository")),
            ("path", Some("paths")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
    }
}
