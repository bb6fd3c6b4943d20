package import KVMTypes

/// What a copy says of the recording that it was made of, where that has no sub-buffers: how large those of the copy are tells nothing of
/// the host's pages.
///
/// It stands where a recorder says its version, which trace-cmd shows and goes by in nothing: `pkvm-replay:copy page_size=BYTES
/// losses=unknown`.
package struct CopyOrigin: Hashable {
  /// The size of the host's pages, as the recording told it; nil where it did not.
  package let pageSize: PageSize?

  /// Whether the recording said where events were lost.
  package let tellsLosses: Bool

  init(pageSize: PageSize?, tellsLosses: Bool) { (self.pageSize, self.tellsLosses) = (pageSize, tellsLosses) }

  /// Reads what stands there; nil where it is a recorder's version.
  init?(_ text: String) {
    let words = text.split { $0.isWhitespace }
    guard let first = words.first, first == Self.prefix else { return nil }
    let told = words.first { $0.hasPrefix(Self.key) }.flatMap { UInt64($0.dropFirst(Self.key.count)) }
    pageSize = told.flatMap { PageSize(bytes: $0) }
    tellsLosses = !words.contains { $0 == Self.unknownLosses }
  }

  /// What a copy writes there.
  package var text: String {
    "\(Self.prefix) \(Self.key)\(pageSize.map { String($0.bytes) } ?? "unknown")"
      + (tellsLosses ? "" : " \(Self.unknownLosses)")
  }

  private static let prefix = "\(TraceMarker.prefix)copy"
  private static let key = "page_size="
  private static let unknownLosses = "losses=unknown"
}
