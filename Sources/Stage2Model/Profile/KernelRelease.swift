/// A kernel's version, as far as it decides an era: `7.3` of `7.3.4+deb13-cloud-arm64`.
@frozen
public struct KernelRelease: Hashable, Comparable, Sendable {
  /// The first number.
  public var major: Int
  /// The second number.
  public var minor: Int

  /// The release `major.minor`.
  public init(major: Int, minor: Int) {
    self.major = major
    self.minor = minor
  }

  /// Reads a release as `uname -r` prints it, such as `7.3.4+deb13-cloud-arm64`, or its first two numbers; nil for anything
  /// else. A file name such as `6.12.json` is no release.
  public init?(_ text: some StringProtocol) {
    let pattern = /(\d{1,4})\.(\d{1,4})(?:\.\d+)*(?:[-+~_][A-Za-z0-9.+~_-]*)?/
    guard let match = String(text).wholeMatch(of: pattern), let major = Int(match.1), let minor = Int(match.2)
    else { return nil }
    self.init(major: major, minor: minor)
  }

  /// Reads "Linux HOST 7.3.4+deb13 aarch64", the words of `uname`; nil for anything else. Whatever a builder appended to the
  /// release (`CONFIG_LOCALVERSION`) is left out of account.
  public init?(uname: String) {
    let words = uname.split(separator: " ")
    guard words.count >= 3 else { return nil }
    // Every trace comes by here, so this is no regular expression: to make one ready takes longer than to open the file.
    let release = words[2].utf8
    let isDigit = { (byte: UInt8) in (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    let first = release.prefix(while: isDigit)
    let rest = release[first.endIndex...]
    guard first.count <= 4, let major = Int(Substring(first)), rest.first == UInt8(ascii: "."),
      let minor = Int(Substring(rest.dropFirst().prefix(4).prefix(while: isDigit)))
    else { return nil }
    self.init(major: major, minor: minor)
  }

  /// Older is less.
  public static func < (a: KernelRelease, b: KernelRelease) -> Bool {
    (a.major, a.minor) < (b.major, b.minor)
  }

  /// `7.3`.
  public var name: String { "\(major).\(minor)" }

  /// The releases that are known to differ, or not to: those that `profiles` lists.
  public static let known: [KernelRelease] =
    (12...19).map { KernelRelease(major: 6, minor: $0) } + (0...3).map { KernelRelease(major: 7, minor: $0) }

  /// Whether its pKVM keeps the tables of non-protected guests at EL2. Before 6.14 the host had them, as without pKVM.
  public var hasPKVMTables: Bool { self >= KernelRelease(major: 6, minor: 14) }

  /// Whether its era is known, and not just the nearest one: what comes after the last known release may have changed.
  public var isEraKnown: Bool { hasPKVMTables && Self.known.last.map { self <= $0 } ?? false }

  /// The era of the pKVM code that this kernel has. A kernel older than the oldest era is counted with that one: its
  /// traditional path is much the same.
  public var era: PKVMEra {
    if self >= KernelRelease(major: 7, minor: 3) { return .v7_3 }
    if self >= KernelRelease(major: 7, minor: 2) { return .v7_2 }
    if self >= KernelRelease(major: 7, minor: 1) { return .v7_1 }
    if self >= KernelRelease(major: 6, minor: 19) { return .v6_19 }
    if self == KernelRelease(major: 6, minor: 18) { return .v6_18 }
    if self >= KernelRelease(major: 6, minor: 16) { return .v6_16 }
    return self == KernelRelease(major: 6, minor: 15) ? .v6_15 : .v6_14
  }
}
