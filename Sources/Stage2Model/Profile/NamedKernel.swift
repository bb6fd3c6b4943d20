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
  let release: KernelRelease?

  /// The kernel that `name` means, nil where it is no kernel's name.
  public init?(_ name: String) {
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
