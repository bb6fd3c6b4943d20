/// How the fields of Perfetto's events become those of records, for all events of a trace.
///
/// An event is looked up by its number in FtraceEvent, a field by its number in the event: both are steps into a table. Nothing here
/// changes once events are read.
///
/// Invariant: `indices` holds `slotCount` positions of `plans`; `places` holds `placeCount` places from each plan's `firstPlace` on.
/// All belong to this object until deinit.
final class EventLayout {
  /// What a record of one kind of event is like.
  struct Plan {
    /// `common_type` in the lower 16 bits.
    var head: UInt64
    /// How long a record is without its texts, in bytes.
    var bytes: Int
    var firstPlace: Int
    /// One more than the greatest number of a field that is wanted, and `EventLayout.placesMin` at least.
    var placeCount: Int
    var hasTexts: Bool
  }

  /// Where the value of a field goes.
  struct Place {
    enum Kind: UInt8 {
      case unwanted
      case u8, u16, u32, u64
      /// A text behind the record; its place and length are in the field.
      case located
      /// A text that ends the record.
      case trailing
    }

    var kind = Kind.unwanted
    /// In bytes from the start of the record.
    var offset: UInt16 = 0
  }

  let indices: UnsafeMutablePointer<UInt16>
  let plans: UnsafeMutablePointer<Plan>
  let places: UnsafeMutablePointer<Place>

  /// Every plan has so many places: a tag of one byte always has one.
  static let placesMin = 16

  /// - Parameters:
  ///   - indices: for each slot a position in `events`.
  ///   - events: the plan of each event with its places, whose `firstPlace` and `placeCount` are set here.
  init(indices: [UInt16], events: [(plan: Plan, places: [Place])]) {
    self.indices = .allocate(capacity: indices.count)
    self.indices.initialize(from: indices, count: indices.count)
    plans = .allocate(capacity: events.count)
    places = .allocate(capacity: max(1, events.reduce(0) { $0 + max($1.places.count, Self.placesMin) }))
    var next = 0
    for (position, event) in events.enumerated() {
      var plan = event.plan
      let count = max(event.places.count, Self.placesMin)
      (plan.firstPlace, plan.placeCount) = (next, count)
      (plans + position).initialize(to: plan)
      (places + next).initialize(repeating: Place(), count: count)
      (places + next).update(from: event.places, count: event.places.count)
      next += count
    }
  }

  deinit {
    indices.deallocate()
    plans.deallocate()
    places.deallocate()
  }

  /// The plan of the events with this slot.
  @inline(__always)
  func plan(ofSlot slot: Int) -> UnsafeMutablePointer<Plan> { plans + Int(indices[slot]) }
}

/// Which slot an event has, by its number in FtraceEvent. Perfetto's own messages have numbers below 1,024, those that describe
/// themselves have numbers from 65,536 on, one after another.
enum EventSlot {
  static let messageCount = 1024
  static let firstDescribed = 65_536
  static let describedMax = 8192
  static let count = messageCount + describedMax
  /// Of an event whose number is no one's, or which has none.
  static let none = 0
  /// `generic`: an event with the names of its fields in each.
  static let generic = 327

  @inline(__always)
  static func slot(ofNumber number: UInt64) -> Int {
    if number < UInt64(messageCount) { return Int(truncatingIfNeeded: number) }
    let described = number &- UInt64(firstDescribed)
    return described < UInt64(describedMax) ? messageCount &+ Int(truncatingIfNeeded: described) : none
  }

  static func number(ofSlot slot: Int) -> Int {
    slot < messageCount ? slot : firstDescribed + slot - messageCount
  }
}
