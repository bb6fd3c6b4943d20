internal import Glibc
internal import KVMTypes

/// The events that one of several writers has of a CPU, one after another, as its pages hold them.
///
/// Invariant: `event` lies in the page that `pages` returned last.
struct WriterLane: ~Copyable {
  private let pages: BundlePages
  private var events: WrittenEvents?
  /// Whether there is an event, of which `time` and `data` are.
  private(set) var hasEvent = false
  /// Whether there was one before it.
  private(set) var hasBegun = false
  /// What is missing before the event, or behind the last one.
  private(set) var missing: BundleRun.Flags = []
  /// How many events are missing, as `PageWriter.lost` counts them.
  private(set) var lost: UInt64 = 0
  /// How many of the damaged places of `pages` were told.
  private var toldCount = 0

  init(_ pages: BundlePages) {
    self.pages = pages
    hasEvent = load()
  }

  var cpu: UInt16 { pages.cpu }
  var pageOffset: Int { pages.pageOffset }
  /// The event's stamp.
  var time: UInt64 { events!.time }
  /// What a record of it holds.
  var data: UnsafeRawBufferPointer { events!.data }

  /// Goes to the next event; what is missing before the one at hand was told.
  @inline(__always)
  mutating func step() {
    hasBegun = true
    if !events!.next() { hasEvent = load() }
  }

  /// Goes to the next page that has an event; false where there is none.
  @inline(never)
  private mutating func load() -> Bool {
    while let page = pages.next() {
      if !pages.missing.isEmpty { lost = missing.isEmpty ? pages.lost ?? 0 : 0 }
      missing.formUnion(pages.missing)
      events = WrittenEvents(page)
      if events!.next() { return true }
    }
    return false
  }

  /// Writes its events that come before `limit`, up to where something is missing; false where the page is full.
  mutating func write(before limit: UInt64, into writer: inout PageWriter) -> Bool {
    repeat {
      guard let record = writer.reserve(data.count, at: Nanoseconds(time)) else { return false }
      memcpy(record, data.baseAddress!, data.count)
      step()
    } while hasEvent && missing.isEmpty && time < limit
    return true
  }

  /// What is missing before the event is told.
  mutating func tell(_ told: BundleRun.Flags) { missing.subtract(told) }

  /// Hands on which damage was found since the last time.
  mutating func report(to damage: inout DamageLog) {
    for place in pages.damage.places[toldCount...] { damage.reportGap(at: place.offset, place.what) }
    toldCount = pages.damage.places.count
  }
}
