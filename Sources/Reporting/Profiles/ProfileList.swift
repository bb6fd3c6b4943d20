public import Stage2Model
public import Stage2Replay

/// The built-in profiles as a page of text.
public enum ProfileList {
  /// All of them, a line each.
  public static func text(_ profiles: [Profile], in form: PageForm = .filed) -> String {
    var page = TextPage(form)
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
      }, spare: [5, 3, 2])
    page.blank()
    page.line(
      "A release alone, such as 7.3 or 7.3.4+deb13, leaves the path to the trace; auto leaves it all.")
    page.line(eras)
    return page.rendered
  }

  /// One profile, a line a field.
  public static func text(_ request: ProfileRequest, in form: PageForm = .filed) -> String {
    var page = TextPage(form)
    page.title(request.name ?? request.kernel?.name ?? "auto")
    if let kernel = request.kernel, request.fields["era"] == nil, let release = kernel.release,
      !KernelRelease.known.contains(release)
    {
      page.line("  \(release.name) is not known: modelled as \(kernel.era.name) (assumed)")
    }
    page.table(
      header: ["field", "value", "meaning", "possible"], alignRight: [false, false, false, false],
      rows: ProfileFile.values(request).map { field, value in
        [field.name, value?.description ?? open(field, request), field.summary, field.values]
      }, spare: [3, 2])
    page.blank()
    page.line(eras)
    return page.rendered
  }

  /// Which releases have no era of their own, and which era was no release.
  private static let eras =
    "Releases without an era of their own: 6.12 and 6.13, before pKVM had the guests' tables, are 6.14's, 6.17 is 6.16's, 7.0 "
    + "is 6.19's. v3 is the third version of the patches that became 6.14's pKVM (December 2024), which was never released."

  /// What stands for a field that the request leaves open: the trace tells the machine and the path, and those the rest.
  private static func open(_ field: ProfileField, _ request: ProfileRequest) -> String {
    field.isMachine || field.name == "path" || request.kernel == nil ? "as traced" : "as the path has it"
  }
}
