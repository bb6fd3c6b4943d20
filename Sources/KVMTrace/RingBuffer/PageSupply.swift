internal import KVMTypes

/// Where the sub-buffer pages of one stream of events come from, one after another: from a trace.dat as they lie there, or made of
/// another format's events by a `PageWriter`.
///
/// One call for each page: nothing is asked for each event.
protocol PageSupply: AnyObject {
  /// The CPU of the page that `next` returned last, or will return first.
  var cpu: UInt16 { get }
  /// Where in the file what that page holds begins.
  var pageOffset: Int { get }
  /// Whether pages are missing before it.
  var isBehindGap: Bool { get }
  /// Whether what is missing before it is told once more: it may lie there, or before a later page that tells of it, too.
  var repeatsLoss: Bool { get }
  /// The first `PageWriter.headerBytes` of the page behind that one, as valid as that; nil where there is none, or it is not at hand.
  var nextHead: UnsafeRawBufferPointer? { get }
  /// What is wrong with the stream's pages.
  var damage: DamageLog { get set }

  /// Of a stream with the events of all CPUs in one order, the last stamp of each CPU that it has; nil of any other.
  var lastOfCPUs: [(cpu: UInt16, last: Nanoseconds)]? { get }

  /// The next page, nil at the end. It is valid until the next call.
  func next() -> UnsafeRawBufferPointer?
}

extension PageSupply {
  var repeatsLoss: Bool { false }
  var nextHead: UnsafeRawBufferPointer? { nil }
  var lastOfCPUs: [(cpu: UInt16, last: Nanoseconds)]? { nil }
}
