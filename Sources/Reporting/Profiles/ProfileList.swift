public import Stage2Model

/// The built-in profiles as a page of text.
public enum ProfileList {
  /// All of them, a line each.
  public static func text(_ profiles: [Profile]) -> String {
    var page = TextPage()
    page.table(
      header: ["profile", "path", "tree", "blocks", "fault lock", "bytes a mapping"],
      alignRight: [false, false, false, false, false, true],
      rows: profiles.map { profile in
        let tree =
          profile.path == .traditional
          ? "-" : profile.era.hasIntervalTree ? "interval tree" : "red-black tree"
        return [
          profile.name, profile.path.rawValue, tree, profile.mapsBlocks ? "yes" : "no",
          profile.faultLock.rawValue,
          profile.path == .traditional ? "-" : String(profile.bytesPerNode),
        ]
      })
    return page.text
  }

  /// One profile, a line a field.
  public static func text(_ profile: Profile) -> String {
    var page = TextPage()
    page.title(profile.name)
    page.table(
      header: ["field", "value", "meaning", "possible"], alignRight: [false, false, false, false],
      rows: Profile.fields.map { [$0.name, $0.value(in: profile).description, $0.summary, $0.values] })
    return page.text
  }
}
