package import KVMTypes

/// What a copy says of the recording that it was made of, where that has no sub-buffers: how large those of the copy are tells nothing of
/// the host's pages, nor the formats of its events which were recorded.
///
/// It stands where a recorder says its version, which trace-cmd shows and goes by in nothing: `pkvm-replay:copy page_size=BYTES
/// kinds=seen losses=unknown losses_why=REASON`.
package struct CopyOrigin: Hashable {
  /// The size of the host's pages, as the recording told it; nil where it did not.
  package let pageSize: PageSize?

  /// Whether the recording said which events there can be; otherwise there are formats of those that it has.
  package let listsKinds: Bool

  /// Why the recording did not say where events were lost; nil where it did.
  package let untoldLosses: UntoldLosses.Reason?

  init(pageSize: PageSize?, listsKinds: Bool, untoldLosses: UntoldLosses.Reason?) {
    (self.pageSize, self.listsKinds, self.untoldLosses) = (pageSize, listsKinds, untoldLosses)
  }

  /// Reads what stands there; nil where it is a recorder's version.
  init?(_ text: String) {
    let words = text.split { $0.isWhitespace }
    guard let first = words.first, first == Self.prefix else { return nil }
    func value(of key: String) -> Substring? {
      words.first { $0.hasPrefix(key) }.map { $0.dropFirst(key.count) }
    }
    pageSize = value(of: Self.key).flatMap { UInt64($0) }.flatMap { PageSize(bytes: $0) }
    listsKinds = !words.contains { $0 == Self.seenKinds }
    untoldLosses =
      words.contains { $0 == Self.unknownLosses }
      ? value(of: Self.why).flatMap { UntoldLosses.Reason(rawValue: String($0)) } ?? .unknown : nil
  }

  /// What a copy writes there.
  package var text: String {
    "\(Self.prefix) \(Self.key)\(pageSize.map { String($0.bytes) } ?? "unknown")"
      + (listsKinds ? "" : " \(Self.seenKinds)")
      + (untoldLosses.map { " \(Self.unknownLosses) \(Self.why)\($0.rawValue)" } ?? "")
  }

  private static let prefix = "\(TraceMarker.prefix)copy"
  private static let key = "page_size="
  private static let seenKinds = "kinds=seen"
  private static let why = "losses_why="
  private static let unknownLosses = "losses=unknown"
}
