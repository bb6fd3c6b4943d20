internal import KVMTypes

/// Whether the pages of one CPU follow one another as a ring buffer writes them: every page begins no earlier than the
/// one before it ends, and only pages with events are written.
///
/// What breaks that was not written by the kernel: a hole of zeros or ones that a crash or a full disk left, a page that
/// was copied twice, pages in another order.
struct PageContinuity {
  /// By how much a stamp may lie before the one before it without a word, in nanoseconds: the kernel's clocks that can
  /// be read in an NMI, and the global one, step back by less. What counts ticks (`in_ns` = 0) is read from one counter that only grows:
  /// no tick is too many there, whatever it stands for.
  static let jitterNs: UInt64 = 10_000
  /// A page that begins so much later than the one before it ends is believed only if its header is otherwise good, in
  /// nanoseconds: a year.
  private static let gapNsMax: UInt64 = 365 * 86_400 * 1_000_000_000

  private let time: TimeConversion
  /// Whether stamps count something else than nanoseconds.
  let isOfTicks: Bool
  /// By how much a stamp may lie before the one before it, in the unit of the clock.
  let jitter: UInt64
  /// The page that was read last, and the stamp that it ends with.
  private var last: (header: PageDecoder.Header, end: UInt64)?
  /// Pages without events since.
  private var empty: (offset: Int, count: Int, stamp: UInt64, isHole: Bool)?

  /// Pages whose stamps are of `clock`, and converted by `time`.
  init(_ time: TimeConversion, clock: TraceClock?) {
    self.time = time
    isOfTicks = clock.map { !$0.isNanoseconds } ?? false
    jitter = isOfTicks ? 0 : Self.jitterNs
  }

  /// Whether `page`, which lies at `offset` of the file, holds no events or must not be read.
  mutating func skips(
    _ page: UnsafeRawBufferPointer, _ header: PageDecoder.Header, room: Int, at offset: Int
  ) -> Bool {
    let isHole: Bool
    if header.commit == 0 {
      isHole = header.stamp == 0 || isBehindTime(header.stamp) || page[8...].contains { $0 != 0 }
    } else {
      isHole = isNoPage(header, room: room) || isCopy(header)
      guard isHole else { return false }
    }
    let before = empty ?? (offset, 0, header.stamp, false)
    empty = (
      before.offset, before.count + 1, max(before.stamp, header.stamp), before.isHole || isHole
    )
    return true
  }

  /// Pages that must have held events and hold none, before one that begins with `stamp`, or before the end: where they
  /// are and how many. They are told once.
  mutating func takeHole(before stamp: UInt64?) -> (offset: Int, pages: Int)? {
    guard let empty else { return nil }
    self.empty = nil
    let isLate = stamp.map { time.span(from: $0, to: empty.stamp) > jitter } ?? false
    // Where no page has events, there may have been none.
    guard empty.isHole || isLate, stamp != nil || last != nil else { return nil }
    return (empty.offset, empty.count)
  }

  /// A page was read that ends with the stamp `end`. Returns the stamp from which the time went back with it, if by more
  /// than a writer's jitter.
  mutating func note(_ header: PageDecoder.Header, end: UInt64) -> UInt64? {
    defer { last = (header, end) }
    return isBehindTime(header.stamp) ? last?.end : nil
  }

  /// Whether the page behind one that ends with the stamp `end` shows that this may not stand in its place: it is the same once more, or
  /// begins before it does. Which of the two is wrong nobody knows.
  ///
  /// - Parameter next: the header of the page behind it.
  func isMisplaced(
    _ header: PageDecoder.Header, end: UInt64, before next: PageDecoder.Header, room: Int
  ) -> Bool {
    if next == header { return header.stamp < end }
    // A hole has no place.
    return time.span(from: next.stamp, to: header.stamp) > jitter && next.isWellFormed
      && (1...room).contains(next.dataBytes)
  }

  private func isBehindTime(_ stamp: UInt64) -> Bool {
    last.map { time.span(from: stamp, to: $0.end) > jitter } ?? false
  }

  /// Neither the length of the data nor the stamp is possible: other bytes stand where a page was.
  private func isNoPage(_ header: PageDecoder.Header, room: Int) -> Bool {
    guard header.dataBytes > room || !header.isWellFormed else { return false }
    guard let last else { return header.stamp == .max || header.stamp == 0 }
    return isBehindTime(header.stamp) || time.span(from: last.end, to: header.stamp) > Self.gapNsMax
  }

  /// The page before this one once more.
  private func isCopy(_ header: PageDecoder.Header) -> Bool {
    guard let last else { return false }
    return last.header == header && header.stamp < last.end
  }
}
