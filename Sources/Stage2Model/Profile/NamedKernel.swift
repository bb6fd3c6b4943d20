internal import KVMTypes

/// The kernel that a profile is named after: `7.3`, `7.3-pkvm`, `7.3-traditional`, `7.3.4+deb13-cloud-arm64`, or `v3`.
///
/// A name says what the kernel is. It says nothing of the machine, and without `-pkvm` or `-traditional` not whether the host
/// is in protected mode.
public struct NamedKernel: Hashable, Sendable {
  /// The name.
  public let name: String
  /// The generation of the kernel.
  public let era: PKVMEra
  /// Whether the host runs in protected mode (`kvm-arm.mode=protected`), nil where the name leaves that open.
  public let isProtectedMode: Bool?
  /// The release; nil for the series that was never released.
  public let release: KernelRelease?

  /// The kernel that `name` means, nil where it is no kernel's name, or a misspelt one.
  public init?(_ name: String) {
    if Self.meant(by: name) != nil { return nil }
    var base = Substring(name)
    var mode: Bool?
    for (suffix, isProtectedMode) in [("-pkvm", true), ("-traditional", false)] where base.hasSuffix(suffix) {
      base = base.dropLast(suffix.count)
      mode = isProtectedMode
      break
    }
    if base == "v3" {
      (era, release) = (.v3, nil)
    } else if let release = KernelRelease(base) {
      (era, self.release) = (release.era, release)
    } else {
      return nil
    }
    self.name = name
    isProtectedMode = mode
  }

  /// What somebody may have meant who wrote `name`: `7.3-traditional` for `7.3-traditonal`; nil where it is right, and where
  /// it is like nothing. What a distribution puts behind its release is not looked into.
  public static func meant(by name: String) -> String? {
    guard let match = name.wholeMatch(of: /(v3|\d{1,4}(?:\.\d{1,4})+)([^\d.].*)/) else { return nil }
    // The mode is the last word behind a release, or all that is there.
    let last = match.2.lastIndex(of: "-").map { match.2[$0...] } ?? match.2
    if last == "-pkvm" || last == "-traditional" { return nil }
    if let mode = mode(meantBy: match.2, slips: 2) { return "\(match.1)-\(mode)" }
    // A flavour such as -kvm or -vm is near pkvm, too.
    guard last != match.2, last.count > 3, last != "-kvm", let mode = mode(meantBy: last, slips: 1) else {
      return nil
    }
    return "\(match.1)\(match.2.dropLast(last.count))-\(mode)"
  }

  /// The mode that `suffix` nearly is, with so many `slips` in the short one.
  private static func mode(meantBy suffix: Substring, slips: Int) -> String? {
    let word = suffix.drop { "-+~_".contains($0) }.lowercased()
    guard !word.isEmpty || suffix == "-" else { return nil }
    return [("pkvm", slips), ("traditional", 3)].first { mode, slips in
      mode.hasPrefix(word) || NearNames.distance(word, mode) <= slips
    }?.0
  }

  /// The names that `profiles` lists: each release, with and without pKVM.
  public static var listed: [NamedKernel] {
    (["v3"] + KernelRelease.known.map(\.name)).flatMap { name in
      ["pkvm", "traditional"].compactMap { NamedKernel("\(name)-\($0)") }
    }
  }

  /// Whether its pKVM keeps the tables of non-protected guests at EL2.
  public var hasPKVMTables: Bool { release?.hasPKVMTables ?? true }

  /// Who changes the guests' tables on a host in protected mode, or not.
  public func path(isProtectedMode: Bool) -> Profile.Path {
    isProtectedMode && hasPKVMTables ? .pkvm : .traditional
  }
}
